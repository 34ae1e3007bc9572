//! Asking the service itself about a token: whether it is one of its own, and its session still open.
//! What it says is believed for a minute at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::account::AccountError;
use domain::clock::Clock;
use futures::FutureExt;
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::claims::Verified;
use super::client::{AuthClient, Failure};
use super::flight::Flights;
use super::refusal::{Asked, account_error};

/// What an answer is kept by: how often everything was forgotten before, and the token's hash; the
/// token itself is not kept. So an answer to a call that began before a purge is never read after it.
type Place = (u64, [u8; 32]);

/// How long an answer is believed, from when it was asked for.
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

/// Whom a token belongs to, and when the service was asked.
type Answered = Result<(Uuid, OffsetDateTime), Failure>;

/// Questions about one kind of tokens, and the answers.
pub(super) struct Inquiry {
    client: AuthClient,
    clock: Arc<dyn Clock>,
    purges: AtomicU64,
    said: Cache<Place, Said>,
    calls: Arc<Semaphore>,
    flights: Flights<Place, Answered>,
}

impl Inquiry {
    pub(super) fn new(client: AuthClient, clock: Arc<dyn Clock>) -> Self {
        Self {
            client,
            clock,
            purges: AtomicU64::default(),
            said: Cache::new(MOST_KEPT),
            calls: Arc::new(Semaphore::new(MOST_CALLS)),
            flights: Flights::default(),
        }
    }

    /// Asks whether this token, which says the right things, belongs to whom it says.
    /// [`AccountError::Provider`] when nobody answers.
    pub(super) async fn ask(&self, token: &str, says: &Verified) -> Result<(), AccountError> {
        let purges = self.purges.load(Ordering::Acquire);
        let place: Place = (purges, Sha256::digest(token).into());
        let now = self.clock.now();
        let kept = self.said.get(&place);
        // What was said later than now was said before the clock was set back.
        let kept = kept.filter(|said| now < said.until && said.until <= now + KEPT);
        let owner = match kept {
            Some(said) => said.owner,
            None => self.call(token, place, says).await?,
        };
        if owner == Some(says.login.subject) {
            Ok(())
        } else {
            Err(AccountError::BadToken)
        }
    }

    /// Forgets every answer, also those that are still on their way.
    pub(super) fn purge(&self) {
        self.purges.fetch_add(1, Ordering::AcqRel);
        self.said.invalidate_all();
    }

    async fn call(
        &self,
        token: &str,
        place: Place,
        says: &Verified,
    ) -> Result<Option<Uuid>, AccountError> {
        let start = || {
            let (client, calls) = (self.client.clone(), Arc::clone(&self.calls));
            let (clock, token) = (Arc::clone(&self.clock), token.to_owned());
            async move {
                let turn = tokio::time::timeout(PATIENCE, calls.acquire()).await;
                let Ok(Ok(_turn)) = turn else {
                    return Err(Failure::Unavailable("too many tokens to ask of".to_owned()));
                };
                let asked_at = clock.now();
                let owner = client.user_of(&token, PATIENCE).await?;
                Ok((owner, asked_at))
            }
            .boxed()
        };
        let (owner, asked_at) = match self.flights.join(place, start).await {
            Ok((owner, asked_at)) => (Some(owner), asked_at),
            Err(failure) => match account_error(Asked::Token, failure) {
                AccountError::BadToken => (None, self.clock.now()),
                other => return Err(other),
            },
        };
        // What is refused once stays so; what is good ends with the token.
        let until = match owner {
            Some(_) => Ord::min(asked_at + KEPT, says.expires_at),
            None => asked_at + KEPT,
        };
        self.said.insert(place, Said { owner, until });
        Ok(owner)
    }
}
