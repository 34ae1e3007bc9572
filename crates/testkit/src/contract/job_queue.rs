//! The contract of [`JobQueue`](domain::jobs::JobQueue): no job is lost and none runs twice at once.

use std::collections::HashSet;
use std::future::Future;
use std::time::Duration;

use domain::account::User;
use domain::ids::{MemoryId, MessageId, ProfileId};
use domain::jobs::{Job, JobKind, JobState, LONGEST_WAIT, LeasedJob, QueueDepth};

use super::store::StoreHarness;
use super::{Case, RACERS, race};
use crate::fixtures::{a_job, at, fresh_id};

const CASES: &[Case<StoreHarness>] = cases![
    a_job_is_claimed_whole,
    a_job_waits_until_it_is_due,
    the_oldest_jobs_are_claimed_first,
    a_leased_job_is_not_claimed_again,
    a_lease_ends,
    a_clock_that_is_set_back_keeps_no_job_from_being_done,
    a_lease_outlasts_clocks_that_differ_a_little,
    a_released_job_is_due_at_once_and_its_lease_is_lost,
    parallel_workers_never_share_a_job,
    a_retried_job_is_due_at_its_time,
    a_lost_lease_cannot_be_retried_or_buried,
    a_buried_job_stays_visible,
    the_newest_dead_jobs_are_shown_first,
    running_jobs_count_as_pending,
];

/// Checks a queue; `fresh` makes an empty database for each case.
pub async fn check<Fut: Future<Output = StoreHarness>>(fresh: impl Fn() -> Fut) {
    super::run("job queue", CASES, fresh).await;
}

const LEASE: Duration = Duration::from_mins(1);

async fn claim(h: &StoreHarness, seconds: i64, limit: u32) -> Vec<LeasedJob> {
    h.queue.claim(at(seconds), LEASE, limit).await.unwrap()
}

fn a_sweep(user: &User, due: i64) -> Job {
    let kind = JobKind::Sweep {
        profile: ProfileId::new(fresh_id()),
    };
    Job {
        available_at: at(due),
        ..a_job(user.id, kind)
    }
}

/// A job of a new user that is due at second 0.
async fn enqueued(h: &StoreHarness) -> Job {
    let user = h.user().await;
    let job = a_sweep(&user, 0);
    commit!(h, user.id, jobs.enqueue(&job)).unwrap();
    job
}

async fn a_job_is_claimed_whole(h: &StoreHarness) {
    let user = h.user().await;
    let profile = ProfileId::new(fresh_id());
    for kind in [
        JobKind::Learn {
            message: MessageId::new(fresh_id()),
            profile,
        },
        JobKind::Index {
            memory: MemoryId::new(fresh_id()),
            profile,
        },
        JobKind::Sweep { profile },
    ] {
        let job = Job {
            available_at: at(5),
            ..a_job(user.id, kind)
        };
        commit!(h, user.id, jobs.enqueue(&job)).unwrap();
        assert_eq!(claim(h, 6, 10).await, [LeasedJob { job, attempt: 1 }]);
    }
}

async fn a_job_waits_until_it_is_due(h: &StoreHarness) {
    let user = h.user().await;
    commit!(h, user.id, jobs.enqueue(&a_sweep(&user, 10))).unwrap();
    assert!(claim(h, 9, 10).await.is_empty());
    assert_eq!(claim(h, 10, 10).await.len(), 1);
}

async fn the_oldest_jobs_are_claimed_first(h: &StoreHarness) {
    let (ada, bob) = (h.user().await, h.user().await);
    for (user, due) in [(&ada, 3), (&bob, 1), (&ada, 4), (&bob, 2)] {
        commit!(h, user.id, jobs.enqueue(&a_sweep(user, due))).unwrap();
    }
    let due = |jobs: Vec<LeasedJob>| jobs.iter().map(|j| j.job.available_at).collect::<Vec<_>>();
    assert_eq!(due(claim(h, 9, 3).await), [at(1), at(2), at(3)]);
    assert_eq!(due(claim(h, 9, 3).await), [at(4)]);
}

async fn a_leased_job_is_not_claimed_again(h: &StoreHarness) {
    enqueued(h).await;
    assert_eq!(claim(h, 0, 10).await.len(), 1);
    assert!(claim(h, 0, 10).await.is_empty());
    assert!(claim(h, 59, 10).await.is_empty());
}

async fn a_lease_ends(h: &StoreHarness) {
    let job = enqueued(h).await;
    for attempt in 1..4_u32 {
        let leases = claim(h, i64::from(attempt) * 61, 10).await;
        let leases: Vec<_> = leases.iter().map(|l| (l.job.id, l.attempt)).collect();
        assert_eq!(leases, [(job.id, attempt)]);
    }
}

async fn a_clock_that_is_set_back_keeps_no_job_from_being_done(h: &StoreHarness) {
    const HOUR: i64 = 3600;
    let user = h.user().await;
    let job = a_sweep(&user, HOUR);
    commit!(h, user.id, jobs.enqueue(&job)).unwrap();
    let longest = i64::try_from(LONGEST_WAIT.as_secs()).unwrap();
    assert!(claim(h, HOUR - longest, 10).await.is_empty(), "it may wait");
    let before = claim(h, HOUR - longest - 1, 10).await;
    assert_eq!(before, [LeasedJob { job, attempt: 1 }]);
    let after = claim(h, 0, 10).await;
    assert_eq!(
        after,
        [LeasedJob { job, attempt: 2 }],
        "its lease is no lease"
    );
    // Whoever had it has lost it.
    let mut work = h.workers.begin(user.id).await.unwrap();
    assert!(!work.jobs().complete(&before[0]).await.unwrap());
    drop(work);
    assert!(claim(h, 0, 10).await.is_empty());
}

