//! The embedded memory index: rows beside the memories, searched exactly in this process.
//!
//! A profile is loaded whole at its first search and kept, with others, in a cache of bounded size.
//! What this process writes is patched into the loaded profile; what another one wrote is noticed by
//! the profile's revision, which every write raises in its own transaction and every search reads.

mod loaded;
mod rebuild;
mod rows;
mod score;

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use domain::ids::MemoryId;
use domain::memory::{
    Embedding, EmbeddingSpace, IndexEntry, IndexError, IndexHit, IndexQuery, IndexRebuild,
    IndexedMemory, MemoryIndex,
};
use domain::privacy::{LearnGrant, MemoryScope, RecallGrant};
use domain::store::StoreError;
use moka::sync::Cache;
use tokio::sync::{Mutex, MutexGuard};

use crate::bounded::Transaction;
use crate::error::fault;
use crate::store::SqlStore;
use loaded::LoadedProfile;
use rebuild::Rebuild;
use rows::Head;

/// Above this many memories a search takes about a millisecond, too long for an async thread.
const SEARCHED_IN_PLACE: usize = 1000;

type Shared = Arc<RwLock<LoadedProfile>>;

/// [`MemoryIndex`] on the rows of an [`SqlStore`].
pub struct SqlMemoryIndex {
    store: SqlStore,
    loaded: Cache<MemoryScope, Shared>,
    /// One at a time writes to or loads a profile; profiles share a few locks.
    turns: Arc<[Mutex<()>; 64]>,
    hasher: RandomState,
}

impl SqlMemoryIndex {
    /// An index that keeps up to `cache_bytes` of profiles in memory. Any number of instances, in any
    /// number of processes, may share a database.
    pub fn new(store: &SqlStore, cache_bytes: u64) -> Self {
        let kib = |_: &MemoryScope, profile: &Shared| {
            u32::try_from(read(profile).bytes() / 1024 + 1).unwrap_or(u32::MAX)
        };
        Self {
            store: store.clone(),
            loaded: Cache::builder()
                .max_capacity(cache_bytes / 1024)
                .weigher(kib)
                .build(),
            turns: Arc::new(std::array::from_fn(|_| Mutex::new(()))),
            hasher: RandomState::new(),
        }
    }

    /// The same index, with the same profiles in memory, by the connections of another store of the
    /// same database.
    #[must_use]
    pub fn through(&self, store: &SqlStore) -> Self {
        Self {
            store: store.clone(),
            loaded: self.loaded.clone(),
            turns: Arc::clone(&self.turns),
            hasher: self.hasher.clone(),
        }
    }

    async fn turn(&self, scope: MemoryScope) -> MutexGuard<'_, ()> {
        let hash = usize::try_from(self.hasher.hash_one(scope) % 64).unwrap_or(0);
        self.turns[hash].lock().await
    }

    async fn read(&self, scope: MemoryScope) -> Result<Transaction, IndexError> {
        let begun = self.store.begin_read(Some(scope.user)).await;
        begun.map_err(unavailable)
    }

    async fn write(&self, scope: MemoryScope) -> Result<Transaction, IndexError> {
        let begun = self.store.begin_write(Some(scope.user)).await;
        begun.map_err(unavailable)
    }

    fn cached(&self, scope: MemoryScope, revision: i64) -> Option<Shared> {
        self.loaded
            .get(&scope)
            .filter(|profile| read(profile).revision() == revision)
    }

    /// The profile as it stands at `head`, or later.
    async fn fresh(&self, scope: MemoryScope, head: &Head) -> Result<Shared, IndexError> {
        if let Some(profile) = self.cached(scope, head.revision) {
            return Ok(profile);
        }
        let _turn = self.turn(scope).await;
        let tx = self.read(scope).await?;
        let head = rows::head(&tx, scope).await.map_err(unavailable)?;
        // Whoever had the turn before may have done it already.
        if let Some(profile) = self.cached(scope, head.revision) {
            return Ok(profile);
        }
        if let Some(profile) = self.loaded.get(&scope) {
            let since = read(&profile).revision();
            let changes = rows::since(&tx, scope, since).await.map_err(unavailable)?;
            let total = rows::count(&tx, scope).await.map_err(unavailable)?;
            if write(&profile).catch_up(&changes, total, head.revision) {
                self.loaded.insert(scope, Arc::clone(&profile));
                return Ok(profile);
            }
        }
        let all = rows::all(&tx, scope).await.map_err(unavailable)?;
        let profile = in_background(move || LoadedProfile::load(&all, head.revision)).await?;
        let profile = Arc::new(RwLock::new(profile.map_err(unavailable)?));
        self.loaded.insert(scope, Arc::clone(&profile));
        Ok(profile)
    }

    /// Brings the loaded profile, if there is one, from the revision before to this one.
    fn patch(&self, scope: MemoryScope, revision: i64, change: impl FnOnce(&mut LoadedProfile)) {
        let Some(profile) = self.cached(scope, revision - 1) else {
            self.loaded.invalidate(&scope);
            return;
        };
        write(&profile).patch(revision, change);
        // Inserted again, so that it is weighed again.
        self.loaded.insert(scope, profile);
    }
}

#[async_trait]
impl MemoryIndex for SqlMemoryIndex {
    async fn space(&self) -> Result<Option<EmbeddingSpace>, IndexError> {
        let tx = self.store.begin_read(None).await.map_err(unavailable)?;
        rows::space(&tx).await.map_err(unavailable)
    }

