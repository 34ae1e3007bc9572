//! An embedded index in the making: kept in memory, about two kilobytes for each memory, and written when
//! all of it is there, so that the old entries serve until then.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::memory::{Embedding, EmbeddingSpace, IndexEntry, IndexError, IndexRebuild};
use domain::privacy::{LearnGrant, MemoryScope};
use domain::store::StoreError;
use moka::sync::Cache;

use super::{Shared, check_space, commit, rows, unavailable};
use crate::bounded::Transaction;
use crate::store::SqlStore;

/// Entries that are asked for their profiles in one go.
const OWNERS: usize = 1000;

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

    /// In one transaction: nobody may compare vectors of two models. Until it ends, whoever changes an entry
    /// or deletes a memory waits.
    async fn replace_all(&self, all: Entries) -> Result<(), IndexError> {
        let tx = self.store.begin_anew(self.space.as_ref()).await;
        let tx = tx.map_err(unavailable)?;
        for (scope, entries) in all {
            let bound = self.store.rebind(&tx, scope.user).await;
            bound.map_err(unavailable)?;
            fill(&tx, scope, &entries).await.map_err(unavailable)?;
        }
        commit(tx).await
    }

    /// The vectors are of the same model as before: profile by profile, so that each waits for itself alone.
    async fn replace_each(&self, mut all: Entries) -> Result<(), IndexError> {
        for scope in self.indexed().await.map_err(unavailable)? {
            all.entry(scope).or_default();
        }
        for (scope, entries) in all {
            let tx = self.store.begin_write(Some(scope.user)).await;
            let tx = tx.map_err(unavailable)?;
            fill(&tx, scope, &entries).await.map_err(unavailable)?;
            commit(tx).await?;
        }
        Ok(())
    }

    /// The profiles that have entries.
    async fn indexed(&self) -> Result<HashSet<MemoryScope>, StoreError> {
        let (mut scopes, mut after) = (HashSet::new(), None);
        loop {
            let owners = self.store.index_owners(after, OWNERS).await?;
            let Some((last, _)) = owners.last() else {
                return Ok(scopes);
            };
            after = Some(*last);
            scopes.extend(owners.into_iter().map(|(_, scope)| scope));
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts these entries in the place of those that a profile has, if it is still there. Its revision comes
/// first, as for whoever else writes.
async fn fill(
    tx: &Transaction,
    scope: MemoryScope,
    entries: &[IndexEntry],
) -> Result<(), StoreError> {
    let Some(revision) = rows::next_revision(tx, scope).await? else {
        return Ok(());
    };
    rows::delete(tx, scope, None).await?;
    for entry in entries {
        rows::put(tx, scope, entry, revision).await?;
    }
    Ok(())
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
        let tx = self.store.begin_read(None).await.map_err(unavailable)?;
        let recorded = rows::space(&tx).await.map_err(unavailable)?;
        drop(tx);
        if recorded == self.space {
            self.replace_each(all).await?;
        } else {
            self.replace_all(all).await?;
        }
        self.loaded.invalidate_all();
        Ok(())
    }

    async fn abandon(self: Box<Self>) -> Result<(), IndexError> {
        Ok(())
    }
}
