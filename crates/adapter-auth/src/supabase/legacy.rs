//! Tokens signed with the project's shared secret, as of old. Upstream advises against having that
//! secret here; without it the service itself is asked, and its answer kept for a minute.

use std::sync::Arc;
use std::time::Duration;

use domain::account::AccountError;
use domain::clock::Clock;
use futures::FutureExt;
use jsonwebtoken::DecodingKey;
use moka::sync::Cache;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::claims::Verified;
use super::client::{AuthClient, Failure};
use super::flight::Flights;
use super::refusal::{Asked, account_error};

/// What a token is kept by; the token itself is not.
type Fingerprint = [u8; 32];

/// How long an answer is believed.
const KEPT: Duration = Duration::from_mins(1);
const MOST_KEPT: u64 = 20_000;
/// Calls at a time: whoever floods this server with tokens does not flood the service.
const MOST_CALLS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(5);

/// What the service said of a token, and until when it is believed.
#[derive(Clone, Copy)]
struct Said {
    owner: Option<Uuid>,
    until: OffsetDateTime,
}

/// Judges tokens of the shared secret.
pub(super) struct Legacy {
    client: AuthClient,
    clock: Arc<dyn Clock>,
    said: Cache<Fingerprint, Said>,
    calls: Arc<Semaphore>,
    flights: Flights<Fingerprint, Result<Uuid, Failure>>,
}

/// The shared secret as a key, if it is set.
pub(super) fn secret_key(secret: Option<&SecretString>) -> Option<DecodingKey> {
    secret.map(|secret| DecodingKey::from_secret(secret.expose_secret().trim().as_bytes()))
}

impl Legacy {
    pub(super) fn new(client: AuthClient, clock: Arc<dyn Clock>) -> Self {
        Self {
            client,
            clock,
            said: Cache::new(MOST_KEPT),
            calls: Arc::new(Semaphore::new(MOST_CALLS)),
            flights: Flights::default(),
        }
    }

    /// Asks the service whether this token, which says the right things, is its own.
    pub(super) async fn ask(&self, token: &str, says: &Verified) -> Result<(), AccountError> {
        let fingerprint: Fingerprint = Sha256::digest(token).into();
        let now = self.clock.now();
        let kept = self.said.get(&fingerprint);
        // What was said later than now was said before the clock was set back.
        let kept = kept.filter(|said| now < said.until && said.until <= now + KEPT);
        let owner = match kept {
            Some(said) => said.owner,
            None => self.call(token, fingerprint, says).await?,
        };
        if owner == Some(says.login.subject) {
            Ok(())
        } else {
            Err(AccountError::BadToken)
        }
    }

    async fn call(
        &self,
        token: &str,
        fingerprint: Fingerprint,
        says: &Verified,
    ) -> Result<Option<Uuid>, AccountError> {
        let start = || {
            let (client, calls) = (self.client.clone(), Arc::clone(&self.calls));
            let token = token.to_owned();
            async move {
                let place = tokio::time::timeout(PATIENCE, calls.acquire()).await;
                let Ok(Ok(_place)) = place else {
                    return Err(Failure::Unavailable("too many tokens to ask of".to_owned()));
                };
                client.user_of(&token, PATIENCE).await
            }
            .boxed()
        };
        let owner = match self.flights.join(fingerprint, start).await {
            Ok(owner) => Some(owner),
            Err(failure) => match account_error(Asked::Token, failure) {
                AccountError::BadToken => None,
                other => return Err(other),
            },
        };
        let until = Ord::min(self.clock.now() + KEPT, says.login.expires_at);
        self.said.insert(fingerprint, Said { owner, until });
        Ok(owner)
    }
}
