//! Bringing the index up to date with a memory's row.

use std::sync::Arc;

use super::{
    EmbedError, Embedder, Embedding, EmbeddingPurpose, IndexEntry, IndexError, Memory, MemoryIndex,
    Terms,
};
use crate::ids::{MemoryId, UserId};
use crate::privacy::{LearnGrant, MemoryScope};
use crate::store::{Store, StoreError, UnitOfWork};

/// A failure to index.
#[derive(Debug, thiserror::Error)]
pub enum IndexingError {
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The embedding model; the words are indexed already.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The entry is still there after its removal.
    #[error("the index still holds a removed memory")]
    StillThere,
}

/// Writes single memories into the index, and takes them out.
pub struct Indexer {
    store: Arc<dyn Store>,
    index: Arc<dyn MemoryIndex>,
    embedder: Option<Arc<dyn Embedder>>,
}

impl Indexer {
    /// Without an embedder, memories are indexed by their words alone.
    pub fn new(
        store: Arc<dyn Store>,
        index: Arc<dyn MemoryIndex>,
        embedder: Option<Arc<dyn Embedder>>,
    ) -> Self {
        Self {
            store,
            index,
            embedder,
        }
    }

    /// Makes the index agree with the row of a memory: present, changed or gone. Idempotent. Answers
    /// with a unit of work that records it and is still to be committed.
    pub async fn sync(
        &self,
        scope: MemoryScope,
        id: MemoryId,
    ) -> Result<Box<dyn UnitOfWork>, IndexingError> {
        loop {
            let memory = self.row(scope.user, id).await?;
            let with_vector = match &memory {
                Some(memory) => self.write(memory).await?,
                None => false,
            };
            let mut work = self.store.begin(scope.user).await?;
            match (memory, work.memories().find_for_index(id).await?) {
                (Some(memory), Some(now)) if now.version == memory.version => {
                    work.memories().mark_indexed(&memory, with_vector).await?;
                    return Ok(work);
                }
                // It was changed meanwhile: what was just written may be the older text.
                (_, Some(_)) => drop(work),
                (_, None) => {
                    // It went away, perhaps while it was being written.
                    drop(work);
                    self.remove(scope, id).await?;
                    return Ok(self.store.begin(scope.user).await?);
                }
            }
        }
    }

    async fn row(&self, user: UserId, id: MemoryId) -> Result<Option<Memory>, StoreError> {
        self.store
            .read(user)
            .await?
            .memories()
            .find_for_index(id)
            .await
    }

    /// Writes an entry; `true` when it has its vector.
    async fn write(&self, memory: &Memory) -> Result<bool, IndexingError> {
        let (embedding, failure) = match self.embed(memory).await {
            Ok(embedding) => (embedding, None),
            Err(error) => (None, Some(error)),
        };
        let with_vector = embedding.is_some();
        let terms = Terms::of(memory.content.as_str());
        let entry = IndexEntry {
            memory: memory.id,
            terms,
            embedding,
        };
        self.index
            .upsert(&LearnGrant::to_index(memory), vec![entry])
            .await?;
        failure.map_or(Ok(with_vector), |error| Err(error.into()))
    }

    async fn embed(&self, memory: &Memory) -> Result<Option<Embedding>, EmbedError> {
        let Some(embedder) = &self.embedder else {
            return Ok(None);
        };
        let text = memory.content.as_str().to_owned();
        Ok(embedder
            .embed(vec![text], EmbeddingPurpose::Document)
            .await?
            .into_iter()
            .next())
    }

    /// Takes an entry out and proves by reading back that it is gone.
    async fn remove(&self, scope: MemoryScope, id: MemoryId) -> Result<(), IndexingError> {
        self.index.remove(scope, Some(&[id])).await?;
        let gone = !self.index.entries(scope).await?.contains(&id);
        if gone {
            Ok(())
        } else {
            Err(IndexingError::StillThere)
        }
    }

    /// Takes out every entry of a scope that has no row any more, and proves it.
    pub async fn sweep(&self, scope: MemoryScope) -> Result<(), IndexingError> {
        let mut orphans = Vec::new();
        // Entries first: each was written after its row, so a later look at the rows cannot miss one.
        let entries = self.index.entries(scope).await?;
        let mut work = self.store.read(scope.user).await?;
        for id in entries {
            let row = work.memories().find_for_index(id).await?;
            if row.is_none_or(|memory| memory.scope != scope) {
                orphans.push(id);
            }
        }
        drop(work);
        if orphans.is_empty() {
            return Ok(());
        }
        self.index.remove(scope, Some(&orphans)).await?;
        let left = self.index.entries(scope).await?;
        let gone = !orphans.iter().any(|id| left.contains(id));
        if gone {
            Ok(())
        } else {
            Err(IndexingError::StillThere)
        }
    }
}
