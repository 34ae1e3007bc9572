//! Puts the parts together: the one place that knows them all.

use std::sync::Arc;

use adapter_auth::{
    BcryptConfig, BcryptHasher, JwtAuthority, JwtConfig, SigningSecret, SupabaseIdentity,
    TokenAlgorithm,
};
use adapter_http::{Api, TaskSpawner};
use adapter_sql::SqlStore;
use anyhow::{Context, Result, bail};
use domain::account::{AccountService, IdentityProvider, LocalIdentity, LocalIdentityConfig};
use domain::chat::{TurnConfig, TurnService};
use domain::clock::{Clock, IdGenerator};
use domain::health::Probe;
use domain::jobs::{JobRunner, RetryPolicy, WorkSignal};
use domain::memory::{
    Indexer, Learner, MemoryIndex, MemoryService, RecallConfig, Recaller, Reindexer,
};
use domain::profile::ProfileService;
use domain::session::SessionService;
use secrecy::{ExposeSecret, SecretString};

use crate::identity;
use crate::index;
use crate::models::ChosenModels;
use crate::probes::DatabaseProbe;
use crate::settings::{AuthSettings, Settings};
use crate::shared::Shared;
use crate::stop::Stop;
use crate::stoppable::StoppableModel;
use crate::system::{Bell, SystemClock, TimeOrderedIds};
use crate::telemetry;

/// The parts, each made once.
pub struct Parts {
    /// The database.
    pub store: SqlStore,
    /// The database as the workers see it.
    pub worker_store: SqlStore,
    /// The memory index.
    pub index: Arc<dyn MemoryIndex>,
    /// The same as the workers see it.
    pub worker_index: Arc<dyn MemoryIndex>,
    /// How the index is.
    pub index_probe: Arc<dyn Probe>,
    /// One line about the index.
    pub index_line: String,
    /// The models.
    pub models: ChosenModels,
    /// What replicas share in memory.
    pub shared: Shared,
    /// Wakes the workers.
    pub bell: Bell,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
}

impl Parts {
    /// Makes the parts over an open database and chosen models.
    pub fn new(settings: &Settings, store: SqlStore, models: ChosenModels) -> Result<Self> {
        let worker_store = store.for_workers();
        let chosen = index::choose(settings, &store, models.embedder.as_ref())?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ids: Arc<dyn IdGenerator> = Arc::new(TimeOrderedIds);
        Ok(Self {
            store,
            worker_store,
            index: chosen.index,
            worker_index: chosen.for_workers,
            index_probe: chosen.probe,
            index_line: chosen.line,
            models,
            shared: Shared::alone(Arc::clone(&clock), true),
            bell: Bell::default(),
            clock,
            ids,
        })
    }

    fn indexer(&self, store: &SqlStore, index: &Arc<dyn MemoryIndex>) -> Arc<Indexer> {
        Arc::new(Indexer::new(
            Arc::new(store.clone()),
            Arc::clone(index),
            self.models.embedder.clone(),
        ))
    }

    /// The same with what replicas share, as the settings have it: for whoever takes turns.
    pub fn sharing(mut self, settings: &Settings) -> Result<Self> {
        self.shared = Shared::choose(settings, Arc::clone(&self.clock))?;
        Ok(self)
    }

    /// How everything is.
    pub fn probes(&self, settings: &Settings) -> Result<Vec<Arc<dyn Probe>>> {
        let mut probes: Vec<Arc<dyn Probe>> = vec![
            Arc::new(DatabaseProbe {
                store: self.store.for_probes(),
            }),
            Arc::clone(&self.index_probe),
            self.shared.probe(),
        ];
        probes.extend(identity::probe(settings)?);
        probes.extend(self.models.probes.iter().cloned());
        Ok(probes)
    }

    /// The use cases, for the REST API.
    pub fn api(
        &self,
        settings: &Settings,
        tasks: Arc<dyn TaskSpawner>,
        accounts: AccountService,
        stop: Stop,
    ) -> Result<Api> {
        let store = Arc::new(self.store.clone());
        let signal: Arc<dyn WorkSignal> = Arc::new(self.bell.clone());
        let (clock, ids) = (Arc::clone(&self.clock), Arc::clone(&self.ids));
        let recaller = Arc::new(Recaller::new(
            store.clone(),
            Arc::clone(&self.index),
            self.models.embedder.clone(),
            RecallConfig::default(),
        ));
        let mut turns = TurnConfig::default();
        if let Some(instructions) = &settings.instructions {
            turns.instructions.clone_from(instructions);
        }
        Ok(Api {
            accounts,
            profiles: ProfileService::new(
                store.clone(),
                Arc::clone(&self.index),
                Arc::clone(&signal),
                Arc::clone(&clock),
                Arc::clone(&ids),
            ),
            sessions: SessionService::new(
                store.clone(),
                Arc::clone(&self.shared.transcripts),
                Arc::clone(&self.index),
                Arc::clone(&signal),
                Arc::clone(&clock),
                Arc::clone(&ids),
            ),
            memories: MemoryService::new(
                store.clone(),
                Arc::clone(&self.index),
                self.indexer(&self.store, &self.index),
                Arc::clone(&recaller),
                Arc::clone(&signal),
                Arc::clone(&clock),
                Arc::clone(&ids),
            ),
            turns: TurnService::new(
                store.clone(),
                Arc::clone(&self.shared.transcripts),
                recaller,
                Arc::new(StoppableModel::new(Arc::clone(&self.models.chat), stop)),
                signal,
                Arc::clone(&clock),
                Arc::clone(&ids),
                turns,
            ),
            probes: self.probes(settings)?,
            tasks,
            queue: store,
            dropped_log_lines: telemetry::dropped_lines,
            clock,
            ids,
            limiter: self.shared.limiter(&secrets(settings)?.0.limits_key()),
        })
    }

