//! What replicas share in memory: on Redis where there is one, else each has its own.

use std::sync::{Arc, OnceLock};

use adapter_redis::{RedisConfig, RedisLimiter, RedisProbe, RedisServer, RedisTranscripts};
use anyhow::{Context, Result};
use async_trait::async_trait;
use domain::clock::Clock;
use domain::health::{Ailment, Probe};
use domain::limits::RateLimiter;
use domain::session::{EphemeralLimits, RamTranscripts, TranscriptCache};
use tracing::warn;

use crate::settings::Settings;

/// Incognito turns and counts of calls.
pub struct Shared {
    /// Incognito turns.
    pub transcripts: Arc<dyn TranscriptCache>,
    kept: Kept,
}

/// Where they are.
enum Kept {
    Here {
        turns: Arc<RamTranscripts>,
        one_server: bool,
    },
    Redis {
        server: Arc<RedisServer>,
        limiter: OnceLock<Arc<RedisLimiter>>,
    },
}

impl Shared {
    /// Nothing is shared: for a process that is alone, or that takes no turns.
    pub fn alone(clock: Arc<dyn Clock>, one_server: bool) -> Self {
        let turns = Arc::new(RamTranscripts::new(clock, EphemeralLimits::default()));
        Self {
            transcripts: turns.clone(),
            kept: Kept::Here { turns, one_server },
        }
    }

    /// Chooses by the settings. Nothing is sent yet.
    pub fn choose(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self> {
        let Some(url) = settings.redis_url.clone() else {
            return Ok(Self::alone(clock, settings.is_sqlite()));
        };
        let config = RedisConfig {
            allow_persistence: settings.redis_allow_persistence,
            ..RedisConfig::new(url)
        };
        let server = Arc::new(RedisServer::new(&config).context("REDIS_URL")?);
        let limits = EphemeralLimits::default();
        Ok(Self {
            transcripts: Arc::new(RedisTranscripts::new(Arc::clone(&server), clock, limits)),
            kept: Kept::Redis {
                server,
                limiter: OnceLock::new(),
            },
        })
    }

    /// Looks whether Redis can be used. One that is away is only said: it may come back, and turns in
    /// the other modes do not need it. One that refuses, or writes to a disk, is an error.
    pub async fn check(&self) -> Result<()> {
        let Kept::Redis { server, .. } = &self.kept else {
            return Ok(());
        };
        match server.connect().await {
            Ok(()) => Ok(()),
            Err(failure) if failure.is_passing() => {
                warn!(%failure, "until Redis is there, incognito is refused and limits hold per replica");
                Ok(())
            }
            Err(failure) => Err(failure).context("REDIS_URL"),
        }
    }

    /// Counts calls together with the other replicas, which must have the same key.
    pub fn limiter(&self, key: &[u8; 64]) -> Option<Arc<dyn RateLimiter>> {
        match &self.kept {
            Kept::Here { .. } => None,
            Kept::Redis { server, limiter } => {
                let new = || Arc::new(RedisLimiter::new(Arc::clone(server), key));
                let limiter = Arc::clone(limiter.get_or_init(new));
                Some(limiter as Arc<dyn RateLimiter>)
            }
        }
    }

    /// Looks whether the other replicas have the same secrets; to be called every minute or so.
    pub async fn compare(&self) {
        if let Kept::Redis { limiter, .. } = &self.kept
            && let Some(limiter) = limiter.get()
            && let Ok(false) = limiter.agrees().await
        {
            warn!(
                "another replica has another JWT_SECRET_KEY: who logs in there is a stranger here, \
                 and the two count calls apart"
            );
        }
    }

    /// Forgets incognito turns of this process that were idle for too long; Redis does so by itself.
    pub fn purge(&self) {
        if let Kept::Here { turns, .. } = &self.kept {
            turns.purge();
        }
    }

    /// How it is.
    pub fn probe(&self) -> Arc<dyn Probe> {
        match &self.kept {
            Kept::Here { one_server, .. } => Arc::new(NoRedis {
                one_server: *one_server,
            }),
            Kept::Redis { server, .. } => Arc::new(RedisProbe::new(Arc::clone(server))),
        }
    }

    /// One line for the start; none where there can be one server only.
    pub fn line(&self) -> Option<String> {
        match &self.kept {
            Kept::Here { one_server, .. } => (!one_server).then(|| ALONE.to_owned()),
            Kept::Redis { server, .. } => Some(format!(
                "limits and incognito are shared, on Redis at {}",
                server.place()
            )),
        }
    }
}

const ALONE: &str = "no REDIS_URL: limits hold per replica, and incognito needs sticky sessions";

/// There is no Redis, and what that means.
struct NoRedis {
    one_server: bool,
}

#[async_trait]
impl Probe for NoRedis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn required(&self) -> bool {
        false
    }

    async fn check(&self) -> Result<String, Ailment> {
        Ok(if self.one_server {
            "none, and one server needs none".to_owned()
        } else {
            ALONE.to_owned()
        })
    }
}
