//! [`MemoryIndex`] by the engine in this process.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

use async_trait::async_trait;
use domain::ids::MemoryId;
use domain::memory::{
    EmbeddingSpace, IndexEntry, IndexError, IndexHit, IndexQuery, IndexRebuild, IndexedMemory,
    MemoryIndex,
};
use domain::privacy::{LearnGrant, MemoryScope, RecallGrant};

use super::collection::Collection;
use super::error::EdgeError;
use super::folder::Folder;
use super::point::{among, within};
use super::rebuild::Rebuild;
use super::search::Search;
use crate::alarm::Alarm;
use crate::space;

/// [`MemoryIndex`] by Qdrant's engine in this process, in a folder of its own. Clones share it; two
/// indexes on one folder, in whatever processes, do not go together.
#[derive(Clone)]
pub struct EdgeMemoryIndex(pub(super) Arc<Shared>);

/// What the clones of an index share.
pub(super) struct Shared {
    path: PathBuf,
    opened: OnceLock<Opened>,
    opening: Mutex<()>,
    /// The space that this process embeds in, once it has said so.
    adopted: Mutex<Option<EmbeddingSpace>>,
    pub(super) alarm: Alarm,
}

/// The folder, once it is open. Locks are taken in the order of the fields.
pub(super) struct Opened {
    folder: Folder,
    last: AtomicU64,
    /// The collection of the latest rebuild.
    pub(super) making: Mutex<Option<Collection>>,
    /// One writes at a time.
    pub(super) writes: Mutex<()>,
    serving: RwLock<Option<Collection>>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EdgeMemoryIndex {
    /// An index in this folder, which is opened, and made if need be, when it is first needed. While
    /// another process has it, every call fails.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Shared {
            path: folder.into(),
            opened: OnceLock::new(),
            opening: Mutex::default(),
            adopted: Mutex::default(),
            alarm: Alarm::default(),
        }))
    }

    /// Says in which space this process embeds, before the index is asked for its own.
    pub fn expect(&self, space: Option<EmbeddingSpace>) {
        self.0.embed_in(space);
    }

    /// How many points were met that name another owner than they should; each was dropped.
    pub fn foreign_points(&self) -> u64 {
        self.0.alarm.count()
    }
}

/// Does blocking work on a thread for it. The work goes on to its end, also when nobody waits any more.
pub(super) async fn blocking<T: Send + 'static>(
    shared: &Arc<Shared>,
    work: impl FnOnce(&Shared, &Opened) -> Result<T, EdgeError> + Send + 'static,
) -> Result<T, IndexError> {
    let shared = Arc::clone(shared);
    let work = move || work(&shared, shared.opened()?);
    let outcome = tokio::task::spawn_blocking(work).await;
    Ok(outcome.unwrap_or(Err(EdgeError::BrokeOff))?)
}

impl Shared {
    fn opened(&self) -> Result<&Opened, EdgeError> {
        let _opening = lock(&self.opening);
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let opened = Opened::open(&self.path)?;
        Ok(self.opened.get_or_init(|| opened))
    }

    /// From now on this process embeds in this space.
    pub(super) fn embed_in(&self, space: Option<EmbeddingSpace>) {
        *lock(&self.adopted) = space;
    }

    /// The space that this process embeds in.
    fn adopted(&self) -> Option<EmbeddingSpace> {
        lock(&self.adopted).clone()
    }
}

impl Opened {
    /// Takes the folder, opens what serves, and clears what a rebuild left behind.
    fn open(path: &Path) -> Result<Self, EdgeError> {
        let folder = Folder::take(path)?;
        let serving = folder.serving()?;
        let numbers = folder.numbers()?;
        for number in numbers.iter().filter(|number| Some(**number) != serving) {
            folder.delete(*number)?;
        }
        let serving = serving.map(|number| Collection::open(&folder, number));
        Ok(Self {
            serving: RwLock::new(serving.transpose()?),
            folder,
            last: AtomicU64::new(numbers.into_iter().max().unwrap_or(0)),
            making: Mutex::default(),
            writes: Mutex::default(),
        })
    }

    /// The collection that serves. It stays while it is read from or written to.
    pub(super) fn serving(&self) -> RwLockReadGuard<'_, Option<Collection>> {
        self.serving.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn serving_mut(&self) -> RwLockWriteGuard<'_, Option<Collection>> {
        self.serving.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new, empty collection.
    pub(super) fn create(&self, space: Option<&EmbeddingSpace>) -> Result<Collection, EdgeError> {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        Collection::create(&self.folder, number, space)
    }

    /// Closes and deletes a collection that does not serve.
    pub(super) fn discard(&self, collection: Collection) -> Result<(), EdgeError> {
        let number = collection.number;
        // The engine writes into its files while it closes them.
        drop(collection);
        self.folder.delete(number)
    }

