//! Ports that fail on demand, around ones that work.

mod transcripts;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use domain::account::{ApiKeyRepository, LoginRepository, UserRepository};
use domain::chat::{ChatModel, ModelError, ModelLimits, Prompt, ReplyStream};
use domain::ids::{MemoryId, UserId};
use domain::jobs::JobOutbox;
use domain::memory::{
    EmbedError, Embedder, Embedding, EmbeddingPurpose, EmbeddingSpace, IndexEntry, IndexError,
    IndexHit, IndexQuery, IndexRebuild, IndexedMemory, MemoryIndex, MemoryRepository,
};
use domain::privacy::{LearnGrant, MemoryScope, RecallGrant};
use domain::profile::ProfileRepository;
use domain::session::{MessageRepository, SessionRepository};
use domain::store::{Store, StoreError, UnitOfWork};

pub use transcripts::FaultyTranscripts;

/// A switch that makes calls fail. Clones are the same switch.
#[derive(Clone, Default)]
pub struct Fault(Arc<Mutex<Plan>>);

#[derive(Default)]
struct Plan {
    /// Calls that still work before the failing ones.
    spared: u64,
    /// Calls that fail after those; `None` for all.
    failing: Option<u64>,
    on: bool,
}

impl Fault {
    /// Every call fails from now on.
    pub fn always(&self) {
        self.set(0, None);
    }

    /// The next `calls` calls fail.
    pub fn next(&self, calls: u64) {
        self.set(0, Some(calls));
    }

    /// `spared` calls work, and every one after them fails.
    pub fn after(&self, spared: u64) {
        self.set(spared, None);
    }

    /// Everything works again.
    pub fn heal(&self) {
        *self.plan() = Plan::default();
    }

    fn set(&self, spared: u64, failing: Option<u64>) {
        *self.plan() = Plan {
            spared,
            failing,
            on: true,
        };
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call; the error if it is to fail.
    fn check<E>(&self, error: impl FnOnce(domain::error::Source) -> E) -> Result<(), E> {
        let mut plan = self.plan();
        if !plan.on || plan.failing == Some(0) {
            return Ok(());
        }
        if plan.spared > 0 {
            plan.spared -= 1;
            return Ok(());
        }
        plan.failing = plan.failing.map(|left| left - 1);
        Err(error("told to fail".into()))
    }
}

/// A store whose units of work cannot be begun, or not committed.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    /// Strikes at `begin` and `read`.
    pub begin: Fault,
    /// Strikes at `commit`; nothing is stored then.
    pub commit: Fault,
    /// Strikes at `commit` as a deadlock does: nothing is stored, and it may be done again.
    pub abort: Fault,
    /// Strikes after `commit`: all is stored, and the caller is told of a lost connection.
    pub outcome: Fault,
}

impl FaultyStore {
    /// Works until told otherwise.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            begin: Fault::default(),
            commit: Fault::default(),
            abort: Fault::default(),
            outcome: Fault::default(),
        }
    }

    fn wrap(&self, inner: Box<dyn UnitOfWork>) -> Box<dyn UnitOfWork> {
        Box::new(FaultyUnit {
            inner,
            commit: self.commit.clone(),
            abort: self.abort.clone(),
            outcome: self.outcome.clone(),
        })
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn begin(&self, owner: UserId) -> Result<Box<dyn UnitOfWork>, StoreError> {
        self.begin.check(StoreError::Unavailable)?;
        Ok(self.wrap(self.inner.begin(owner).await?))
    }

    async fn read(&self, owner: UserId) -> Result<Box<dyn UnitOfWork>, StoreError> {
        self.begin.check(StoreError::Unavailable)?;
        Ok(self.wrap(self.inner.read(owner).await?))
    }
}

struct FaultyUnit {
    inner: Box<dyn UnitOfWork>,
    commit: Fault,
    abort: Fault,
    outcome: Fault,
}

#[async_trait]
impl UnitOfWork for FaultyUnit {
    fn users(&mut self) -> &mut dyn UserRepository {
        self.inner.users()
    }

    fn logins(&mut self) -> &mut dyn LoginRepository {
        self.inner.logins()
    }

    fn api_keys(&mut self) -> &mut dyn ApiKeyRepository {
        self.inner.api_keys()
    }

    fn profiles(&mut self) -> &mut dyn ProfileRepository {
        self.inner.profiles()
    }

    fn sessions(&mut self) -> &mut dyn SessionRepository {
        self.inner.sessions()
    }

    fn messages(&mut self) -> &mut dyn MessageRepository {
        self.inner.messages()
    }

    fn memories(&mut self) -> &mut dyn MemoryRepository {
        self.inner.memories()
    }

