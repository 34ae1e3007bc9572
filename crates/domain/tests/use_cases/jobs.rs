//! The worker: retries, giving up, going on.

use std::time::Duration;

use domain::jobs::{JobOutcome, JobQueue, JobState, RetryPolicy};
use domain::privacy::PrivacyMode::Normal;
use domain::profile::Profile;

use crate::common::{Setup, World};

fn impatient() -> World {
    let policy = RetryPolicy {
        base: Duration::from_secs(2),
        cap: Duration::from_secs(10),
        max_attempts: 3,
        ..RetryPolicy::default()
    };
    World::with(Setup {
        policy,
        ..Setup::default()
    })
}

/// Of what kind an outcome is, to compare.
fn kinds(outcomes: &[JobOutcome]) -> Vec<&'static str> {
    let kind = |outcome: &JobOutcome| match outcome {
        JobOutcome::Done { .. } => "done",
        JobOutcome::Retry { .. } => "retry",
        JobOutcome::Dead { .. } => "dead",
        JobOutcome::Lost { .. } => "lost",
    };
    outcomes.iter().map(kind).collect()
}

#[tokio::test]
async fn a_worker_without_work_does_nothing() {
    let world = World::new();
    assert_eq!(world.runner.run_next().await.unwrap(), None);
}

#[tokio::test]
async fn a_failing_job_waits_longer_each_time_and_is_given_up_visibly() {
    let world = impatient();
    let (user, profile) = world.user().await;
    world.index.power.down();
    world
        .memories
        .add(user, profile.id(), "My dog is called Rex.")
        .await
        .unwrap();

    for wait in [2, 4] {
        assert_eq!(kinds(&world.run_jobs().await), ["retry"]);
        world.clock.advance(Duration::from_secs(wait - 1));
        assert!(
            world.run_jobs().await.is_empty(),
            "not before {wait} seconds"
        );
        world.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(kinds(&world.run_jobs().await), ["dead"]);

    world.clock.advance(Duration::from_hours(24));
    assert!(world.run_jobs().await.is_empty(), "nobody tries again");
    let dead = world.rows.dead(10).await.unwrap();
    assert_eq!(
        (dead.len(), dead[0].state, dead[0].attempts),
        (1, JobState::Dead, 3)
    );
    let reason = dead[0].last_error.as_deref().unwrap();
    assert_eq!(reason, "the memory index is not available");
}

#[tokio::test]
async fn a_failing_job_does_not_hold_up_the_others() {
    let world = impatient();
    let (user, profile) = world.user().await;
    world.embedder.fail(true);
    world
        .memories
        .add(user, profile.id(), "My dog is called Rex.")
        .await
        .unwrap();
    assert_eq!(kinds(&world.run_jobs().await), ["retry"]);

    world.embedder.fail(false);
    let session = world.session(user, Normal).await;
    world.say(user, session, "My cat is called Mia.").await;
    assert_eq!(
        kinds(&world.run_jobs().await),
        ["done", "done"],
        "learn, then index"
    );
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(kinds(&world.run_jobs().await), ["done"]);
    assert_eq!(
        world.rows.depth().await.unwrap(),
        domain::jobs::QueueDepth::default()
    );
}

#[tokio::test]
async fn words_can_be_found_while_the_vector_has_to_wait() {
    let world = impatient();
    let (user, profile) = world.user().await;
    world.embedder.fail(true);
    world
        .memories
        .add(user, profile.id(), "My dog is called Rex.")
        .await
        .unwrap();
    assert_eq!(world.found(&profile, "dog").await.len(), 1);
    assert_eq!(
        kinds(&world.run_jobs().await),
        ["retry"],
        "but it is not done"
    );
}

#[tokio::test]
async fn a_job_whose_end_cannot_be_stored_runs_again_after_its_lease() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let session = world.session(user, Normal).await;
    world.say(user, session, "My dog is called Rex.").await;
    world.store.commit.always();
    assert!(world.runner.run_next().await.is_err());
    world.store.commit.heal();
    assert!(
        world.memories_of(&profile).await.is_empty(),
        "all or nothing"
    );
    assert!(world.run_jobs().await.is_empty(), "its lease still holds");

    world.clock.advance(Duration::from_mins(5));
    assert_eq!(kinds(&world.run_jobs().await), ["done", "done"]);
    assert_eq!(world.memories_of(&profile).await.len(), 1);
}

/// A memory to index, and after it something to learn from.
async fn a_poisoned_job_before_a_good_one(world: &World) -> Profile {
    let (user, profile) = world.user().await;
    let text = "My dog is called Rex.";
    let added = world.memories.add(user, profile.id(), text).await;
    added.unwrap();
    world.clock.advance(Duration::from_millis(1));
    let session = world.session(user, Normal).await;
    world.say(user, session, "My cat is called Mia.").await;
    profile
}

#[tokio::test]
async fn a_job_that_panics_is_tried_again_and_given_up_like_any_other() {
    let world = impatient();
    a_poisoned_job_before_a_good_one(&world).await;
    world.index.sanity.down();
    // What was learned is to be indexed, and that panics too.
    assert_eq!(kinds(&world.run_jobs().await), ["retry", "done", "retry"]);
    for end in ["retry", "dead"] {
        world.clock.advance(Duration::from_secs(10));
        assert_eq!(kinds(&world.run_jobs().await), [end, end]);
    }
    let dead = world.rows.dead(10).await.unwrap();
    assert_eq!((dead.len(), dead[0].attempts), (2, 3));
    let reason = dead[0].last_error.as_deref();
    assert_eq!(reason, Some("a fault of the program ended the work"));
}

#[tokio::test]
async fn a_job_that_hangs_is_broken_off_and_given_up_like_any_other() {
    let world = impatient();
    let profile = a_poisoned_job_before_a_good_one(&world).await;
    let stuck = world.embedder.gate.lock().await;
    // What was learned is to be indexed, and that hangs too.
    assert_eq!(run_for_a_while(&world).await, ["retry", "done", "retry"]);
    for end in ["retry", "dead"] {
        world.clock.advance(Duration::from_secs(10));
        assert_eq!(run_for_a_while(&world).await, [end, end]);
    }
    drop(stuck);
    let dead = world.rows.dead(10).await.unwrap();
    let reason = dead[0].last_error.as_deref();
    assert_eq!(reason, Some("the work was broken off before its end"));
    assert_eq!(world.memories_of(&profile).await.len(), 2);
}

/// Runs every job that is due, but none for long.
async fn run_for_a_while(world: &World) -> Vec<&'static str> {
    let a_while = async || {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    };
    let mut outcomes = Vec::new();
    while let Some(outcome) = world.runner.run_next_until(a_while()).await.unwrap() {
        outcomes.push(outcome);
    }
    kinds(&outcomes)
}

#[tokio::test]
async fn a_job_that_ends_every_process_is_given_up() {
    let world = impatient();
    a_poisoned_job_before_a_good_one(&world).await;
    for attempt in 1..=3 {
        let lease = Duration::from_mins(5);
        let claimed = world.rows.claim(world.now(), lease, 1).await.unwrap();
        assert_eq!(claimed[0].attempt, attempt);
        world.clock.advance(lease);
    }
    assert_eq!(kinds(&world.run_jobs().await), ["dead", "done", "done"]);
    let dead = world.rows.dead(10).await.unwrap();
    let reason = dead[0].last_error.as_deref();
    assert_eq!(reason, Some("its last tries ended without a word"));
}
