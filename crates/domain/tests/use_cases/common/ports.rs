//! The fakes of a world, and the services over them.

use std::sync::Arc;

use domain::account::{AccountService, LocalIdentity, LocalIdentityConfig};
use domain::chat::{ModelLimits, TurnConfig, TurnService};
use domain::jobs::{JobRunner, RetryPolicy};
use domain::memory::{
    Embedder, Indexer, Learner, MemoryService, RecallConfig, Recaller, Reindexer,
};
use domain::profile::ProfileService;
use domain::session::{EphemeralLimits, RamTranscripts, SessionService};
use testkit::fakes::{
    FakeTokens, FixedClock, InMemoryStore, PlainHasher, ScriptedChatModel, ScriptedExtractor,
    SequentialIds,
};
use testkit::faults::{FaultyStore, FaultyTranscripts};

use super::probes::{ProbedEmbedder, ProbedIndex, ProbedSignal};

/// What a test may want to be otherwise.
#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) limits: Option<ModelLimits>,
    pub(crate) turns: TurnConfig,
    pub(crate) policy: RetryPolicy,
    pub(crate) without_embedder: bool,
}

/// Every port, as a fake.
pub(crate) struct Ports {
    pub(crate) store: Arc<FaultyStore>,
    /// The database behind `store`, as workers and operators see it.
    pub(crate) rows: Arc<InMemoryStore>,
    pub(crate) index: Arc<ProbedIndex>,
    pub(crate) embedder: Arc<ProbedEmbedder>,
    pub(super) used_embedder: Option<Arc<dyn Embedder>>,
    pub(crate) extractor: Arc<ScriptedExtractor>,
    pub(crate) model: Arc<ScriptedChatModel>,
    pub(crate) transcripts: Arc<FaultyTranscripts>,
    pub(crate) clock: Arc<FixedClock>,
    ids: Arc<SequentialIds>,
    pub(crate) signal: Arc<ProbedSignal>,
    pub(crate) hasher: Arc<PlainHasher>,
}

impl Ports {
    pub(super) fn new(setup: &Setup) -> Self {
        let rows = Arc::new(InMemoryStore::new());
        let clock = Arc::new(FixedClock::default());
        let embedder = Arc::new(ProbedEmbedder::new("hash"));
        let used_embedder: Option<Arc<dyn Embedder>> = if setup.without_embedder {
            None
        } else {
            Some(embedder.clone())
        };
        let model = ScriptedChatModel::echo();
        let model = match setup.limits {
            Some(limits) => model.with_limits(limits),
            None => model,
        };
        let limits = EphemeralLimits::default();
        Self {
            store: Arc::new(FaultyStore::new(rows.clone())),
            rows,
            index: Arc::default(),
            embedder,
            used_embedder,
            extractor: Arc::new(ScriptedExtractor::verbatim()),
            model: Arc::new(model),
            transcripts: Arc::new(FaultyTranscripts::new(Arc::new(RamTranscripts::new(
                clock.clone(),
                limits,
            )))),
            clock,
            ids: Arc::default(),
            signal: Arc::default(),
            hasher: Arc::default(),
        }
    }

    pub(super) fn accounts(&self) -> AccountService {
        let tokens = Arc::new(FakeTokens::default());
        let identity = LocalIdentity::new(
            self.store.clone(),
            self.rows.clone(),
            self.hasher.clone(),
            tokens.clone(),
            self.clock.clone(),
            self.ids.clone(),
            LocalIdentityConfig::default(),
        );
        AccountService::new(
            Arc::new(identity),
            self.store.clone(),
            self.rows.clone(),
            tokens,
            self.clock.clone(),
            self.ids.clone(),
        )
    }

    pub(super) fn profiles(&self) -> ProfileService {
        ProfileService::new(
            self.store.clone(),
            self.index.clone(),
            self.signal.clone(),
            self.clock.clone(),
            self.ids.clone(),
        )
    }

    pub(super) fn sessions(&self) -> SessionService {
        SessionService::new(
            self.store.clone(),
            self.transcripts.clone(),
            self.index.clone(),
            self.signal.clone(),
            self.clock.clone(),
            self.ids.clone(),
        )
    }

    pub(super) fn turns(&self, config: TurnConfig) -> TurnService {
        TurnService::new(
            self.store.clone(),
            self.transcripts.clone(),
            self.recaller(),
            self.model.clone(),
            self.signal.clone(),
            self.clock.clone(),
            self.ids.clone(),
            config,
        )
    }

    pub(super) fn memories(&self) -> MemoryService {
        MemoryService::new(
            self.store.clone(),
            self.index.clone(),
            self.indexer(self.used_embedder.clone()),
            self.recaller(),
            self.signal.clone(),
            self.clock.clone(),
            self.ids.clone(),
        )
    }

    pub(super) fn runner(&self, policy: RetryPolicy) -> JobRunner {
        let learner = Learner::new(
            self.store.clone(),
            self.extractor.clone(),
            self.clock.clone(),
            self.ids.clone(),
        );
        JobRunner::new(
            self.rows.clone(),
            self.store.clone(),
            learner,
            self.indexer(self.used_embedder.clone()),
            self.clock.clone(),
            policy,
        )
    }

    fn recaller(&self) -> Arc<Recaller> {
        let (store, index) = (self.store.clone(), self.index.clone());
        let config = RecallConfig::default();
        Arc::new(Recaller::new(
            store,
            index,
            self.used_embedder.clone(),
            config,
        ))
    }

    /// Another process that indexes, with an embedder of its own.
    pub(crate) fn indexer(&self, embedder: Option<Arc<dyn Embedder>>) -> Arc<Indexer> {
        Arc::new(Indexer::new(
            self.store.clone(),
            self.index.clone(),
            embedder,
        ))
    }

    /// The operator's tools, with an embedder of their own.
    pub(crate) fn reindexer(&self, embedder: Option<Arc<dyn Embedder>>) -> Reindexer {
        Reindexer::new(
            self.store.clone(),
            self.rows.clone(),
            self.index.clone(),
            embedder,
            self.clock.clone(),
            self.ids.clone(),
        )
    }
}
