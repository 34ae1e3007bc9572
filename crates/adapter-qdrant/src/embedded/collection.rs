//! One collection: a shard of the engine, and the space that it was made for.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use domain::ids::MemoryId;
use domain::memory::{EmbeddingSpace, IndexEntry, IndexedMemory};
use domain::privacy::MemoryScope;
use qdrant_edge::external::serde_json::{self, Value as Json, json};
use qdrant_edge::{
    CreateIndex, Distance, EdgeConfig, EdgeShard, EdgeSparseVectorParams, EdgeVectorParams,
    FieldIndexOperations, Filter, IntegerIndexParams, PayloadFieldSchema, PayloadSchemaParams,
    PointInsertOperations, PointOperations, PointStruct, PointStructPersisted, Record,
    ScrollRequest, UpdateOperation, UuidIndexParams, Vectors, WalOptions, WithVector,
};

use super::error::EdgeError;
use super::folder::{Folder, sync, write};
use super::point::{field, fields, id, memory, only, point, within};
use crate::alarm::Alarm;
use crate::collection::{DIMENSION, MODEL};
use crate::point::{Fields, LENGTH, MEANING, PROFILE, TERMS, USER, VERSION, WITH_VECTOR, WORDS};

/// The file that names the embedding space; `null` where there is none.
const SPACE: &str = "space.json";

/// Points in one operation.
const BATCH: usize = 200;

/// Size of a piece of the log.
const LOG_BYTES: usize = 4 * 1024 * 1024;

/// A collection that is open. Whoever writes must be the only one who does.
pub(crate) struct Collection {
    pub(crate) number: u64,
    pub(crate) space: Option<EmbeddingSpace>,
    pub(super) shard: EdgeShard,
}

impl Collection {
    /// Makes an empty one, with its payload indexes.
    pub(crate) fn create(
        folder: &Folder,
        number: u64,
        space: Option<&EmbeddingSpace>,
    ) -> Result<Self, EdgeError> {
        let path = folder.collection(number);
        fs::create_dir(&path)?;
        write_space(&path, space)?;
        let collection = Self {
            number,
            space: space.cloned(),
            shard: EdgeShard::new(&path, config(space))?,
        };
        collection.index_fields()?;
        collection.shard.flush();
        sync(&path)?;
        path.parent().map_or(Ok(()), sync)?;
        Ok(collection)
    }

    /// Opens one.
    pub(crate) fn open(folder: &Folder, number: u64) -> Result<Self, EdgeError> {
        let path = folder.collection(number);
        Ok(Self {
            number,
            space: read_space(&path)?,
            shard: EdgeShard::load(&path, None)?,
        })
    }

    fn index_fields(&self) -> Result<(), EdgeError> {
        let uuid = |is_tenant| {
            PayloadSchemaParams::Uuid(UuidIndexParams {
                is_tenant: Some(is_tenant),
                on_disk: Some(true),
                ..UuidIndexParams::default()
            })
        };
        let lookup = || {
            PayloadSchemaParams::Integer(IntegerIndexParams {
                lookup: Some(true),
                range: Some(false),
                on_disk: Some(true),
                ..IntegerIndexParams::default()
            })
        };
        for (name, params) in [
            (PROFILE, uuid(true)),
            (USER, uuid(false)),
            (TERMS, lookup()),
            (LENGTH, lookup()),
        ] {
            let create = FieldIndexOperations::CreateIndex(CreateIndex {
                field_name: field(name),
                field_schema: Some(PayloadFieldSchema::FieldParams(params)),
            });
            self.shard
                .update(UpdateOperation::FieldIndexOperation(create))?;
        }
        Ok(())
    }

    /// Writes entries; they are on the disk when it returns. One whose point belongs to somebody else is
    /// left out, and then the whole call fails: the caller must not take it for written.
    pub(crate) fn put(
        &self,
        scope: MemoryScope,
        entries: &[IndexEntry],
        alarm: &Alarm,
    ) -> Result<(), EdgeError> {
        let foreign = self.foreign(scope, entries, alarm)?;
        let ours = entries
            .iter()
            .filter(|entry| !foreign.contains(&entry.memory));
        let points: Result<Vec<_>, _> = ours.map(|entry| point(scope, entry)).collect();
        for batch in points?.chunks(BATCH) {
            self.put_points(batch.to_vec())?;
        }
        self.shard.flush();
        if foreign.is_empty() {
            Ok(())
        } else {
            Err(EdgeError::Foreign)
        }
    }

    fn put_points(&self, points: Vec<PointStructPersisted>) -> Result<(), EdgeError> {
        let points = PointInsertOperations::PointsList(points);
        let operation = PointOperations::UpsertPoints(points);
        Ok(self
            .shard
            .update(UpdateOperation::PointOperation(operation))?)
    }

    /// Those of the memories whose point names another owner.
    fn foreign(
        &self,
        scope: MemoryScope,
        entries: &[IndexEntry],
        alarm: &Alarm,
    ) -> Result<HashSet<MemoryId>, EdgeError> {
        let ids: Vec<_> = entries.iter().map(|entry| id(entry.memory)).collect();
        let found = self
            .shard
            .retrieve(&ids, Some(only(&[USER, PROFILE])), None)?;
        let mut foreign = HashSet::new();
        for found in found {
            let owner = Fields(&fields(found.payload)).scope();
            if owner != Some(scope) {
                alarm.raise(memory(found.id), owner);
                foreign.extend(memory(found.id));
            }
        }
        Ok(foreign)
    }

