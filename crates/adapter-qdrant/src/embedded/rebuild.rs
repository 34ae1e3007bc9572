//! A new collection beside the one that serves.

use std::sync::Arc;

use async_trait::async_trait;
use domain::memory::{EmbeddingSpace, IndexEntry, IndexError, IndexRebuild};
use domain::privacy::LearnGrant;

use super::collection::Collection;
use super::error::EdgeError;
use super::index::{Opened, Shared, blocking, lock};
use crate::space;

/// A collection in the making, by its number: another rebuild may have taken its place.
pub(super) struct Rebuild {
    shared: Arc<Shared>,
    number: u64,
}

impl Rebuild {
    /// Clears what an earlier rebuild left behind, and makes an empty collection.
    pub(super) async fn begin(
        shared: Arc<Shared>,
        space: Option<EmbeddingSpace>,
    ) -> Result<Self, IndexError> {
        let number = blocking(&shared, move |_, opened| {
            let mut making = lock(&opened.making);
            if let Some(left) = making.take() {
                opened.discard(left)?;
            }
            let next = opened.create(space.as_ref())?;
            Ok(making.insert(next).number)
        })
        .await?;
        Ok(Self { shared, number })
    }
}

/// Takes the collection of this number, if it is still the one in the making.
fn take(opened: &Opened, number: u64) -> Result<Collection, EdgeError> {
    let mut making = lock(&opened.making);
    let taken = making.take_if(|making| making.number == number);
    taken.ok_or(EdgeError::Superseded)
}

#[async_trait]
impl IndexRebuild for Rebuild {
    async fn upsert(&self, grant: &LearnGrant, entries: Vec<IndexEntry>) -> Result<(), IndexError> {
        let (scope, number) = (grant.scope(), self.number);
        blocking(&self.shared, move |shared, opened| {
            let making = lock(&opened.making);
            let next = making.as_ref().filter(|making| making.number == number);
            let next = next.ok_or(EdgeError::Superseded)?;
            let vectors = entries.iter().filter_map(|entry| entry.embedding.as_ref());
            space::check(next.space.as_ref(), None, vectors)?;
            next.put(scope, &entries, &shared.alarm)
        })
        .await
    }

    async fn finish(self: Box<Self>) -> Result<(), IndexError> {
        let number = self.number;
        blocking(&self.shared, move |shared, opened| {
            let next = take(opened, number)?;
            let _writes = lock(&opened.writes);
            let space = next.space.clone();
            opened.serve(next)?;
            shared.embed_in(space);
            Ok(())
        })
        .await
    }

    async fn abandon(self: Box<Self>) -> Result<(), IndexError> {
        let number = self.number;
        blocking(&self.shared, move |_, opened| {
            opened.discard(take(opened, number)?)
        })
        .await
    }
}
