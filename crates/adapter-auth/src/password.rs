//! Password hashes: `$mc1` and a bcrypt hash of `base64(HMAC-SHA-256(pepper, password))`.
//!
//! bcrypt alone ignores all after byte 72. The keyed pre-hash makes every byte count, and makes
//! hashes stolen without the pepper worthless.

use std::sync::Arc;
use std::thread::available_parallelism;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bcrypt::{BcryptError, HashParts};
use domain::account::{HashError, Password, PasswordHash, PasswordHasher, PasswordVerdict};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::secret::{Purpose, SigningSecret};

#[cfg(test)]
mod tests;

/// What stands before the bcrypt hash, which begins with a `$` of its own.
const TAG: &str = "$mc1";
/// Beyond this range bcrypt refuses, or a thread would be busy for minutes.
const MIN_COST: u32 = 4;
const MAX_COST: u32 = 16;
/// All that bcrypt can tell apart.
const BCRYPT_MAX_BYTES: usize = 72;

/// How passwords are hashed.
#[derive(Debug, Clone, Copy)]
pub struct BcryptConfig {
    /// bcrypt's cost: one more doubles the work.
    pub cost: u32,
    /// How many passwords are worked on at once.
    pub workers: usize,
    /// How many more may wait.
    pub queue: usize,
}

impl Default for BcryptConfig {
    /// Cost 12, a worker per core, and a queue that empties within seconds.
    fn default() -> Self {
        let workers = available_parallelism().map_or(1, usize::from);
        Self {
            cost: 12,
            workers,
            queue: 16 * workers,
        }
    }
}

/// The cost is out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bcrypt cost is {0}; it must be {MIN_COST} to {MAX_COST}")]
pub struct BadCost(pub u32);

/// Hashes with bcrypt over a keyed pre-hash, on a bounded number of blocking threads. Plain bcrypt
/// hashes, and those of a lower cost, still verify and count as outdated.
pub struct BcryptHasher {
    scheme: Scheme,
    /// Permits for all that is running or waiting.
    admitted: Arc<Semaphore>,
    /// Permits for what is running.
    running: Arc<Semaphore>,
}

impl BcryptHasher {
    /// A hasher whose pepper comes from `secret`; refuses a cost outside 4 to 16.
    pub fn new(secret: &SigningSecret, config: BcryptConfig) -> Result<Self, BadCost> {
        if !(MIN_COST..=MAX_COST).contains(&config.cost) {
            return Err(BadCost(config.cost));
        }
        let workers = config.workers.clamp(1, Semaphore::MAX_PERMITS / 2);
        let queue = config.queue.min(Semaphore::MAX_PERMITS / 2);
        let pepper = Hmac::new(&secret.derive(Purpose::PasswordPepper).into());
        Ok(Self {
            scheme: Scheme {
                pepper,
                cost: config.cost,
            },
            admitted: Arc::new(Semaphore::new(workers + queue)),
            running: Arc::new(Semaphore::new(workers)),
        })
    }

    /// Runs a piece of work on a blocking thread when its turn comes. The permits go along, so that
    /// a caller who gives up does not make room for more work than there are workers.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, BcryptError> + Send + 'static,
    ) -> Result<T, HashError> {
        let admitted = self
            .admitted
            .clone()
            .try_acquire_owned()
            .map_err(|_| HashError::Busy)?;
        let running = self.running.clone().acquire_owned().await.map_err(failed)?;
        let work = move || {
            let result = work();
            drop((admitted, running));
            result
        };
        spawn_blocking(work).await.map_err(failed)?.map_err(failed)
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> HashError {
    HashError::Failed(Box::new(error))
}

#[async_trait]
impl PasswordHasher for BcryptHasher {
    async fn hash(&self, password: &Password) -> Result<PasswordHash, HashError> {
        let (scheme, password) = (self.scheme.clone(), password.clone());
        self.run(move || scheme.hash(&password)).await
    }

    async fn verify(
        &self,
        password: &Password,
        hash: Option<&PasswordHash>,
    ) -> Result<PasswordVerdict, HashError> {
        let (scheme, password, hash) = (self.scheme.clone(), password.clone(), hash.cloned());
        self.run(move || scheme.verify(&password, hash.as_ref()))
            .await
    }
}

/// The slow part, on whatever thread it is called.
#[derive(Clone)]
struct Scheme {
    pepper: Hmac<Sha256>,
    cost: u32,
}

impl Scheme {
    fn hash(&self, password: &Password) -> Result<PasswordHash, BcryptError> {
        let hash = bcrypt::non_truncating_hash(self.peppered(password), self.cost)?;
        Ok(PasswordHash(format!("{TAG}{hash}")))
    }

    fn verify(
        &self,
        password: &Password,
        hash: Option<&PasswordHash>,
    ) -> Result<PasswordVerdict, BcryptError> {
        let known = hash
            .and_then(|hash| Stored::parse(&hash.0))
            .filter(|stored| stored.can_judge(password));
        let Some(stored) = known else {
            // The same work for nothing, so that time does not tell what is stored.
            bcrypt::verify(self.peppered(password), &decoy(self.cost))?;
            return Ok(PasswordVerdict::NoMatch);
        };
        let matches = if stored.is_peppered {
            bcrypt::verify(self.peppered(password), stored.bcrypt)?
        } else {
            bcrypt::verify(password.expose(), stored.bcrypt)?
        };
        Ok(match matches {
            false => PasswordVerdict::NoMatch,
            true if stored.is_peppered && stored.cost >= self.cost => PasswordVerdict::Match,
            true => PasswordVerdict::MatchOutdated,
        })
    }

    /// 43 characters without a NUL, whatever the password's length and bytes.
    fn peppered(&self, password: &Password) -> String {
        STANDARD_NO_PAD.encode(
            self.pepper
                .clone()
                .chain_update(password.expose())
                .finalize()
                .into_bytes(),
        )
    }
}

/// A well-formed hash of nobody's password.
fn decoy(cost: u32) -> String {
    format!("$2b${cost:02}${}", ".".repeat(53))
}

/// A stored hash taken apart.
struct Stored<'a> {
    bcrypt: &'a str,
    cost: u32,
    is_peppered: bool,
}

impl<'a> Stored<'a> {
    /// `None` for a malformed hash, and for a cost that would block a thread.
    fn parse(hash: &'a str) -> Option<Self> {
        let peppered = hash.strip_prefix(TAG);
        let bcrypt = peppered.unwrap_or(hash);
        let cost = bcrypt.parse::<HashParts>().ok()?.get_cost();
        let is_peppered = peppered.is_some();
        (MIN_COST..=MAX_COST).contains(&cost).then_some(Self {
            bcrypt,
            cost,
            is_peppered,
        })
    }

    /// Plain bcrypt would take a long password for any other that begins alike, and the first typo
    /// past byte 72 would become the new password.
    fn can_judge(&self, password: &Password) -> bool {
        self.is_peppered || password.expose().len() <= BCRYPT_MAX_BYTES
    }
}
