//! The background workers, and the housekeeping beside them.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::account::ENDED_LOGINS_KEPT;
use domain::jobs::{JobOutcome, JobRunner, Maintenance, WorkSignal};
use domain::memory::{IndexError, IndexingError, Place, Reconciled};
use futures::FutureExt;
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::index::REINDEX;
use crate::settings::Settings;
use crate::stop::Stop;
use crate::system::Bell;
use crate::telemetry;
use crate::wiring::Parts;

/// How long a worker waits for the bell before it looks by itself: other processes do not ring it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Pause between two steps of comparing index and rows: it must not be felt.
const PACE: Duration = Duration::from_millis(100);

/// Log-ins removed in one go.
const LOGINS: u32 = 500;

/// How long to wait after an index that could not be compared.
const COMPARE_AGAIN: Duration = Duration::from_secs(15);

/// How long to wait before what panicked is begun again.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// Everything that works in the background: `jobs` runners of jobs, and, where there are any, one that
/// keeps the index in order.
pub fn spawn(parts: &Arc<Parts>, settings: &Settings, jobs: usize, stop: &Stop) -> JoinSet<()> {
    let mut workers = JoinSet::new();
    for _ in 0..jobs {
        let (runner, bell) = (parts.runner(settings), parts.bell.clone());
        let stop = stop.clone();
        workers.spawn(async move { lasting(&stop, || run(&runner, &bell, &stop)).await });
    }
    if jobs > 0 {
        let (parts, stop, every) = (Arc::clone(parts), stop.clone(), settings.compare_every);
        workers.spawn(async move { lasting(&stop, || tend_index(&parts, every, &stop)).await });
    }
    workers
}

/// Sees to it that a task lasts until the process ends: one that panics is begun again.
async fn lasting<F: Future<Output = ()>>(stop: &Stop, task: impl Fn() -> F) {
    while AssertUnwindSafe(task()).catch_unwind().await.is_err() {
        error!("work in the background met a fault and is begun again");
        tokio::select! {
            () = stop.begun() => return,
            () = tokio::time::sleep(AFTER_PANIC) => {}
        }
    }
}

/// Runs jobs until it is told to stop; a job that has begun goes on until it is cut off, and is tried
/// again later then.
async fn run(runner: &JobRunner, bell: &Bell, stop: &Stop) {
    while !stop.has_begun() {
        let enough = async {
            tokio::select! {
                () = tokio::time::sleep(runner.patience()) => {}
                () = stop.cut() => {}
            }
        };
        match runner.run_next_until(enough).await {
            Ok(Some(outcome)) => report(&outcome),
            Ok(None) => {
                tokio::select! {
                    () = bell.rung() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    () = stop.begun() => {}
                }
            }
            Err(error) => {
                warn!(%error, "the job queue cannot be read; trying again");
                tokio::select! {
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    () = stop.begun() => {}
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
            info!(job = %job.id, user = %job.user, kind = job.kind.name().as_str(), added, known, ungrounded, "job done");
        }
        JobOutcome::Retry {
            job,
            attempt,
            reason,
        } => {
            warn!(job = %job.id, user = %job.user, kind = job.kind.name().as_str(), attempt, reason, "job failed, will be tried again");
        }
        JobOutcome::Dead { job, reason } => {
            error!(job = %job.id, user = %job.user, kind = job.kind.name().as_str(), reason, "job given up");
        }
        JobOutcome::Lost { job } => {
            warn!(job = %job.id, kind = job.kind.name().as_str(), "job took longer than its lease; another worker has it");
        }
    }
}

/// Forgets idle incognito sessions, gives up dead answers and removes log-ins that ended long ago, once a
/// minute or oftener.
pub async fn keep_house(parts: Arc<Parts>, stale_after: Duration, stop: Stop) {
    lasting(&stop, || tidy(&parts, stale_after, &stop)).await;
}

async fn tidy(parts: &Parts, stale_after: Duration, stop: &Stop) {
    let every = (stale_after / 4).clamp(Duration::from_secs(1), Duration::from_mins(1));
    let mut known_drops = 0;
    let mut watch = ClockWatch::new(parts.clock.now());
    loop {
        tokio::select! {
            () = stop.begun() => return,
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
        let before = parts.clock.now() - ENDED_LOGINS_KEPT;
        let store = &parts.worker_store;
        if let Err(error) = store.remove_ended_logins(before, LOGINS).await {
            warn!(%error, "log-ins that ended long ago cannot be removed");
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

/// Enqueues what the index is known to lack, at once. Then compares it with the rows, at once and at
/// intervals, where it is to be compared at all, and mends what differs.
async fn tend_index(parts: &Parts, every: Option<Duration>, stop: &Stop) {
    let tending = async {
        match parts.reindexer().enqueue_missing().await {
            Ok(0) => {}
            Ok(enqueued) => {
                info!(
                    enqueued,
                    "memories are missing in the index and will be added"
                );
                parts.bell.work_added();
            }
            Err(error) => warn!(%error, "what the index lacks cannot be looked for"),
        }
        if let Some(every) = every {
            compare(parts, every).await;
        }
    };
    tokio::select! {
        () = stop.begun() => {}
        () = tending => {}
    }
}

async fn compare(parts: &Parts, every: Duration) {
    loop {
        let wait = match round(parts).await {
            Ok(found) => {
                told(parts, found);
                every
            }
            Err(error) => {
                let way_out = match &error {
                    IndexingError::Index(IndexError::WrongSpace { .. }) => REINDEX,
                    _ => "it will be tried again",
                };
                warn!(%error, way_out, "the memory index cannot be compared with the database");
                COMPARE_AGAIN.min(every)
            }
        };
        tokio::time::sleep(wait).await;
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_panics_is_begun_again_until_it_ends() {
        let begun = Cell::new(0);
        lasting(&Stop::default(), || async {
            begun.set(begun.get() + 1);
            assert_eq!(begun.get(), 3, "a fault");
        })
        .await;
        assert_eq!(begun.get(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn what_panics_at_the_end_is_not_begun_again() {
        let (stop, begun) = (Stop::default(), Cell::new(0));
        let ended = stop.wind_down(Duration::ZERO, async {});
        ended.await.expect("it ends");
        lasting(&stop, || async {
            begun.set(begun.get() + 1);
            panic!("a fault");
        })
        .await;
        assert_eq!(begun.get(), 1);
    }
}