    /// Removes the points that the filter lets through; they are gone from the disk's view when it
    /// returns.
    pub(crate) fn remove(&self, filter: Filter) -> Result<(), EdgeError> {
        let operation = PointOperations::DeletePointsByFilter(filter);
        self.shard
            .update(UpdateOperation::PointOperation(operation))?;
        self.shard.flush();
        Ok(())
    }

    /// The entries of a scope after `after`, in the order of their ids.
    pub(crate) fn entries(
        &self,
        scope: MemoryScope,
        after: Option<MemoryId>,
        limit: usize,
        alarm: &Alarm,
    ) -> Result<Vec<IndexedMemory>, EdgeError> {
        let request = ScrollRequest {
            filter: Some(within(scope)),
            with_payload: Some(only(&[USER, PROFILE, VERSION, WITH_VECTOR])),
            ..ScrollRequest::default()
        };
        let mut entries = Vec::new();
        for (memory, found) in self.after(request, after, limit)? {
            let fields = fields(found.payload);
            let fields = Fields(&fields);
            if fields.scope() != Some(scope) {
                alarm.raise(Some(memory), fields.scope());
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
    pub(crate) fn owners(
        &self,
        after: Option<MemoryId>,
        limit: usize,
        alarm: &Alarm,
    ) -> Result<Vec<(MemoryId, MemoryScope)>, EdgeError> {
        let request = ScrollRequest {
            with_payload: Some(only(&[USER, PROFILE])),
            ..ScrollRequest::default()
        };
        let mut owners = Vec::new();
        for (memory, found) in self.after(request, after, limit)? {
            match Fields(&fields(found.payload)).scope() {
                Some(scope) => owners.push((memory, scope)),
                None => alarm.raise(Some(memory), None),
            }
        }
        Ok(owners)
    }

    /// The points after `after`: the engine begins with the point of that id, if it is still there.
    fn after(
        &self,
        mut request: ScrollRequest,
        after: Option<MemoryId>,
        limit: usize,
    ) -> Result<Vec<(MemoryId, Record)>, EdgeError> {
        request.offset = after.map(id);
        request.limit = Some(limit.saturating_add(1));
        let (found, _) = self.shard.scroll(request)?;
        let found = found.into_iter();
        let points = found.filter_map(|found| Some((memory(found.id)?, found)));
        let later = points.filter(|(memory, _)| after.is_none_or(|after| *memory > after));
        Ok(later.take(limit).collect())
    }

    /// Copies all points into another collection, as they are.
    pub(crate) fn copy_to(&self, other: &Self) -> Result<(), EdgeError> {
        let mut offset = None;
        loop {
            let request = ScrollRequest {
                offset,
                limit: Some(BATCH),
                with_payload: Some(true.into()),
                with_vector: WithVector::Bool(true),
                ..ScrollRequest::default()
            };
            let (page, next) = self.shard.scroll(request)?;
            other.put_points(page.into_iter().map(again).collect())?;
            offset = next;
            if offset.is_none() {
                other.shard.flush();
                return Ok(());
            }
        }
    }
}

/// A point that was read, to be written again.
fn again(read: Record) -> PointStructPersisted {
    let vectors = read.vector.map_or_else(
        || Vectors::from(HashMap::<String, Vec<f32>>::new()),
        Vectors::from,
    );
    let payload = read.payload.map(|payload| payload.0).unwrap_or_default();
    PointStruct::new(read.id, vectors, Json::Object(payload)).into()
}

fn config(space: Option<&EmbeddingSpace>) -> EdgeConfig {
    let meaning = space.map(|space| {
        let params = EdgeVectorParams::builder(space.dimension, Distance::Cosine);
        (MEANING.to_owned(), params.on_disk(true).build())
    });
    let words = EdgeSparseVectorParams {
        on_disk: Some(true),
        ..EdgeSparseVectorParams::default()
    };
    EdgeConfig {
        on_disk_payload: true,
        vectors: meaning.into_iter().collect(),
        sparse_vectors: HashMap::from([(WORDS.to_owned(), words)]),
        wal_options: Some(WalOptions {
            segment_capacity: LOG_BYTES,
            ..WalOptions::default()
        }),
        ..EdgeConfig::default()
    }
}

fn write_space(path: &Path, space: Option<&EmbeddingSpace>) -> Result<(), EdgeError> {
    let space = space.map(|space| json!({ MODEL: space.model, DIMENSION: space.dimension }));
    let text = Json::from(space).to_string();
    Ok(write(path, SPACE, text.as_bytes())?)
}

fn read_space(path: &Path) -> Result<Option<EmbeddingSpace>, EdgeError> {
    let damaged = || EdgeError::Damaged(SPACE);
    let text = fs::read_to_string(path.join(SPACE))?;
    let space: Json = serde_json::from_str(&text).map_err(|_| damaged())?;
    if space.is_null() {
        return Ok(None);
    }
    let model = space[MODEL].as_str().ok_or_else(damaged)?;
    let dimension = space[DIMENSION].as_u64().ok_or_else(damaged)?;
    Ok(Some(EmbeddingSpace {
        model: model.to_owned(),
        dimension: usize::try_from(dimension).map_err(|_| damaged())?,
    }))
}