    fn jobs(&mut self) -> &mut dyn JobOutbox {
        self.inner.jobs()
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        let Self {
            inner,
            commit,
            abort,
            outcome,
        } = *self;
        commit.check(StoreError::Unavailable)?;
        abort.check(StoreError::Aborted)?;
        inner.commit().await?;
        outcome.check(StoreError::Unavailable)
    }
}

/// An index that cannot be read, or not be written.
pub struct FaultyIndex {
    inner: Arc<dyn MemoryIndex>,
    /// Strikes at `search`, `entries`, `owners` and `space`.
    pub reads: Fault,
    /// Strikes at `upsert`, `remove`, `adopt` and `begin_rebuild`; nothing is changed then.
    pub writes: Fault,
}

impl FaultyIndex {
    /// Works until told otherwise.
    pub fn new(inner: Arc<dyn MemoryIndex>) -> Self {
        Self {
            inner,
            reads: Fault::default(),
            writes: Fault::default(),
        }
    }
}

#[async_trait]
impl MemoryIndex for FaultyIndex {
    async fn space(&self) -> Result<Option<EmbeddingSpace>, IndexError> {
        self.reads.check(IndexError::Unavailable)?;
        self.inner.space().await
    }

    async fn begin_rebuild(
        &self,
        space: Option<&EmbeddingSpace>,
    ) -> Result<Box<dyn IndexRebuild>, IndexError> {
        self.writes.check(IndexError::Unavailable)?;
        self.inner.begin_rebuild(space).await
    }

    async fn adopt(&self, space: &EmbeddingSpace) -> Result<(), IndexError> {
        self.writes.check(IndexError::Unavailable)?;
        self.inner.adopt(space).await
    }

    async fn search(
        &self,
        grant: &RecallGrant,
        query: &IndexQuery,
    ) -> Result<Vec<IndexHit>, IndexError> {
        self.reads.check(IndexError::Unavailable)?;
        self.inner.search(grant, query).await
    }

    async fn upsert(&self, grant: &LearnGrant, entries: Vec<IndexEntry>) -> Result<(), IndexError> {
        self.writes.check(IndexError::Unavailable)?;
        self.inner.upsert(grant, entries).await
    }

    async fn remove(
        &self,
        scope: MemoryScope,
        memories: Option<&[MemoryId]>,
    ) -> Result<(), IndexError> {
        self.writes.check(IndexError::Unavailable)?;
        self.inner.remove(scope, memories).await
    }

    async fn entries(
        &self,
        scope: MemoryScope,
        after: Option<MemoryId>,
        limit: usize,
    ) -> Result<Vec<IndexedMemory>, IndexError> {
        self.reads.check(IndexError::Unavailable)?;
        self.inner.entries(scope, after, limit).await
    }

    async fn owners(
        &self,
        after: Option<MemoryId>,
        limit: usize,
    ) -> Result<Vec<(MemoryId, MemoryScope)>, IndexError> {
        self.reads.check(IndexError::Unavailable)?;
        self.inner.owners(after, limit).await
    }
}

/// An embedder that is not available.
pub struct FaultyEmbedder {
    inner: Arc<dyn Embedder>,
    /// Strikes at `embed`.
    pub embed: Fault,
}

impl FaultyEmbedder {
    /// Works until told otherwise.
    pub fn new(inner: Arc<dyn Embedder>) -> Self {
        Self {
            inner,
            embed: Fault::default(),
        }
    }
}

#[async_trait]
impl Embedder for FaultyEmbedder {
    fn space(&self) -> &EmbeddingSpace {
        self.inner.space()
    }

    async fn embed(
        &self,
        texts: Vec<String>,
        purpose: EmbeddingPurpose,
    ) -> Result<Vec<Embedding>, EmbedError> {
        self.embed.check(EmbedError::Unavailable)?;
        self.inner.embed(texts, purpose).await
    }
}

/// A chat model that refuses calls. For one that breaks off, see
/// [`Play`](crate::fakes::Play).
pub struct FaultyChatModel {
    inner: Arc<dyn ChatModel>,
    /// Strikes at `stream`, before the first event.
    pub stream: Fault,
}

impl FaultyChatModel {
    /// Works until told otherwise.
    pub fn new(inner: Arc<dyn ChatModel>) -> Self {
        Self {
            inner,
            stream: Fault::default(),
        }
    }
}

#[async_trait]
impl ChatModel for FaultyChatModel {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn limits(&self) -> ModelLimits {
        self.inner.limits()
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.inner.count_tokens(text)
    }

    async fn stream(&self, prompt: Prompt) -> Result<ReplyStream, ModelError> {
        self.stream.check(ModelError::Unavailable)?;
        self.inner.stream(prompt).await
    }
}
