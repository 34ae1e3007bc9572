//! Jobs as part of a unit of work.

use std::time::Duration;

use domain::ids::{MessageId, ProfileId, UserId};
use domain::jobs::{JobKind, LeasedJob};
use domain::store::Store;

use super::StoreHarness;
use crate::contract::{Case, RACERS, let_others_in, race};
use crate::fixtures::{a_job, at, fresh_id};

pub(super) const CASES: &[Case<StoreHarness>] = cases![
    a_job_is_there_exactly_if_committed,
    work_that_waits_or_runs_is_not_enqueued_once_more,
    of_many_that_enqueue_once_at_the_same_time_one_does,
    completing_a_job_ends_it_together_with_its_effects,
    a_completion_that_is_dropped_leaves_the_job,
    a_job_is_completed_once,
    a_lost_lease_completes_nothing,
    nobody_else_completes_a_job,
];

const LEASE: Duration = Duration::from_mins(1);

fn learn() -> JobKind {
    JobKind::Learn {
        message: MessageId::new(fresh_id()),
        profile: ProfileId::new(fresh_id()),
    }
}

async fn claim(h: &StoreHarness, seconds: i64) -> Vec<LeasedJob> {
    h.queue.claim(at(seconds), LEASE, 10).await.unwrap()
}

/// A user with a job that a worker holds at second 0.
async fn a_leased_job(h: &StoreHarness) -> (domain::account::User, LeasedJob) {
    let user = h.user().await;
    commit!(h, user.id, jobs.enqueue(&a_job(user.id, learn()))).unwrap();
    let lease = claim(h, 0).await.pop().expect("it is due");
    (user, lease)
}

async fn a_job_is_there_exactly_if_committed(h: &StoreHarness) {
    let user = h.user().await;
    let (dropped, kept) = (a_job(user.id, learn()), a_job(user.id, learn()));
    let mut work = h.store.begin(user.id).await.unwrap();
    work.jobs().enqueue(&dropped).await.unwrap();
    drop(work);
    assert!(claim(h, 0).await.is_empty());
    commit!(h, user.id, jobs.enqueue(&kept)).unwrap();
    assert_eq!(
        claim(h, 0).await,
        [LeasedJob {
            job: kept,
            attempt: 1
        }]
    );
}

/// Enqueues the work once more as a worker does; was it?
async fn once_more(workers: &dyn Store, user: UserId, kind: JobKind) -> bool {
    let mut work = workers.begin(user).await.unwrap();
    let job = a_job(user, kind);
    let added = work.jobs().enqueue_once(&job).await.unwrap();
    let_others_in().await;
    work.commit().await.unwrap();
    added
}

async fn work_that_waits_or_runs_is_not_enqueued_once_more(h: &StoreHarness) {
    let (user, kind) = (h.user().await, learn());
    assert!(once_more(&*h.workers, user.id, kind).await);
    assert!(!once_more(&*h.workers, user.id, kind).await, "it waits");
    assert!(
        once_more(&*h.workers, user.id, learn()).await,
        "that is another one"
    );
    let first = claim(h, 0).await.remove(0);
    assert!(
        !once_more(&*h.workers, user.id, first.job.kind).await,
        "it runs"
    );
    h.queue.bury(&first, "no model").await.unwrap();
    assert!(
        once_more(&*h.workers, user.id, first.job.kind).await,
        "given up"
    );
    assert!(!once_more(&*h.workers, user.id, first.job.kind).await);
}

async fn of_many_that_enqueue_once_at_the_same_time_one_does(h: &StoreHarness) {
    let (user, kind) = (h.user().await.id, learn());
    let added = race((0..RACERS).map(|_| {
        let workers = h.workers.clone();
        async move { once_more(&*workers, user, kind).await }
    }))
    .await;
    assert_eq!(added.into_iter().filter(|added| *added).count(), 1);
    assert_eq!(h.queue.depth().await.unwrap().pending, 1);
}

async fn completing_a_job_ends_it_together_with_its_effects(h: &StoreHarness) {
    let (user, lease) = a_leased_job(h).await;
    let effect = a_job(user.id, learn());
    let mut work = h.workers.begin(user.id).await.unwrap();
    work.jobs().enqueue(&effect).await.unwrap();
    assert!(work.jobs().complete(&lease).await.unwrap());
    work.commit().await.unwrap();
    let left = claim(h, 1000).await;
    assert_eq!(
        left.iter().map(|lease| lease.job.id).collect::<Vec<_>>(),
        [effect.id]
    );
}

async fn a_completion_that_is_dropped_leaves_the_job(h: &StoreHarness) {
    let (user, lease) = a_leased_job(h).await;
    let mut work = h.workers.begin(user.id).await.unwrap();
    assert!(work.jobs().complete(&lease).await.unwrap());
    drop(work);
    assert_eq!(h.queue.depth().await.unwrap().pending, 1);
    assert_eq!(claim(h, 1000).await.len(), 1);
}

async fn a_job_is_completed_once(h: &StoreHarness) {
    let (user, lease) = a_leased_job(h).await;
    assert!(h.complete(user.id, &lease).await);
    assert!(!h.complete(user.id, &lease).await);
}

async fn a_lost_lease_completes_nothing(h: &StoreHarness) {
    let (user, lost) = a_leased_job(h).await;
    let taken = claim(h, 61).await.pop().expect("the lease has ended");
    assert_eq!(taken.attempt, 2);
    assert!(!h.complete(user.id, &lost).await);
    assert_eq!(h.queue.depth().await.unwrap().pending, 1);
    assert!(h.complete(user.id, &taken).await);
    assert_eq!(h.queue.depth().await.unwrap().pending, 0);
}

async fn nobody_else_completes_a_job(h: &StoreHarness) {
    let (_, lease) = a_leased_job(h).await;
    let bob = h.user().await;
    assert!(!h.complete(bob.id, &lease).await);
    assert_eq!(h.queue.depth().await.unwrap().pending, 1);
}
