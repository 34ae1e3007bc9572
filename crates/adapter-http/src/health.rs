//! Is the process alive, is it ready, and how busy is it.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Data, Json};
use actix_web::{HttpResponse, get};
use domain::health::Probe;
use futures::FutureExt;
use futures::future::{Shared, join_all};
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::timeout;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::metrics::Metrics;
use crate::routes::tags;
use crate::{Api, Drain, Problem};

/// Nobody who looks after a server waits longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was found answers for so long: anybody may ask, and each look costs the parts something.
const FRESH: Duration = Duration::from_secs(1);

/// Registers the routes of this module.
pub(crate) fn configure(config: &mut ServiceConfig) {
    config.service(healthz).service(readyz).service(metrics);
}

/// The process answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct HealthResponse {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether requests should be sent here.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReadyResponse {
    /// `ready`, `unavailable` or `shutting_down`.
    #[schema(example = "ready")]
    status: &'static str,
    /// What the service depends on, by name.
    checks: BTreeMap<&'static str, Check>,
}

/// How one dependency is.
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct Check {
    /// Does it work?
    ok: bool,
    /// Is the service of no use without it?
    required: bool,
    /// What was found, or what to do.
    detail: String,
}

/// Is the process alive?
///
/// Looks at nothing else, so a broken dependency does not get the process killed.
#[utoipa::path(
    operation_id = "getHealth", tag = tags::OPERATIONS, security(()),
    responses((status = OK, description = "It is.", body = HealthResponse))
)]
#[get("/healthz")]
async fn healthz() -> Json<HealthResponse> {
    Json(HealthResponse { status: "ok" })
}

/// Is the service ready?
///
/// Looks at every dependency, at most once a second. One that is not required is reported, and changes nothing.
#[utoipa::path(
    operation_id = "getReadiness", tag = tags::OPERATIONS, security(()),
    responses(
        (status = OK, description = "It is.", body = ReadyResponse),
        (status = SERVICE_UNAVAILABLE, description = "It is not, or it is about to stop.", body = ReadyResponse),
    )
)]
#[get("/readyz")]
async fn readyz(
    api: Data<Api>,
    looks: Data<Looks>,
    drain: Data<Drain>,
) -> Result<HttpResponse, Problem> {
    let cut_off = |_| Problem::internal("nobody looked to the end");
    let checks = looks.newest(&api).await.map_err(cut_off)?;
    let broken = checks.values().any(|check| check.required && !check.ok);
    let (mut answer, status) = if drain.has_begun() {
        (HttpResponse::ServiceUnavailable(), "shutting_down")
    } else if broken {
        (HttpResponse::ServiceUnavailable(), "unavailable")
    } else {
        (HttpResponse::Ok(), "ready")
    };
    Ok(answer.json(ReadyResponse { status, checks }))
}

type Checks = BTreeMap<&'static str, Check>;

/// What was found about the dependencies: one look at a time, however many ask.
#[derive(Default)]
pub(crate) struct Looks(Mutex<Option<Look>>);

struct Look {
    begun: Instant,
    found: Shared<oneshot::Receiver<Checks>>,
}

impl Looks {
    /// What the newest look found, or will find.
    fn newest(&self, api: &Api) -> Shared<oneshot::Receiver<Checks>> {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(look) = &*newest
            && (look.begun.elapsed() < FRESH || look.found.peek().is_none())
        {
            return look.found.clone();
        }
        let (tell, found) = oneshot::channel();
        let (begun, found) = (Instant::now(), found.shared());
        let probes = api.probes.clone();
        // In a task, so that it comes to its end although whoever asked has left.
        let task = async move {
            let _ = tell.send(look_at(probes).await);
        };
        api.tasks.spawn(task.boxed());
        let answer = found.clone();
        *newest = Some(Look { begun, found });
        answer
    }
}

async fn look_at(probes: Vec<Arc<dyn Probe>>) -> Checks {
    let checks = probes.iter().map(|probe| look(&**probe));
    join_all(checks).await.into_iter().collect()
}

async fn look(probe: &dyn Probe) -> (&'static str, Check) {
    // A look that panicked must not be the last one.
    let looked = AssertUnwindSafe(probe.check()).catch_unwind();
    let (ok, detail) = match timeout(PATIENCE, looked).await {
        Ok(Ok(Ok(found))) => (true, found),
        Ok(Ok(Err(ailment))) => (false, ailment.to_string()),
        Ok(Err(_)) => (false, "could not be looked at".to_owned()),
        Err(_) => (false, "does not answer".to_owned()),
    };
    let required = probe.required();
    let check = Check {
        ok,
        required,
        detail,
    };
    (probe.name(), check)
}

/// Numbers for Prometheus
///
/// Counts of requests, turns, jobs and streams. No label names a user.
#[utoipa::path(
    operation_id = "getMetrics", tag = tags::OPERATIONS, security(()),
    responses((status = OK, description = "The numbers.", body = String, content_type = "text/plain"))
)]
#[get("/metrics")]
async fn metrics(api: Data<Api>, metrics: Data<Metrics>) -> Result<HttpResponse, Problem> {
    // A broken queue leaves its numbers as they were; the others are still worth having.
    if let Ok(Ok(depth)) = timeout(PATIENCE, api.queue.depth()).await {
        metrics.jobs(depth.pending, depth.dead);
    }
    metrics.log_lines_dropped((api.dropped_log_lines)());
    let text = metrics
        .render()
        .map_err(|error| Problem::internal(error.to_string()))?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, prometheus::TEXT_FORMAT))
        .body(text))
}
