//! How often one caller may call.
//!
//! Counting is behind [`Limiter`]: several processes that are to share their counts need another
//! implementation of `take`, and nothing else changes.

use std::fmt;
use std::future::{Ready, ready};
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, FromRequest, HttpRequest};
use domain::account::Email;
use domain::ids::UserId;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::headers::client_address;
use crate::problem::whole_seconds;
use crate::{Api, HttpSettings, Problem, auth};

/// Keys that nobody used lately are dropped after this many calls, so the table stays bounded.
const SWEEP_EVERY: u32 = 4096;

/// Counts calls per key: a full bucket is `quota` calls, and it fills again within a minute.
struct Limiter<K: Hash + Eq + Clone> {
    quota: NonZeroU32,
    buckets: DefaultKeyedRateLimiter<K, StateInformationMiddleware>,
    calls: AtomicU32,
}

/// What is left of a quota.
#[derive(Debug, Clone, Copy)]
struct Budget {
    quota: u32,
    left: u32,
    /// How long until the quota is whole again; when nothing is left, until the next call may come.
    reset: Duration,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    /// `None` for no limit.
    fn per_minute(quota: u32) -> Option<Self> {
        let quota = NonZeroU32::new(quota)?;
        let buckets = RateLimiter::dashmap(Quota::per_minute(quota)).with_middleware();
        Some(Self {
            quota,
            buckets,
            calls: AtomicU32::new(0),
        })
    }

    /// Takes one call; the error says when there is another.
    fn take(&self, key: &K) -> Result<Budget, Budget> {
        if self.calls.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.buckets.retain_recent();
            self.buckets.shrink_to_fit();
        }
        let quota = self.quota.get();
        match self.buckets.check_key(key) {
            Ok(state) => {
                let left = state.remaining_burst_capacity();
                let reset = Duration::from_mins(1) * (quota - left.min(quota)) / quota;
                Ok(Budget { quota, left, reset })
            }
            Err(refusal) => Err(Budget {
                quota,
                left: 0,
                reset: refusal.wait_time_from(DefaultClock::default().now()),
            }),
        }
    }
}

impl Budget {
    /// The headers of draft-ietf-httpapi-ratelimit-headers.
    fn write(self, headers: &mut HeaderMap) {
        let Self { quota, left, reset } = self;
        let policy = format!("\"default\";q={quota};w=60");
        let state = format!("\"default\";r={left};t={}", whole_seconds(reset));
        for (name, text) in [("ratelimit-policy", policy), ("ratelimit", state)] {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }

    fn problem(self) -> Problem {
        let detail = "Too many requests. Try again later.";
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail);
        problem.retry_after(self.reset)
    }
}

/// Who is counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Principal {
    User(UserId),
    Address(IpAddr),
}

/// All limits of one server, shared by its threads.
pub(crate) struct Limits {
    calls: Option<Limiter<Principal>>,
    attempts_by_address: Option<Limiter<IpAddr>>,
    /// The key is a hash under a key of this process: no address is kept.
    attempts_by_account: Option<Limiter<u64>>,
    hasher: RandomState,
}

impl Limits {
    /// Fresh limits, nothing counted yet.
    pub(crate) fn new(settings: &HttpSettings) -> Self {
        Self {
            calls: settings.rate_limit.and_then(Limiter::per_minute),
            attempts_by_address: Limiter::per_minute(settings.login_limit),
            attempts_by_account: Limiter::per_minute(settings.login_limit),
            hasher: RandomState::new(),
        }
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Limits(..)")
    }
}

/// Middleware below `/api/v1`: checks the credential, counts the call, lets it through or not.
pub(crate) async fn admit(
    api: Data<Api>,
    limits: Data<Limits>,
    settings: Data<HttpSettings>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let principal = match auth::identify(&api, &request).await {
        Some(actor) => {
            let user = tracing::field::display(actor.user);
            tracing::Span::current().record("user_id", user);
            Principal::User(actor.user)
        }
        None => Principal::Address(counted_as(client_address(request.request(), &settings))),
    };
    let budget = limits.calls.as_ref().map(|calls| calls.take(&principal));
    let mut response = match budget {
        Some(Err(spent)) => request.error_response(spent.problem()),
        Some(Ok(_)) | None => next.call(request).await?.map_into_boxed_body(),
    };
    if let Some(Ok(budget) | Err(budget)) = budget {
        budget.write(response.headers_mut());
    }
    Ok(response)
}

/// A household gets a whole /64 of IPv6 addresses, and counts as one.
fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

/// An attempt to get a credential: logging in, signing up, refreshing. Taking it as an argument
/// counts the attempt for the caller's address; 429 when there were too many.
#[derive(Debug)]
pub(crate) struct CredentialAttempt(Option<Data<Limits>>);

impl CredentialAttempt {
    /// Counts the attempt for the account too, so that many addresses together get no further. The
    /// account need not exist.
    pub(crate) fn on_account(&self, email: &str) -> Result<(), Problem> {
        let Some(limits) = &self.0 else { return Ok(()) };
        let Some(attempts) = &limits.attempts_by_account else {
            return Ok(());
        };
        let key = match email.parse::<Email>() {
            Ok(email) => limits.hasher.hash_one(email.as_str()),
            Err(_) => limits.hasher.hash_one(email),
        };
        attempts.take(&key).map_err(Budget::problem)?;
        Ok(())
    }
}

impl FromRequest for CredentialAttempt {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(count_attempt(request))
    }
}

fn count_attempt(request: &HttpRequest) -> Result<CredentialAttempt, Problem> {
    let limits = request.app_data::<Data<Limits>>().cloned();
    let settings = request.app_data::<Data<HttpSettings>>();
    let address = settings.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |settings| {
        client_address(request, settings)
    });
    let attempts = limits.as_ref().and_then(|l| l.attempts_by_address.as_ref());
    if let Some(attempts) = attempts {
        attempts
            .take(&counted_as(address))
            .map_err(Budget::problem)?;
    }
    Ok(CredentialAttempt(limits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_tells_when_to_come_back() {
        let limiter = Limiter::per_minute(2).expect("a limit");
        assert_eq!(limiter.take(&1).map(|b| b.left).ok(), Some(1));
        assert_eq!(limiter.take(&1).map(|b| b.left).ok(), Some(0));
        let spent = limiter.take(&1).expect_err("is empty");
        assert!(spent.reset > Duration::from_secs(20) && spent.reset <= Duration::from_secs(30));
        assert!(limiter.take(&2).is_ok(), "another key has its own bucket");
    }

    #[test]
    fn no_quota_is_no_limit() {
        assert!(Limiter::<u8>::per_minute(0).is_none());
    }

    #[test]
    fn addresses_of_one_household_count_as_one() {
        let counted = |text: &str| counted_as(text.parse().expect("an address"));
        assert_eq!(counted("2001:db8::1"), counted("2001:db8::2:3"));
        assert_ne!(counted("2001:db8::1"), counted("2001:db8:0:1::1"));
        assert_eq!(counted("::ffff:192.0.2.1"), counted("192.0.2.1"));
        assert_ne!(counted("192.0.2.1"), counted("192.0.2.2"));
    }
}
