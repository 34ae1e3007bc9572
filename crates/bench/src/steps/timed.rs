//! Ports that note how long each call takes; they change nothing.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use domain::account::{ApiKeyRepository, LoginRepository, UserRepository};
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

use super::watch::{Step, Stopwatch};

/// A port with a stopwatch.
pub(super) struct Timed<P> {
    /// The port.
    pub(super) inner: P,
    /// Where times go.
    pub(super) watch: Arc<Stopwatch>,
}

#[async_trait]
impl Embedder for Timed<Arc<dyn Embedder>> {
    fn space(&self) -> &EmbeddingSpace {
        self.inner.space()
    }

    async fn embed(
        &self,
        texts: Vec<String>,
        purpose: EmbeddingPurpose,
    ) -> Result<Vec<Embedding>, EmbedError> {
        let begun = Instant::now();
        let vectors = self.inner.embed(texts, purpose).await;
        self.watch.note(Step::Embed, begun.elapsed());
        vectors
    }
}

#[async_trait]
impl MemoryIndex for Timed<Arc<dyn MemoryIndex>> {
    async fn space(&self) -> Result<Option<EmbeddingSpace>, IndexError> {
        self.inner.space().await
    }

    async fn begin_rebuild(
        &self,
        space: Option<&EmbeddingSpace>,
    ) -> Result<Box<dyn IndexRebuild>, IndexError> {
        self.inner.begin_rebuild(space).await
    }

    async fn adopt(&self, space: &EmbeddingSpace) -> Result<(), IndexError> {
        self.inner.adopt(space).await
    }

    async fn search(
        &self,
        grant: &RecallGrant,
        query: &IndexQuery,
    ) -> Result<Vec<IndexHit>, IndexError> {
        let begun = Instant::now();
        let hits = self.inner.search(grant, query).await;
        self.watch.note(Step::Search, begun.elapsed());
        hits
    }

    async fn upsert(&self, grant: &LearnGrant, entries: Vec<IndexEntry>) -> Result<(), IndexError> {
        self.inner.upsert(grant, entries).await
    }

    async fn remove(
        &self,
        scope: MemoryScope,
        memories: Option<&[MemoryId]>,
    ) -> Result<(), IndexError> {
        self.inner.remove(scope, memories).await
    }

    async fn entries(
        &self,
        scope: MemoryScope,
        after: Option<MemoryId>,
        limit: usize,
    ) -> Result<Vec<IndexedMemory>, IndexError> {
        self.inner.entries(scope, after, limit).await
    }

    async fn owners(
        &self,
        after: Option<MemoryId>,
        limit: usize,
    ) -> Result<Vec<(MemoryId, MemoryScope)>, IndexError> {
        self.inner.owners(after, limit).await
    }
}

#[async_trait]
impl Store for Timed<Arc<dyn Store>> {
    async fn begin(&self, owner: UserId) -> Result<Box<dyn UnitOfWork>, StoreError> {
        let lap = Lap::begin(&self.watch, Step::StoreQuestion);
        Ok(Box::new(TimedUnit {
            inner: self.inner.begin(owner).await?,
            lap,
        }))
    }

    async fn read(&self, owner: UserId) -> Result<Box<dyn UnitOfWork>, StoreError> {
        let lap = Lap::begin(&self.watch, Step::Reread);
        Ok(Box::new(TimedUnit {
            inner: self.inner.read(owner).await?,
            lap,
        }))
    }
}

/// A step that has begun. One that writes ends with the commit, one that reads when it is dropped.
struct Lap {
    watch: Arc<Stopwatch>,
    step: Step,
    begun: Instant,
}

impl Lap {
    fn begin(watch: &Arc<Stopwatch>, step: Step) -> Self {
        Self {
            watch: Arc::clone(watch),
            step,
            begun: Instant::now(),
        }
    }

    fn end(&self) {
        self.watch.note(self.step, self.begun.elapsed());
    }
}

impl Drop for Lap {
    fn drop(&mut self) {
        if self.step == Step::Reread {
            self.end();
        }
    }
}

struct TimedUnit {
    inner: Box<dyn UnitOfWork>,
    lap: Lap,
}

#[async_trait]
impl UnitOfWork for TimedUnit {
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

    /// Only the end of a turn leaves work behind: that tells its two units of work apart.
    fn jobs(&mut self) -> &mut dyn JobOutbox {
        self.lap.step = Step::StoreAnswer;
        self.inner.jobs()
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        let Self { inner, lap } = *self;
        inner.commit().await?;
        lap.end();
        Ok(())
    }
}