async fn a_lease_outlasts_clocks_that_differ_a_little(h: &StoreHarness) {
    enqueued(h).await;
    assert_eq!(claim(h, 60, 10).await.len(), 1);
    assert!(claim(h, 0, 10).await.is_empty(), "a minute behind");
}

async fn a_released_job_is_due_at_once_and_its_lease_is_lost(h: &StoreHarness) {
    let job = enqueued(h).await;
    let lost = claim(h, 0, 1).await[0];
    assert_eq!(h.queue.release().await.unwrap(), 1);
    assert_eq!(h.queue.release().await.unwrap(), 0);
    h.queue.retry(&lost, at(500), "too late").await.unwrap();
    let again = claim(h, 0, 1).await;
    assert_eq!(again[0].job.id, job.id);
    assert_ne!(again[0].attempt, lost.attempt);
    assert!(!h.complete(job.user, &lost).await);
}

async fn parallel_workers_never_share_a_job(h: &StoreHarness) {
    let user = h.user().await;
    let jobs: Vec<_> = (0..3 * RACERS).map(|_| a_sweep(&user, 0)).collect();
    let mut work = h.store.begin(user.id).await.unwrap();
    for job in &jobs {
        work.jobs().enqueue(job).await.unwrap();
    }
    work.commit().await.unwrap();
    let mut claimed = Vec::new();
    // One round may leave some over where workers get out of each other's way.
    while claimed.len() < jobs.len() {
        let round = race((0..RACERS).map(|_| {
            let queue = h.queue.clone();
            async move { queue.claim(at(1), LEASE, 4).await.unwrap() }
        }))
        .await;
        let before = claimed.len();
        claimed.extend(round.into_iter().flatten().map(|lease| lease.job.id));
        assert!(claimed.len() > before, "nobody claims what is due");
    }
    assert_eq!(claimed.len(), jobs.len(), "a job was claimed twice");
    let expected: HashSet<_> = jobs.iter().map(|job| job.id).collect();
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>(), expected);
}

async fn a_retried_job_is_due_at_its_time(h: &StoreHarness) {
    let job = enqueued(h).await;
    let lease = claim(h, 0, 10).await.pop().unwrap();
    h.queue.retry(&lease, at(30), "no model").await.unwrap();
    assert!(claim(h, 29, 10).await.is_empty());
    let again = claim(h, 30, 10)
        .await
        .pop()
        .expect("due again, before the lease would have ended");
    assert_eq!(
        (again.job.id, again.job.kind, again.attempt),
        (job.id, job.kind, 2)
    );
}

async fn a_lost_lease_cannot_be_retried_or_buried(h: &StoreHarness) {
    enqueued(h).await;
    let lost = claim(h, 0, 10).await.pop().unwrap();
    let taken = claim(h, 61, 10).await.pop().unwrap();
    h.queue.retry(&lost, at(62), "late").await.unwrap();
    h.queue.bury(&lost, "late").await.unwrap();
    assert!(
        claim(h, 63, 10).await.is_empty(),
        "the second worker still holds it"
    );
    assert_eq!(
        h.queue.depth().await.unwrap(),
        QueueDepth {
            pending: 1,
            dead: 0
        }
    );
    assert!(h.complete(taken.job.user, &taken).await);
}

async fn a_buried_job_stays_visible(h: &StoreHarness) {
    let job = enqueued(h).await;
    let lease = claim(h, 0, 10).await.pop().unwrap();
    assert!(h.queue.dead(10).await.unwrap().is_empty());
    h.queue.bury(&lease, "no model").await.unwrap();
    assert!(claim(h, 1000, 10).await.is_empty());
    assert_eq!(
        h.queue.depth().await.unwrap(),
        QueueDepth {
            pending: 0,
            dead: 1
        }
    );
    let report = h.queue.dead(10).await.unwrap().pop().unwrap();
    assert_eq!(
        (report.job.id, report.job.user, report.job.kind),
        (job.id, job.user, job.kind)
    );
    assert_eq!((report.state, report.attempts), (JobState::Dead, 1));
    assert_eq!(report.last_error.as_deref(), Some("no model"));
}

async fn the_newest_dead_jobs_are_shown_first(h: &StoreHarness) {
    let user = h.user().await;
    let jobs = [a_sweep(&user, 1), a_sweep(&user, 2), a_sweep(&user, 3)];
    for job in &jobs {
        commit!(h, user.id, jobs.enqueue(job)).unwrap();
        let lease = claim(h, 9, 1).await.pop().unwrap();
        h.queue.bury(&lease, "no model").await.unwrap();
    }
    let dead = h.queue.dead(2).await.unwrap();
    let dead: Vec<_> = dead.into_iter().map(|report| report.job.id).collect();
    assert_eq!(dead, [jobs[2].id, jobs[1].id]);
}

async fn running_jobs_count_as_pending(h: &StoreHarness) {
    let user = h.user().await;
    assert_eq!(h.queue.depth().await.unwrap(), QueueDepth::default());
    for due in [0, 0, 500] {
        commit!(h, user.id, jobs.enqueue(&a_sweep(&user, due))).unwrap();
    }
    claim(h, 1, 1).await;
    assert_eq!(
        h.queue.depth().await.unwrap(),
        QueueDepth {
            pending: 3,
            dead: 0
        }
    );
}
