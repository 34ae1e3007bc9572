//! A new collection beside the one that serves, and the switch of the alias.

use std::sync::Arc;

use async_trait::async_trait;
use domain::memory::{EmbeddingSpace, IndexEntry, IndexError, IndexRebuild};
use domain::privacy::LearnGrant;

use crate::client::CallError;
use crate::collection::Collection;
use crate::index::Shared;

/// A collection in the making.
pub(crate) struct Rebuild {
    shared: Arc<Shared>,
    next: Collection,
    old: Option<String>,
}

impl Rebuild {
    /// Clears what an earlier rebuild left behind, and makes an empty collection.
    pub(crate) async fn begin(
        shared: Arc<Shared>,
        space: Option<&EmbeddingSpace>,
    ) -> Result<Self, CallError> {
        let (next, old) = shared.next_collection(space).await?;
        Ok(Self { shared, next, old })
    }
}

impl Shared {
    /// A new, empty collection with the next number, and the name of the one that serves. All others
    /// are deleted: they are left over.
    async fn next_collection(
        &self,
        space: Option<&EmbeddingSpace>,
    ) -> Result<(Collection, Option<String>), CallError> {
        let collections = self.collections();
        let old = collections
            .serving(self.patient())
            .await?
            .map(|old| old.name);
        let numbers = collections.numbers().await?;
        for number in &numbers {
            let name = format!("{}-{number}", self.config.collection);
            if old.as_ref() != Some(&name) {
                collections.delete(&name).await?;
            }
        }
        let number = numbers.iter().max().map_or(1, |last| last + 1);
        Ok((collections.create(number, space).await?, old))
    }

    /// Puts a collection in the place of another one, which is deleted.
    async fn replace(&self, next: &str, old: Option<&str>) -> Result<(), CallError> {
        self.collections().serve(next).await?;
        self.doubt();
        if let Some(old) = old {
            // Nobody is led to it any more; if this fails, the next rebuild clears it.
            let _ = self.collections().delete(old).await;
        }
        Ok(())
    }

    /// Gives a collection that has words alone a space: everything is copied into one that has it.
    pub(crate) async fn give_space(
        &self,
        wordy: &Collection,
        space: &EmbeddingSpace,
    ) -> Result<Collection, CallError> {
        let (next, _) = self.next_collection(Some(space)).await?;
        self.copy(&wordy.name, &next.name).await?;
        self.replace(&next.name, Some(&wordy.name)).await?;
        Ok(next)
    }
}

#[async_trait]
impl IndexRebuild for Rebuild {
    async fn upsert(&self, grant: &LearnGrant, entries: Vec<IndexEntry>) -> Result<(), IndexError> {
        let dimension = self.next.space.as_ref().map(|space| space.dimension);
        let mut vectors = entries.iter().filter_map(|entry| entry.embedding.as_ref());
        if vectors.any(|vector| Some(vector.dimension()) != dimension) {
            return Err(match &self.next.space {
                Some(space) => IndexError::WrongSpace {
                    recorded: space.clone(),
                },
                None => IndexError::Unavailable("the new index has no embedding space".into()),
            });
        }
        Ok(self
            .shared
            .put(&self.next.name, grant.scope(), &entries)
            .await?)
    }

    async fn finish(self: Box<Self>) -> Result<(), IndexError> {
        self.shared
            .replace(&self.next.name, self.old.as_deref())
            .await?;
        self.shared.embed_in(self.next.space);
        Ok(())
    }

    async fn abandon(self: Box<Self>) -> Result<(), IndexError> {
        Ok(self.shared.collections().delete(&self.next.name).await?)
    }
}
