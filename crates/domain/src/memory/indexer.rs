//! Bringing the index up to date with a memory's row.

use std::sync::Arc;

use super::{
    EmbedError, Embedder, Embedding, EmbeddingPurpose, IndexEntry, IndexError, Indexed,
    IndexedMemory, Memory, MemoryIndex,
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
            let held = match &memory {
                Some(memory) => self.write(memory).await?,
                None => Indexed::Nothing,
            };
            let mut work = self.store.begin(scope.user).await?;
            match (memory, work.memories().find_for_index(id).await?) {
                (Some(memory), Some(now)) if now.version == memory.version => {
                    work.memories().mark_indexed(&memory, held).await?;
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

    /// Writes an entry.
    async fn write(&self, memory: &Memory) -> Result<Indexed, IndexingError> {
        let (embedding, failure) = match self.embed(memory).await {
            Ok(embedding) => (embedding, None),
            Err(error) => (None, Some(error)),
        };
        let held = match embedding {
            Some(_) => Indexed::Vector,
            None => Indexed::Words,
        };
        let entry = IndexEntry::of(memory, embedding);
        self.index
            .upsert(&LearnGrant::to_index(memory), vec![entry])
            .await?;
        failure.map_or(Ok(held), |error| Err(error.into()))
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
        remove_and_prove(&*self.index, scope, &[id]).await
    }

    /// Takes out every entry of a scope that has no row any more, and proves it.
    pub async fn sweep(&self, scope: MemoryScope) -> Result<(), IndexingError> {
        // Entries first: each was written after its row, so a later look at the rows cannot miss one.
        let entries = all_entries(&*self.index, scope).await?;
        let ids: Vec<MemoryId> = entries.iter().map(|entry| entry.memory).collect();
        let orphans = without_row(&*self.store, scope, &ids).await?;
        remove_and_prove(&*self.index, scope, &orphans).await
    }
}

/// Entries asked for in one go.
const ENTRIES: usize = 1000;

/// All entries of a scope, in the order of their ids.
pub(super) async fn all_entries(
    index: &dyn MemoryIndex,
    scope: MemoryScope,
) -> Result<Vec<IndexedMemory>, IndexError> {
    let mut all: Vec<IndexedMemory> = Vec::new();
    loop {
        let after = all.last().map(|entry| entry.memory);
        let page = index.entries(scope, after, ENTRIES).await?;
        let is_last = page.len() < ENTRIES;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

/// Those of these memories that have no row in the scope.
pub(super) async fn without_row(
    store: &dyn Store,
    scope: MemoryScope,
    ids: &[MemoryId],
) -> Result<Vec<MemoryId>, StoreError> {
    let mut work = store.read(scope.user).await?;
    let mut orphans = Vec::new();
    for id in ids {
        let row = work.memories().find_for_index(*id).await?;
        if row.is_none_or(|memory| memory.scope != scope) {
            orphans.push(*id);
        }
    }
    Ok(orphans)
}

/// Takes entries out and proves by reading back that they are gone.
pub(super) async fn remove_and_prove(
    index: &dyn MemoryIndex,
    scope: MemoryScope,
    ids: &[MemoryId],
) -> Result<(), IndexingError> {
    if ids.is_empty() {
        return Ok(());
    }
    index.remove(scope, Some(ids)).await?;
    let left = all_entries(index, scope).await?;
    if left.iter().any(|entry| ids.contains(&entry.memory)) {
        return Err(IndexingError::StillThere);
    }
    Ok(())
}