    /// The accounts; with a Supabase project, also what must be told to forget its answers.
    pub fn accounts(
        &self,
        settings: &Settings,
    ) -> Result<(AccountService, Option<Arc<SupabaseIdentity>>)> {
        let store = Arc::new(self.store.clone());
        let (clock, ids) = (Arc::clone(&self.clock), Arc::clone(&self.ids));
        let (signing, password) = secrets(settings)?;
        let tokens = Arc::new(JwtAuthority::new(&signing, jwt_config(&settings.auth)?));
        let hasher = Arc::new(BcryptHasher::new(&password, BcryptConfig::default())?);
        let local: Arc<dyn IdentityProvider> = Arc::new(LocalIdentity::new(
            store.clone(),
            store.clone(),
            hasher,
            tokens.clone(),
            Arc::clone(&clock),
            Arc::clone(&ids),
            LocalIdentityConfig::default(),
        ));
        let supabase = identity::connect(settings, &local, &store, &clock, &ids)?;
        let identity = match &supabase {
            Some(supabase) => Arc::clone(supabase) as Arc<dyn IdentityProvider>,
            None => local,
        };
        let accounts = AccountService::new(identity, store.clone(), store, tokens, clock, ids);
        Ok((accounts, supabase))
    }

    /// One background worker.
    pub fn runner(&self, settings: &Settings) -> JobRunner {
        let store = Arc::new(self.worker_store.clone());
        let learner = Learner::new(
            store.clone(),
            Arc::clone(&self.models.extractor),
            Arc::clone(&self.clock),
            Arc::clone(&self.ids),
        );
        let policy = RetryPolicy {
            lease: settings.job_lease,
            ..RetryPolicy::default()
        };
        JobRunner::new(
            store.clone(),
            store,
            learner,
            self.indexer(&self.worker_store, &self.worker_index),
            Arc::clone(&self.clock),
            policy,
        )
    }

    /// Rebuilds the index, and finds what it lacks.
    pub fn reindexer(&self) -> Reindexer {
        let store = Arc::new(self.worker_store.clone());
        Reindexer::new(
            store.clone(),
            store,
            Arc::clone(&self.worker_index),
            self.models.embedder.clone(),
            Arc::clone(&self.clock),
            Arc::clone(&self.ids),
        )
    }
}

/// The secrets that are set, for tokens and for passwords; one line about a bad one.
pub fn set_secrets(settings: &Settings) -> Result<(Option<SigningSecret>, Option<SigningSecret>)> {
    let set = |name: &'static str, value: Option<&SecretString>| {
        let secret = value.map(|value| SigningSecret::from_setting(value.expose_secret()));
        secret.transpose().context(name)
    };
    let signing = set("JWT_SECRET_KEY", settings.auth.jwt_secret.as_ref())?;
    let password = set(
        "MEMORYCHAT_PASSWORD_KEY",
        settings.auth.password_key.as_ref(),
    )?;
    Ok((signing, password))
}

/// The secret of the tokens and that of the passwords. The one in the data folder serves for both, but
/// a set token secret does not touch the passwords: it may be changed.
fn secrets(settings: &Settings) -> Result<(SigningSecret, SigningSecret)> {
    match set_secrets(settings)? {
        (Some(signing), Some(password)) => Ok((signing, password)),
        (signing, password) => {
            let kept = SigningSecret::load_or_create(&settings.data_dir)?;
            Ok((
                signing.unwrap_or_else(|| kept.clone()),
                password.unwrap_or(kept),
            ))
        }
    }
}

fn jwt_config(auth: &AuthSettings) -> Result<JwtConfig> {
    let algorithm = match auth.jwt_algorithm.as_str() {
        "HS256" => TokenAlgorithm::Hs256,
        "HS384" => TokenAlgorithm::Hs384,
        "HS512" => TokenAlgorithm::Hs512,
        other => bail!("JWT_ALGORITHM: '{other}' is not supported"),
    };
    Ok(JwtConfig {
        algorithm,
        access_lifetime: auth.jwt_lifetime,
    })
}
