//! Ports that count, wait or lie, for what the fakes and faults of `testkit` do not tell.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use domain::ids::MemoryId;
use domain::jobs::WorkSignal;
use domain::memory::{
    EmbedError, Embedder, Embedding, EmbeddingPurpose, EmbeddingSpace, IndexEntry, IndexError,
    IndexHit, IndexQuery, IndexRebuild, IndexedMemory, MemoryIndex,
};
use domain::privacy::{LearnGrant, MemoryScope, RecallGrant};
use testkit::fakes::{HashEmbedder, InMemoryMemoryIndex};

/// Calls of something; `take` reads and starts anew.
#[derive(Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// Something that is up until a test says otherwise.
#[derive(Default)]
pub(crate) struct Switch(AtomicBool);

impl Switch {
    pub(crate) fn down(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn up(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn is_down(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// While a test holds it, whoever passes waits.
pub(crate) type Gate = tokio::sync::Mutex<()>;

/// An index that counts, can be down, can wait, can panic, and can claim hits that it was told to.
#[derive(Default)]
pub(crate) struct ProbedIndex {
    pub(crate) inner: InMemoryMemoryIndex,
    pub(crate) power: Switch,
    /// Down: whoever writes to the index panics.
    pub(crate) sanity: Switch,
    pub(crate) listing: Gate,
    pub(crate) searches: Count,
    pub(crate) upserts: Count,
    pub(crate) lies: Mutex<Vec<MemoryId>>,
}

impl ProbedIndex {
    fn check(&self) -> Result<(), IndexError> {
        if self.power.is_down() {
            return Err(IndexError::Unavailable("the index is down".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl MemoryIndex for ProbedIndex {
    async fn space(&self) -> Result<Option<EmbeddingSpace>, IndexError> {
        self.check()?;
        self.inner.space().await
    }

    async fn begin_rebuild(
        &self,
        space: Option<&EmbeddingSpace>,
    ) -> Result<Box<dyn IndexRebuild>, IndexError> {
        self.check()?;
        self.inner.begin_rebuild(space).await
    }

    async fn adopt(&self, space: &EmbeddingSpace) -> Result<(), IndexError> {
        self.check()?;
        self.inner.adopt(space).await
    }

    async fn search(
        &self,
        grant: &RecallGrant,
        query: &IndexQuery,
    ) -> Result<Vec<IndexHit>, IndexError> {
        self.searches.up();
        self.check()?;
        let lies = self.lies.lock().unwrap().clone();
        let best = |memory| IndexHit {
            memory,
            cosine: Some(1.0),
            bm25: 99.0,
        };
        let mut hits = self.inner.search(grant, query).await?;
        hits.extend(lies.into_iter().map(best));
        Ok(hits)
    }

    async fn upsert(&self, grant: &LearnGrant, entries: Vec<IndexEntry>) -> Result<(), IndexError> {
        self.upserts.up();
        self.check()?;
        assert!(!self.sanity.is_down(), "a fault on purpose");
        self.inner.upsert(grant, entries).await
    }

    async fn remove(
        &self,
        scope: MemoryScope,
        memories: Option<&[MemoryId]>,
    ) -> Result<(), IndexError> {
        self.check()?;
        self.inner.remove(scope, memories).await
    }

    async fn entries(
        &self,
        scope: MemoryScope,
        after: Option<MemoryId>,
        limit: usize,
    ) -> Result<Vec<IndexedMemory>, IndexError> {
        drop(self.listing.lock().await);
        self.check()?;
        self.inner.entries(scope, after, limit).await
    }

    async fn owners(
        &self,
        after: Option<MemoryId>,
        limit: usize,
    ) -> Result<Vec<(MemoryId, MemoryScope)>, IndexError> {
        self.check()?;
        self.inner.owners(after, limit).await
    }
}

/// The hashing embedder under a name of its own; it counts, and can wait.
pub(crate) struct ProbedEmbedder {
    inner: HashEmbedder,
    space: EmbeddingSpace,
    pub(crate) gate: Gate,
    pub(crate) calls: Count,
}

impl ProbedEmbedder {
    pub(crate) fn new(model: &str) -> Self {
        let space = EmbeddingSpace {
            model: model.to_owned(),
            dimension: HashEmbedder::DIMENSION,
        };
        Self {
            inner: HashEmbedder::new(),
            space,
            gate: Gate::default(),
            calls: Count::default(),
        }
    }

    pub(crate) fn fail(&self, failing: bool) {
        self.inner.fail(failing);
    }
}

#[async_trait]
impl Embedder for ProbedEmbedder {
    fn space(&self) -> &EmbeddingSpace {
        &self.space
    }

    async fn embed(
        &self,
        texts: Vec<String>,
        purpose: EmbeddingPurpose,
    ) -> Result<Vec<Embedding>, EmbedError> {
        self.calls.up();
        drop(self.gate.lock().await);
        self.inner.embed(texts, purpose).await
    }
}

/// Counts how often the worker was woken.
#[derive(Default)]
pub(crate) struct ProbedSignal(pub(crate) Count);

impl WorkSignal for ProbedSignal {
    fn work_added(&self) {
        self.0.up();
    }
}
