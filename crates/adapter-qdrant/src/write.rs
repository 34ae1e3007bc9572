//! Writing points, and walking over them.

use std::collections::HashSet;

use domain::ids::MemoryId;
use domain::memory::{IndexEntry, IndexedMemory};
use domain::privacy::MemoryScope;
use qdrant_client::qdrant::read_consistency::Value as Consistency;
use qdrant_client::qdrant::with_payload_selector::SelectorOptions;
use qdrant_client::qdrant::{
    Filter, GetPoints, PayloadIncludeSelector, PointStruct, ReadConsistency, ReadConsistencyType,
    RetrievedPoint, ScrollPoints, UpsertPoints, WithPayloadSelector, WriteOrdering,
    WriteOrderingType,
};

use crate::client::CallError;
use crate::index::Shared;
use crate::point::{Fields, PROFILE, USER, VERSION, WITH_VECTOR, ids, memory, point, within};

/// Points in one call: half a megabyte of vectors.
const BATCH: usize = 200;

/// Writes go through the shard's leader, in one order.
pub(crate) fn strong() -> WriteOrdering {
    WriteOrdering {
        r#type: WriteOrderingType::Strong.into(),
    }
}

/// What proves something must not come from a replica that lags behind.
fn by_majority() -> ReadConsistency {
    let majority = ReadConsistencyType::Majority.into();
    ReadConsistency {
        value: Some(Consistency::Type(majority)),
    }
}

/// These fields of the payload.
pub(crate) fn only(fields: &[&str]) -> WithPayloadSelector {
    let fields = fields.iter().map(|&field| field.to_owned()).collect();
    WithPayloadSelector {
        selector_options: Some(SelectorOptions::Include(PayloadIncludeSelector { fields })),
    }
}

impl Shared {
    /// Writes entries into a collection. One whose point belongs to somebody else is left out, and then
    /// the whole call fails: the caller must not take it for written.
    pub(crate) async fn put(
        &self,
        collection: &str,
        scope: MemoryScope,
        entries: &[IndexEntry],
    ) -> Result<(), CallError> {
        let mut all_ours = true;
        for batch in entries.chunks(BATCH) {
            let foreign = self.foreign(collection, scope, batch).await?;
            all_ours &= foreign.is_empty();
            let ours = batch
                .iter()
                .filter(|entry| !foreign.contains(&entry.memory));
            let points = ours.map(|entry| point(scope, entry)).collect();
            self.put_points(collection, points, Some(within(scope)))
                .await?;
        }
        if all_ours {
            Ok(())
        } else {
            Err(CallError::NotCompleted("a point belongs to another owner"))
        }
    }

    /// Writes points, over existing ones only where they pass the filter.
    pub(crate) async fn put_points(
        &self,
        collection: &str,
        points: Vec<PointStruct>,
        update_filter: Option<Filter>,
    ) -> Result<(), CallError> {
        if points.is_empty() {
            return Ok(());
        }
        let request = UpsertPoints {
            collection_name: collection.to_owned(),
            wait: Some(true),
            points,
            ordering: Some(strong()),
            update_filter,
            ..UpsertPoints::default()
        };
        self.client
            .write("upsert_points", |q| q.upsert_points(request.clone()))
            .await
    }

    /// Those of the memories whose point names another owner.
    async fn foreign(
        &self,
        collection: &str,
        scope: MemoryScope,
        entries: &[IndexEntry],
    ) -> Result<HashSet<MemoryId>, CallError> {
        let memories: Vec<MemoryId> = entries.iter().map(|entry| entry.memory).collect();
        let request = GetPoints {
            collection_name: collection.to_owned(),
            ids: ids(&memories),
            with_payload: Some(only(&[USER, PROFILE])),
            with_vectors: Some(false.into()),
            read_consistency: Some(by_majority()),
            ..GetPoints::default()
        };
        let found = self
            .client
            .insist("get_points", |q| q.get_points(request.clone()));
        let mut foreign = HashSet::new();
        for found in found.await?.result {
            let owner = Fields(&found.payload).scope();
            if owner != Some(scope) {
                self.alarm.raise(memory(found.id.as_ref()), owner);
                foreign.extend(memory(found.id.as_ref()));
            }
        }
        Ok(foreign)
    }

    /// The entries of a scope after `after`, in the order of their ids.
    pub(crate) async fn entries(
        &self,
        collection: &str,
        scope: MemoryScope,
        after: Option<MemoryId>,
        limit: usize,
    ) -> Result<Vec<IndexedMemory>, CallError> {
        let request = ScrollPoints {
            filter: Some(within(scope)),
            with_payload: Some(only(&[USER, PROFILE, VERSION, WITH_VECTOR])),
            ..scroll(collection, limit)
        };
        let mut entries = Vec::new();
        for (memory, found) in self.after(request, after, limit).await? {
            let fields = Fields(&found.payload);
            if fields.scope() != Some(scope) {
                self.alarm.raise(Some(memory), fields.scope());
                continue;
            }
            entries.push(IndexedMemory {
                memory,
                version: fields.version(),
                with_vector: fields.with_vector(),
            });
        }
        Ok(entries)
    }

    /// Whose the points after `after` are, in the order of their ids.
    pub(crate) async fn owners(
        &self,
        collection: &str,
        after: Option<MemoryId>,
        limit: usize,
    ) -> Result<Vec<(MemoryId, MemoryScope)>, CallError> {
        let request = ScrollPoints {
            with_payload: Some(only(&[USER, PROFILE])),
            ..scroll(collection, limit)
        };
        let mut owners = Vec::new();
        for (memory, found) in self.after(request, after, limit).await? {
            match Fields(&found.payload).scope() {
                Some(scope) => owners.push((memory, scope)),
                None => self.alarm.raise(Some(memory), None),
            }
        }
        Ok(owners)
    }

    /// The points after `after`: the server begins with the point of that id, if it is still there.
    async fn after(
        &self,
        mut request: ScrollPoints,
        after: Option<MemoryId>,
        limit: usize,
    ) -> Result<Vec<(MemoryId, RetrievedPoint)>, CallError> {
        request.offset = after.map(crate::point::id);
        let found = self.client.insist("scroll", |q| q.scroll(request.clone()));
        let found = found.await?.result.into_iter();
        let points = found.filter_map(|found| Some((memory(found.id.as_ref())?, found)));
        let later = points.filter(|(memory, _)| after.is_none_or(|after| *memory > after));
        Ok(later.take(limit).collect())
    }

    /// Copies all points of a collection into another one, as they are.
    pub(crate) async fn copy(&self, from: &str, to: &str) -> Result<(), CallError> {
        let mut offset = None;
        loop {
            let request = ScrollPoints {
                offset,
                with_payload: Some(true.into()),
                with_vectors: Some(true.into()),
                ..scroll(from, BATCH)
            };
            let page = self
                .client
                .insist("scroll", |q| q.scroll(request.clone()))
                .await?;
            let points = page.result.into_iter().map(crate::point::again).collect();
            self.put_points(to, points, None).await?;
            offset = page.next_page_offset;
            if offset.is_none() {
                return Ok(());
            }
        }
    }
}

fn scroll(collection: &str, limit: usize) -> ScrollPoints {
    ScrollPoints {
        collection_name: collection.to_owned(),
        limit: Some(u32::try_from(limit.saturating_add(1)).unwrap_or(u32::MAX)),
        read_consistency: Some(by_majority()),
        ..ScrollPoints::default()
    }
}
