//! The connection: made when it is needed, asked before it is used, dropped when it breaks.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, RedisError, ScriptInvocation,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::persistence::{self, Persistence};

/// Longest wait for a connection, of the one call that makes it.
const CONNECT: Duration = Duration::from_secs(1);
/// Others wait until an attempt is this old: a Redis that is well has answered by then, and for one
/// that is not there nobody else waits.
const GLANCE: Duration = Duration::from_millis(50);
/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_millis(500);
/// After a failure nobody tries again for this long: a Redis that is away must not slow every call.
const PAUSE: Duration = Duration::from_millis(500);

/// Which Redis, and how far it is trusted.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// `redis://` or, with TLS, `rediss://`.
    pub url: SecretString,
    /// Use it although it writes to a disk?
    pub allow_persistence: bool,
    /// What all keys begin with.
    pub prefix: String,
}

impl RedisConfig {
    /// This server, if it keeps all in memory.
    pub fn new(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            allow_persistence: false,
            prefix: "memorychat".to_owned(),
        }
    }
}

/// Why Redis cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RedisFailure {
    /// The address makes no sense.
    #[error("the address of Redis cannot be understood")]
    Address(#[source] RedisError),
    /// It is away, or too slow. It may come back.
    #[error("Redis cannot be reached")]
    Unreachable(#[source] RedisError),
    /// It failed a moment ago, and is left alone for now.
    #[error("Redis could not be reached a moment ago")]
    Pausing,
    /// It answers, and says no: credentials, rights, no room.
    #[error("Redis refused")]
    Refused(#[source] RedisError),
    /// It writes to a disk, and that was not allowed.
    #[error(
        "Redis writes to a disk ({0}), where incognito turns must never be; start it with \
         `--save \"\" --appendonly no`, or set REDIS_ALLOW_PERSISTENCE=true if its disk may hold them"
    )]
    Persists(String),
}

impl From<RedisError> for RedisFailure {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Io => Self::Unreachable(error),
            ErrorKind::Server(_) if error.code() == Some("LOADING") => Self::Unreachable(error),
            _ => Self::Refused(error),
        }
    }
}

impl RedisFailure {
    /// May it be well again by itself?
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Pausing)
    }
}

/// A Redis, shared by all who use it.
pub struct RedisServer {
    client: Client,
    allow_persistence: bool,
    prefix: String,
    link: std::sync::Mutex<Link>,
    /// Held by the one call that makes a connection.
    attempt: Mutex<()>,
    told: AtomicBool,
}

#[derive(Default)]
struct Link {
    connection: Option<MultiplexedConnection>,
    /// Which connection it is, so that only its own failure ends it.
    generation: u64,
    paused_until: Option<Instant>,
    /// When the last attempt to connect began.
    begun: Option<Instant>,
}

/// An answer, and whether the script may have run before the run that gave it.
pub(crate) struct Ran<T> {
    pub(crate) answer: T,
    pub(crate) repeated: bool,
}

impl RedisServer {
    /// Checks the address; nothing is sent yet.
    pub fn new(config: &RedisConfig) -> Result<Self, RedisFailure> {
        // Two providers are compiled in, and rustls wants to be told which. Whoever told it first wins.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::open(config.url.expose_secret()).map_err(RedisFailure::Address)?;
        Ok(Self {
            client,
            allow_persistence: config.allow_persistence,
            prefix: config.prefix.clone(),
            link: std::sync::Mutex::default(),
            attempt: Mutex::default(),
            told: AtomicBool::new(false),
        })
    }

    /// Makes the connection now, to know early what is wrong.
    pub async fn connect(&self) -> Result<(), RedisFailure> {
        self.connection().await.map(|_| ())
    }

    /// Where it is, without credentials.
    pub fn place(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    /// A key of this installation.
    pub(crate) fn key(&self, name: impl fmt::Display) -> String {
        format!("{}:{name}", self.prefix)
    }

    /// Runs a script. One whose connection broke is run once more on a new one: every script here
    /// can run twice with the effect of once, or harms nobody by running twice.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, RedisFailure> {
        Ok(self.run_telling(script).await?.answer)
    }

