//! The background workers, and the housekeeping beside them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::jobs::{JobKind, JobOutcome, JobRunner, Maintenance, WorkSignal};
use domain::memory::{IndexingError, Place, Reconciled};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::system::Bell;
use crate::telemetry;
use crate::wiring::Parts;

/// How long a worker waits for the bell before it looks by itself: other processes do not ring it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Pause between two steps of comparing index and rows: it must not be felt.
const PACE: Duration = Duration::from_millis(100);

/// How long to wait after an index that could not be compared.
const COMPARE_AGAIN: Duration = Duration::from_mins(1);

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
    let mut known_drops = 0;
    let mut watch = ClockWatch::new(parts.clock.now());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        parts.shared.purge();
        let drops = telemetry::dropped_lines();
        if drops > known_drops {
            let lines = drops - known_drops;
            warn!(
                lines,
                "lines were not logged: whoever reads this log did not keep up"
            );
            known_drops = drops;
        }
        parts.shared.compare().await;
        let now = parts.clock.now();
        if watch.was_set_within(stale_after, now) {
            // Whoever is alive has time to say so by the new clock.
            continue;
        }
        match parts.worker_store.interrupt_stale(now - stale_after).await {
            Ok(0) => {}
            Ok(count) => warn!(
                count,
                "answers whose writer is gone were marked as interrupted"
            ),
            Err(error) => warn!(%error, "dead answers cannot be looked for"),
        }
    }
}

/// Notices when the system's clock is set: it went otherwise than time did.
struct ClockWatch {
    clock: OffsetDateTime,
    looked: Instant,
    set: Option<Instant>,
}

impl ClockWatch {
    /// What a clock may be corrected by without having been set.
    const CORRECTION: Duration = Duration::from_secs(5);

    fn new(clock: OffsetDateTime) -> Self {
        Self {
            clock,
            looked: Instant::now(),
            set: None,
        }
    }

    /// Looks at the clock; tells whether it was set this long ago or less.
    fn was_set_within(&mut self, span: Duration, clock: OffsetDateTime) -> bool {
        let went = clock - self.clock;
        if (went - self.looked.elapsed()).abs() > Self::CORRECTION {
            let by = (went - self.looked.elapsed()).whole_seconds();
            warn!(by, "the system's clock was set, by so many seconds");
            self.set = Some(Instant::now());
        }
        (self.clock, self.looked) = (clock, Instant::now());
        self.set.is_some_and(|at| at.elapsed() < span)
    }
}

/// Compares the index with the rows, at once and then at intervals, and mends what differs.
pub async fn compare(parts: Arc<Parts>, every: Duration, stop: CancellationToken) {
    loop {
        let wait = tokio::select! {
            () = stop.cancelled() => return,
            outcome = round(&parts) => match outcome {
                Ok(found) => {
                    told(&parts, found);
                    every
                }
                Err(error) => {
                    warn!(%error, "the memory index cannot be compared with the database; trying again");
                    COMPARE_AGAIN.min(every)
                }
            },
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn round(parts: &Parts) -> Result<Reconciled, IndexingError> {
    let reindexer = parts.reindexer();
    // An index that was away at the start is met here for the first time.
    reindexer.adopt().await?;
    let (mut place, mut found) = (Place::Start, Reconciled::default());
    loop {
        let (next, more) = reindexer.reconcile(place).await?;
        found += more;
        if next == Place::End {
            return Ok(found);
        }
        place = next;
        tokio::time::sleep(PACE).await;
    }
}

fn told(parts: &Parts, found: Reconciled) {
    if found.missing > 0 || found.orphans > 0 {
        warn!(
            missing = found.missing,
            orphans = found.orphans,
            "the memory index differed from the database and is being mended"
        );
        parts.bell.work_added();
    }
}