    /// Puts a collection in the place of the one that serves, which is deleted. Whoever calls has
    /// [`writes`](Self::writes).
    pub(super) fn serve(&self, next: Collection) -> Result<(), EdgeError> {
        self.folder.serve(next.number)?;
        let old = self.serving_mut().replace(next);
        if let Some(old) = old {
            // Nobody is led to it any more; if this fails, the next start clears it.
            let _ = self.discard(old);
        }
        Ok(())
    }

    /// Makes the first collection, if there is none. Whoever calls has [`writes`](Self::writes).
    fn ensure(&self, space: Option<&EmbeddingSpace>) -> Result<(), EdgeError> {
        if self.serving().is_some() {
            return Ok(());
        }
        self.serve(self.create(space)?)
    }

    /// Records the space, where there is none.
    fn adopt(&self, space: &EmbeddingSpace) -> Result<(), EdgeError> {
        let _writes = lock(&self.writes);
        self.ensure(Some(space))?;
        let wordy = {
            let serving = self.serving();
            let recorded = serving.as_ref().and_then(|serving| serving.space.clone());
            match (&*serving, recorded) {
                (Some(wordy), None) => {
                    let next = self.create(Some(space))?;
                    wordy.copy_to(&next)?;
                    Some(next)
                }
                (_, Some(recorded)) if recorded != *space => {
                    return Err(IndexError::WrongSpace { recorded }.into());
                }
                _ => None,
            }
        };
        wordy.map_or(Ok(()), |next| self.serve(next))
    }
}

#[async_trait]
impl MemoryIndex for EdgeMemoryIndex {
    async fn space(&self) -> Result<Option<EmbeddingSpace>, IndexError> {
        blocking(&self.0, |_, opened| {
            let serving = opened.serving();
            Ok(serving.as_ref().and_then(|serving| serving.space.clone()))
        })
        .await
    }

    async fn adopt(&self, space: &EmbeddingSpace) -> Result<(), IndexError> {
        let space = space.clone();
        blocking(&self.0, move |shared, opened| {
            opened.adopt(&space)?;
            shared.embed_in(Some(space));
            Ok(())
        })
        .await
    }

    async fn begin_rebuild(
        &self,
        space: Option<&EmbeddingSpace>,
    ) -> Result<Box<dyn IndexRebuild>, IndexError> {
        let rebuild = Rebuild::begin(Arc::clone(&self.0), space.cloned()).await?;
        Ok(Box::new(rebuild))
    }

    async fn search(
        &self,
        grant: &RecallGrant,
        query: &IndexQuery,
    ) -> Result<Vec<IndexHit>, IndexError> {
        if query.terms.is_empty() && query.embedding.is_none() {
            return Ok(Vec::new());
        }
        let (scope, query) = (grant.scope(), query.clone());
        blocking(&self.0, move |shared, opened| {
            let serving = opened.serving();
            let Some(collection) = &*serving else {
                return Ok(Vec::new());
            };
            let (recorded, adopted) = (collection.space.as_ref(), shared.adopted());
            space::check(recorded, adopted.as_ref(), query.embedding.iter())?;
            let search = Search {
                collection,
                scope,
                alarm: &shared.alarm,
            };
            search.run(&query)
        })
        .await
    }

    async fn upsert(&self, grant: &LearnGrant, entries: Vec<IndexEntry>) -> Result<(), IndexError> {
        if entries.is_empty() {
            return Ok(());
        }
        let scope = grant.scope();
        blocking(&self.0, move |shared, opened| {
            let _writes = lock(&opened.writes);
            let adopted = shared.adopted();
            opened.ensure(adopted.as_ref())?;
            let serving = opened.serving();
            let Some(collection) = &*serving else {
                return Ok(());
            };
            let vectors = entries.iter().filter_map(|entry| entry.embedding.as_ref());
            space::check(collection.space.as_ref(), adopted.as_ref(), vectors)?;
            collection.put(scope, &entries, &shared.alarm)
        })
        .await
    }

    async fn remove(
        &self,
        scope: MemoryScope,
        memories: Option<&[MemoryId]>,
    ) -> Result<(), IndexError> {
        let filter = memories.map_or_else(|| within(scope), |some| among(scope, some));
        blocking(&self.0, move |_, opened| {
            let _writes = lock(&opened.writes);
            match &*opened.serving() {
                Some(collection) => collection.remove(filter),
                None => Ok(()),
            }
        })
        .await
    }

    async fn entries(
        &self,
        scope: MemoryScope,
        after: Option<MemoryId>,
        limit: usize,
    ) -> Result<Vec<IndexedMemory>, IndexError> {
        blocking(&self.0, move |shared, opened| match &*opened.serving() {
            Some(collection) => collection.entries(scope, after, limit, &shared.alarm),
            None => Ok(Vec::new()),
        })
        .await
    }

    async fn owners(
        &self,
        after: Option<MemoryId>,
        limit: usize,
    ) -> Result<Vec<(MemoryId, MemoryScope)>, IndexError> {
        blocking(&self.0, move |shared, opened| match &*opened.serving() {
            Some(collection) => collection.owners(after, limit, &shared.alarm),
            None => Ok(Vec::new()),
        })
        .await
    }
}
