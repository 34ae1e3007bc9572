//! Rows in memory, the index on a server, and the use cases over both.

use std::sync::Arc;
use std::time::Duration;

use adapter_qdrant::{QdrantConfig, QdrantMemoryIndex};
use domain::clock::{Clock, IdGenerator};
use domain::ids::{JobId, MemoryId};
use domain::jobs::{Job, JobKind, JobOutcome, JobRunner, RetryPolicy};
use domain::memory::{
    Embedder, Indexer, Learner, Memory, MemoryIndex, Place, RecallConfig, Recaller, Reconciled,
    Reindexer, RuleExtractor,
};
use domain::privacy::{LearnGrant, RecallGrant};
use domain::profile::Profile;
use domain::store::Store;
use testkit::fakes::{FixedClock, HashEmbedder, InMemoryStore, SequentialIds};
use testkit::qdrant_server::QdrantServer;
use testkit::seed;

pub(crate) struct World {
    pub(crate) server: QdrantServer,
    pub(crate) index: Arc<QdrantMemoryIndex>,
    pub(crate) store: Arc<InMemoryStore>,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) ids: Arc<SequentialIds>,
    pub(crate) indexer: Arc<Indexer>,
    pub(crate) reindexer: Reindexer,
    pub(crate) runner: JobRunner,
    recaller: Recaller,
}

/// An index on this server, as another process would have it.
pub(crate) fn index_on(server: &QdrantServer) -> Arc<QdrantMemoryIndex> {
    Arc::new(QdrantMemoryIndex::new(QdrantConfig::new(server.url())).unwrap())
}

impl World {
    pub(crate) async fn new() -> Self {
        let server = QdrantServer::start();
        let index = index_on(&server);
        let (store, clock) = (
            Arc::new(InMemoryStore::new()),
            Arc::new(FixedClock::default()),
        );
        let ids = Arc::new(SequentialIds::default());
        let embedder: Arc<dyn Embedder> = Arc::new(HashEmbedder::new());
        index.adopt(embedder.space()).await.unwrap();
        let embedder = Some(embedder);
        let indexer = Arc::new(Indexer::new(store.clone(), index.clone(), embedder.clone()));
        let learner = Learner::new(
            store.clone(),
            Arc::new(RuleExtractor),
            clock.clone(),
            ids.clone(),
        );
        let runner = JobRunner::new(
            store.clone(),
            store.clone(),
            learner,
            indexer.clone(),
            clock.clone(),
            RetryPolicy::default(),
        );
        let reindexer = Reindexer::new(
            store.clone(),
            store.clone(),
            index.clone(),
            embedder.clone(),
            clock.clone(),
            ids.clone(),
        );
        let config = RecallConfig::default();
        let recaller = Recaller::new(store.clone(), index.clone(), embedder, config);
        Self {
            server,
            index,
            store,
            clock,
            ids,
            indexer,
            reindexer,
            runner,
            recaller,
        }
    }

    pub(crate) async fn profile(&self) -> Profile {
        seed::user_with_profile(&*self.store).await.1
    }

    /// A memory with a job to index it, as a turn leaves it.
    pub(crate) async fn learned(&self, profile: &Profile, text: &str) -> Memory {
        let memory = seed::memory(&*self.store, profile, text).await;
        self.enqueue(&memory).await;
        memory
    }

    pub(crate) async fn enqueue(&self, memory: &Memory) {
        let kind = JobKind::Index {
            memory: memory.id,
            profile: memory.scope.profile,
        };
        let job = Job {
            id: JobId::new(self.ids.next()),
            user: memory.scope.user,
            kind,
            available_at: self.clock.now(),
        };
        let mut work = self.store.begin(job.user).await.unwrap();
        work.jobs().enqueue(&job).await.unwrap();
        work.commit().await.unwrap();
    }

    /// Changes a memory's row, with a job to index it.
    pub(crate) async fn change_row(&self, profile: &Profile, new: &Memory) {
        let mut work = self.store.begin(profile.user()).await.unwrap();
        let grant = LearnGrant::by_owner(profile);
        assert!(work.memories().update(&grant, new).await.unwrap());
        work.commit().await.unwrap();
        self.enqueue(new).await;
    }

    /// Removes a memory's row only: the index was down.
    pub(crate) async fn delete_row(&self, memory: &Memory) {
        let mut work = self.store.begin(memory.scope.user).await.unwrap();
        let removed = work
            .memories()
            .remove(memory.scope, Some(&[memory.id]))
            .await;
        assert_eq!(removed.unwrap(), [memory.id]);
        work.commit().await.unwrap();
    }

    /// Runs every job that is due.
    pub(crate) async fn run_jobs(&self) -> Vec<JobOutcome> {
        let mut outcomes = Vec::new();
        while let Some(outcome) = self.runner.run_next().await.unwrap() {
            outcomes.push(outcome);
        }
        outcomes
    }

    pub(crate) async fn found(&self, profile: &Profile, text: &str) -> Vec<MemoryId> {
        let grant = RecallGrant::by_owner(profile);
        let found = self.recaller.recall(&grant, text, 10).await.unwrap();
        found.memories.iter().map(|found| found.memory.id).collect()
    }

    pub(crate) async fn recall_fails(&self, profile: &Profile) -> bool {
        let grant = RecallGrant::by_owner(profile);
        self.recaller.recall(&grant, "dog", 10).await.is_err()
    }

    /// What the index holds, whosesoever it is.
    pub(crate) async fn held(&self) -> Vec<MemoryId> {
        let owners = self.index.owners(None, 1000).await.unwrap();
        owners.into_iter().map(|(memory, _)| memory).collect()
    }

    /// A whole round of comparing, some time later, and the jobs that it left.
    pub(crate) async fn reconcile(&self) -> Reconciled {
        self.clock.advance(Duration::from_mins(5));
        let (mut found, mut place) = (Reconciled::default(), Place::Start);
        while place != Place::End {
            let (next, more) = self.reindexer.reconcile(place).await.unwrap();
            found += more;
            place = next;
        }
        self.run_jobs().await;
        found
    }
}