    /// The same, for scripts whose second run answers otherwise than the first.
    pub(crate) async fn run_telling<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<Ran<T>, RedisFailure> {
        let mut repeated = false;
        loop {
            let (mut connection, generation) = self.connection().await?;
            match script.invoke_async(&mut connection).await {
                Ok(answer) => return Ok(Ran { answer, repeated }),
                Err(error) if self.gave_up(generation, &error) && !repeated => repeated = true,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Asks again what was asked when the connection was made: its server's settings can change.
    pub(crate) async fn look(&self) -> Result<(MultiplexedConnection, Persistence), RedisFailure> {
        let (mut connection, generation) = self.connection().await?;
        let looked = match persistence::ask(&mut connection).await {
            Ok(found) => self.judge(&found).map(|()| found),
            Err(error) => Err(error.into()),
        };
        match looked {
            Ok(found) => Ok((connection, found)),
            Err(failure) => {
                self.drop_connection(generation);
                Err(failure)
            }
        }
    }

    /// The connection, or a new one. One call at a time makes it.
    async fn connection(&self) -> Result<(MultiplexedConnection, u64), RedisFailure> {
        if let Some(known) = self.known()? {
            return Ok(known);
        }
        let begun = self.link().begun;
        let patience = begun.unwrap_or_else(Instant::now) + GLANCE;
        let attempt = timeout_at(patience, self.attempt.lock()).await;
        let _attempt = attempt.map_err(|_| RedisFailure::Pausing)?;
        // Whoever held it before may have made one, or failed.
        if let Some(known) = self.known()? {
            return Ok(known);
        }
        self.link().begun = Some(Instant::now());
        let opened = self.open().await;
        let mut link = self.link();
        match opened {
            Ok(connection) => {
                link.generation += 1;
                link.connection = Some(connection.clone());
                Ok((connection, link.generation))
            }
            Err(failure) => {
                link.paused_until = Some(Instant::now() + PAUSE);
                Err(failure)
            }
        }
    }

    /// The connection, if there is one; an error while Redis is left alone.
    fn known(&self) -> Result<Option<(MultiplexedConnection, u64)>, RedisFailure> {
        let link = self.link();
        if let Some(connection) = &link.connection {
            return Ok(Some((connection.clone(), link.generation)));
        }
        match link.paused_until {
            Some(until) if until > Instant::now() => Err(RedisFailure::Pausing),
            _ => Ok(None),
        }
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open(&self) -> Result<MultiplexedConnection, RedisFailure> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER));
        let mut connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let found = persistence::ask(&mut connection).await?;
        self.judge(&found)?;
        Ok(connection)
    }

    fn judge(&self, found: &Persistence) -> Result<(), RedisFailure> {
        match found {
            Persistence::Off => Ok(()),
            Persistence::On(ways) if self.allow_persistence => {
                self.tell(|| {
                    tracing::warn!(
                        ways,
                        "Redis writes to a disk, as REDIS_ALLOW_PERSISTENCE allows: \
                         incognito turns may end up there"
                    );
                });
                Ok(())
            }
            Persistence::On(ways) => Err(RedisFailure::Persists(ways.clone())),
            Persistence::Unknown => {
                self.tell(|| {
                    tracing::warn!(
                        "Redis does not tell whether it writes to a disk; \
                         make sure that it does not: incognito turns must never be there"
                    );
                });
                Ok(())
            }
        }
    }

    fn tell(&self, say: impl FnOnce()) {
        if !self.told.swap(true, Ordering::Relaxed) {
            say();
        }
    }

    /// Ends a connection that failed, and tells whether a new one is worth a try at once.
    fn gave_up(&self, generation: u64, error: &RedisError) -> bool {
        if !error.is_io_error() && !error.is_unrecoverable_error() {
            return false;
        }
        self.drop_connection(generation);
        if error.is_timeout() {
            self.link().paused_until = Some(Instant::now() + PAUSE);
            return false;
        }
        true
    }

    fn drop_connection(&self, generation: u64) {
        let mut link = self.link();
        if link.generation == generation {
            link.connection = None;
        }
    }
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisServer(..)")
    }
}
