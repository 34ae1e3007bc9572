//! The background workers, and the housekeeping beside them.

use std::sync::Arc;
use std::time::Duration;

use domain::jobs::{JobKind, JobOutcome, JobRunner, Maintenance};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::system::Bell;
use crate::wiring::Parts;

/// How long a worker waits for the bell before it looks by itself: other processes do not ring it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Runs jobs until it is told to stop; a job that has begun is finished.
pub async fn run(runner: JobRunner, bell: Bell, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match runner.run_next().await {
            Ok(Some(outcome)) => report(&outcome),
            Ok(None) => {
                tokio::select! {
                    () = bell.rung() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    () = stop.cancelled() => {}
                }
            }
            Err(error) => {
                warn!(%error, "the job queue cannot be read; trying again");
                tokio::select! {
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }
}

/// Ids, kinds and counts; never what people said.
fn report(outcome: &JobOutcome) {
    match outcome {
        JobOutcome::Done { job, learned } => {
            let (added, known, ungrounded) =
                learned.map_or((0, 0, 0), |l| (l.added, l.known, l.ungrounded));
            info!(job = %job.id, user = %job.user, kind = kind(job.kind), added, known, ungrounded, "job done");
        }
        JobOutcome::Retry {
            job,
            attempt,
            reason,
        } => {
            warn!(job = %job.id, user = %job.user, kind = kind(job.kind), attempt, reason, "job failed, will be tried again");
        }
        JobOutcome::Dead { job, reason } => {
            error!(job = %job.id, user = %job.user, kind = kind(job.kind), reason, "job given up");
        }
        JobOutcome::Lost { job } => {
            warn!(job = %job.id, kind = kind(job.kind), "job took longer than its lease; another worker has it");
        }
    }
}

fn kind(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Learn { .. } => "learn",
        JobKind::Index { .. } => "index",
        JobKind::Sweep { .. } => "sweep",
    }
}

/// Forgets idle incognito sessions and gives up dead answers, once a minute or oftener.
pub async fn keep_house(parts: Arc<Parts>, stale_after: Duration, stop: CancellationToken) {
    let every = (stale_after / 4).clamp(Duration::from_secs(1), Duration::from_mins(1));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        parts.shared.purge();
        match parts
            .worker_store
            .interrupt_stale(parts.clock.now() - stale_after)
            .await
        {
            Ok(0) => {}
            Ok(count) => warn!(
                count,
                "answers whose writer is gone were marked as interrupted"
            ),
            Err(error) => warn!(%error, "dead answers cannot be looked for"),
        }
    }
}
