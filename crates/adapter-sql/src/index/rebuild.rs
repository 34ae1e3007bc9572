//! An embedded index in the making: kept in memory, about two kilobytes for each memory, and written in
//! one transaction, so that the old entries serve until then.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::memory::{Embedding, EmbeddingSpace, IndexEntry, IndexError, IndexRebuild};
use domain::privacy::{LearnGrant, MemoryScope};
use moka::sync::Cache;

use super::{Shared, check_space, commit, rows, unavailable};
use crate::store::SqlStore;

type Entries = HashMap<MemoryScope, Vec<IndexEntry>>;

/// What is to be written.
pub(super) struct Rebuild {
    store: SqlStore,
    loaded: Cache<MemoryScope, Shared>,
    space: Option<EmbeddingSpace>,
    entries: Mutex<Entries>,
}

impl Rebuild {
    /// Nothing yet.
    pub(super) fn new(
        store: SqlStore,
        loaded: Cache<MemoryScope, Shared>,
        space: Option<EmbeddingSpace>,
    ) -> Self {
        Self {
            store,
            loaded,
            space,
            entries: Mutex::default(),
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl IndexRebuild for Rebuild {
    async fn upsert(&self, grant: &LearnGrant, entries: Vec<IndexEntry>) -> Result<(), IndexError> {
        let vectors = entries.iter().filter_map(|entry| entry.embedding.as_ref());
        check_space(self.space.as_ref(), vectors.map(Embedding::dimension))?;
        self.entries()
            .entry(grant.scope())
            .or_default()
            .extend(entries);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<(), IndexError> {
        let all = std::mem::take(&mut *self.entries());
        let tx = self.store.begin_anew(self.space.as_ref()).await;
        let tx = tx.map_err(unavailable)?;
        for (scope, entries) in all {
            let bound = self.store.rebind(&tx, scope.user).await;
            bound.map_err(unavailable)?;
            let revision = rows::next_revision(&tx, scope).await.map_err(unavailable)?;
            let Some(revision) = revision else {
                continue; // The profile is gone.
            };
            for entry in &entries {
                rows::put(&tx, scope, entry, revision)
                    .await
                    .map_err(unavailable)?;
            }
        }
        commit(tx).await?;
        self.loaded.invalidate_all();
        Ok(())
    }

    async fn abandon(self: Box<Self>) -> Result<(), IndexError> {
        Ok(())
    }
}