    async fn adopt(&self, space: &EmbeddingSpace) -> Result<(), IndexError> {
        let recorded = if let Some(recorded) = self.space().await? {
            recorded
        } else {
            let tx = self.store.begin_write(None).await.map_err(unavailable)?;
            let recorded = rows::record_space(&tx, space).await.map_err(unavailable)?;
            commit(tx).await?;
            recorded
        };
        if recorded == *space {
            Ok(())
        } else {
            Err(IndexError::WrongSpace { recorded })
        }
    }

    async fn begin_rebuild(
        &self,
        space: Option<&EmbeddingSpace>,
    ) -> Result<Box<dyn IndexRebuild>, IndexError> {
        let (store, loaded) = (self.store.clone(), self.loaded.clone());
        Ok(Box::new(Rebuild::new(store, loaded, space.cloned())))
    }

    async fn search(
        &self,
        grant: &RecallGrant,
        query: &IndexQuery,
    ) -> Result<Vec<IndexHit>, IndexError> {
        if query.terms.is_empty() && query.embedding.is_none() {
            return Ok(Vec::new());
        }
        let scope = grant.scope();
        let tx = self.read(scope).await?;
        let head = rows::head(&tx, scope).await.map_err(unavailable)?;
        drop(tx);
        check_space(
            head.space.as_ref(),
            query.embedding.iter().map(Embedding::dimension),
        )?;
        let profile = self.fresh(scope, &head).await?;
        if read(&profile).len() <= SEARCHED_IN_PLACE {
            return Ok(read(&profile).search(query));
        }
        let query = query.clone();
        in_background(move || read(&profile).search(&query)).await
    }

    async fn upsert(&self, grant: &LearnGrant, entries: Vec<IndexEntry>) -> Result<(), IndexError> {
        if entries.is_empty() {
            return Ok(());
        }
        let scope = grant.scope();
        let _turn = self.turn(scope).await;
        let tx = self.write(scope).await?;
        let head = rows::head(&tx, scope).await.map_err(unavailable)?;
        let dimensions = entries.iter().filter_map(|entry| entry.embedding.as_ref());
        check_space(head.space.as_ref(), dimensions.map(Embedding::dimension))?;
        let Some(revision) = rows::next_revision(&tx, scope).await.map_err(unavailable)? else {
            return Ok(());
        };
        let mut stored = Vec::with_capacity(entries.len());
        for entry in entries {
            // A memory that is gone meanwhile is left out.
            if rows::put(&tx, scope, &entry, revision)
                .await
                .map_err(unavailable)?
            {
                stored.push(entry);
            }
        }
        commit(tx).await?;
        self.patch(scope, revision, |profile| profile.put_all(stored));
        Ok(())
    }

    async fn remove(
        &self,
        scope: MemoryScope,
        memories: Option<&[MemoryId]>,
    ) -> Result<(), IndexError> {
        if memories.is_some_and(<[_]>::is_empty) {
            return Ok(());
        }
        let _turn = self.turn(scope).await;
        let tx = self.write(scope).await?;
        // First, as for whoever else writes; and also if no row is left, as they go with their memories, of
        // which nobody is told.
        let revision = rows::next_revision(&tx, scope).await.map_err(unavailable)?;
        let deleted = rows::delete(&tx, scope, memories).await;
        deleted.map_err(unavailable)?;
        commit(tx).await?;
        match (revision, memories) {
            (Some(revision), Some(memories)) => {
                self.patch(scope, revision, |profile| profile.remove_all(memories));
            }
            (None, _) | (_, None) => self.loaded.invalidate(&scope),
        }
        Ok(())
    }

    async fn entries(
        &self,
        scope: MemoryScope,
        after: Option<MemoryId>,
        limit: usize,
    ) -> Result<Vec<IndexedMemory>, IndexError> {
        let tx = self.read(scope).await?;
        rows::page(&tx, scope, after, limit)
            .await
            .map_err(unavailable)
    }

    async fn owners(
        &self,
        after: Option<MemoryId>,
        limit: usize,
    ) -> Result<Vec<(MemoryId, MemoryScope)>, IndexError> {
        self.store
            .index_owners(after, limit)
            .await
            .map_err(unavailable)
    }
}

/// Refuses vectors of another length than the recorded space.
fn check_space(
    space: Option<&EmbeddingSpace>,
    dimensions: impl Iterator<Item = usize>,
) -> Result<(), IndexError> {
    let mut dimensions = dimensions.peekable();
    match space {
        _ if dimensions.peek().is_none() => Ok(()),
        Some(space) if dimensions.all(|dimension| dimension == space.dimension) => Ok(()),
        Some(space) => Err(IndexError::WrongSpace {
            recorded: space.clone(),
        }),
        None => Err(IndexError::Unavailable(fault(
            "no embedding space is recorded",
        ))),
    }
}

async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, IndexError> {
    let result = tokio::task::spawn_blocking(work).await;
    result.map_err(|_| IndexError::Unavailable(fault("a search was cut off")))
}

async fn commit(tx: Transaction) -> Result<(), IndexError> {
    tx.commit().await.map_err(unavailable)
}

fn unavailable(error: StoreError) -> IndexError {
    IndexError::Unavailable(Box::new(error))
}

/// A lock is poisoned by a panic only; what it guards is rebuilt from rows when it looks stale.
fn read(profile: &Shared) -> RwLockReadGuard<'_, LoadedProfile> {
    profile.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(profile: &Shared) -> RwLockWriteGuard<'_, LoadedProfile> {
    profile.write().unwrap_or_else(PoisonError::into_inner)
}
