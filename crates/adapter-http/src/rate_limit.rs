//! How often one caller may call.
//!
//! Every call is counted in this process. Where [`Api::limiter`] is given, those that pass are counted
//! there too, together with the calls of all other processes; while that cannot be reached, the counts
//! of this process hold alone.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, FromRequest, HttpRequest};
use domain::account::Email;
use domain::limits::{Budget, Counted, RateLimiter, Taken};
use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::headers::client_address;
use crate::local_limiter::LocalLimiter;
use crate::metrics::Metrics;
use crate::problem::whole_seconds;
use crate::{Api, HttpSettings, Problem, auth};

/// The headers of draft-ietf-httpapi-ratelimit-headers.
fn write(budget: Budget, headers: &mut HeaderMap) {
    let Budget { quota, left, reset } = budget;
    let policy = format!("\"default\";q={quota};w=60");
    let state = format!("\"default\";r={left};t={}", whole_seconds(reset));
    for (name, text) in [("ratelimit-policy", policy), ("ratelimit", state)] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

fn problem(spent: Budget) -> Problem {
    let detail = "Too many requests. Try again later.";
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail);
    problem.retry_after(spent.reset)
}

/// All limits of one server, shared by its threads.
pub(crate) struct Limits {
    calls: Option<NonZeroU32>,
    attempts: Option<NonZeroU32>,
    here: LocalLimiter,
    everywhere: Option<Arc<dyn RateLimiter>>,
    /// Said once, when it begins and when it ends.
    alone: AtomicBool,
    metrics: Metrics,
}

impl Limits {
    /// Fresh limits, nothing counted yet in this process.
    pub(crate) fn new(
        settings: &HttpSettings,
        everywhere: Option<Arc<dyn RateLimiter>>,
        metrics: Metrics,
    ) -> Self {
        Self {
            calls: settings.rate_limit.and_then(NonZeroU32::new),
            attempts: NonZeroU32::new(settings.login_limit),
            here: LocalLimiter::default(),
            everywhere,
            alone: AtomicBool::new(false),
            metrics,
        }
    }

    /// Takes one call; `None` without a limit. What this process refuses is not asked elsewhere, so a
    /// flood of calls is no flood for whoever keeps the shared counts.
    async fn take(&self, counted: &Counted, quota: Option<NonZeroU32>) -> Option<Taken> {
        let quota = quota?;
        let here = self.here.count(counted, quota);
        let (Some(everywhere), Taken::Granted(_)) = (&self.everywhere, here) else {
            return Some(here);
        };
        match everywhere.take(counted, quota).await {
            Ok(taken) => {
                if self.alone.swap(false, Ordering::Relaxed) {
                    tracing::info!("limits are shared again");
                }
                Some(taken)
            }
            Err(error) => {
                self.metrics.limit_counted_alone();
                if !self.alone.swap(true, Ordering::Relaxed) {
                    let cause = &error.0;
                    tracing::warn!(%cause, "limits hold per process until they can be shared again");
                }
                Some(here)
            }
        }
    }

    async fn attempt(&self, counted: Counted) -> Result<(), Problem> {
        match self.take(&counted, self.attempts).await {
            Some(Taken::Spent(budget)) => Err(problem(budget)),
            Some(Taken::Granted(_)) | None => Ok(()),
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
    let counted = match auth::identify(&api, &request).await {
        Some(actor) => {
            let user = tracing::field::display(actor.user);
            tracing::Span::current().record("user_id", user);
            Counted::CallsOf(actor.user)
        }
        None => Counted::CallsFrom(counted_as(client_address(request.request(), &settings))),
    };
    let taken = limits.take(&counted, limits.calls).await;
    let mut response = match taken {
        Some(Taken::Spent(spent)) => request.error_response(problem(spent)),
        Some(Taken::Granted(_)) | None => next.call(request).await?.map_into_boxed_body(),
    };
    if let Some(taken) = taken {
        write(taken.budget(), response.headers_mut());
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
    pub(crate) async fn on_account(&self, email: &str) -> Result<(), Problem> {
        let Some(limits) = &self.0 else { return Ok(()) };
        let account = match email.parse::<Email>() {
            Ok(email) => email.as_str().to_owned(),
            Err(_) => email.to_owned(),
        };
        limits.attempt(Counted::AttemptsOn(account)).await
    }
}

impl FromRequest for CredentialAttempt {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        count_attempt(request.clone()).boxed_local()
    }
}

async fn count_attempt(request: HttpRequest) -> Result<CredentialAttempt, Problem> {
    let limits = request.app_data::<Data<Limits>>().cloned();
    let settings = request.app_data::<Data<HttpSettings>>();
    let address = settings.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |settings| {
        client_address(&request, settings)
    });
    if let Some(limits) = &limits {
        limits
            .attempt(Counted::AttemptsFrom(counted_as(address)))
            .await?;
    }
    Ok(CredentialAttempt(limits))
}

#[cfg(test)]
mod tests {
    use domain::limits::LimiterUnavailable;

    use super::*;

    fn limits(everywhere: Option<Arc<dyn RateLimiter>>) -> Limits {
        let settings = HttpSettings {
            rate_limit: Some(2),
            login_limit: 0,
            ..HttpSettings::default()
        };
        Limits::new(&settings, everywhere, Metrics::new().expect("metrics"))
    }

    fn somebody() -> Counted {
        Counted::CallsFrom(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// Counts that cannot be reached.
    struct Nowhere;

    #[async_trait::async_trait]
    impl RateLimiter for Nowhere {
        async fn take(&self, _: &Counted, _: NonZeroU32) -> Result<Taken, LimiterUnavailable> {
            Err(LimiterUnavailable("told to fail".into()))
        }
    }

    #[tokio::test]
    async fn no_quota_is_no_limit() {
        let limits = limits(None);
        assert_eq!(limits.attempts, None);
        assert!(limits.take(&somebody(), limits.attempts).await.is_none());
    }

    #[tokio::test]
    async fn without_the_shared_counts_those_of_this_process_hold() {
        let limits = limits(Some(Arc::new(Nowhere)));
        for _ in 0..2 {
            let taken = limits.take(&somebody(), limits.calls).await;
            assert!(matches!(taken, Some(Taken::Granted(_))), "{taken:?}");
        }
        let taken = limits.take(&somebody(), limits.calls).await;
        assert!(matches!(taken, Some(Taken::Spent(_))), "{taken:?}");
        let metrics = limits.metrics.render().expect("metrics");
        let metrics = String::from_utf8(metrics).expect("text");
        assert!(
            metrics.contains("limits_counted_alone_total 2"),
            "{metrics}"
        );
    }

    #[tokio::test]
    async fn processes_that_share_their_counts_share_one_quota() {
        let everywhere: Arc<dyn RateLimiter> = Arc::new(LocalLimiter::default());
        let one = limits(Some(Arc::clone(&everywhere)));
        let two = limits(Some(everywhere));
        for limits in [&one, &two] {
            let taken = limits.take(&somebody(), limits.calls).await;
            assert!(matches!(taken, Some(Taken::Granted(_))), "{taken:?}");
        }
        for limits in [&one, &two] {
            let taken = limits.take(&somebody(), limits.calls).await;
            assert!(matches!(taken, Some(Taken::Spent(_))), "{taken:?}");
        }
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
