//! The worker: retries, giving up, going on.

use std::time::Duration;

use domain::jobs::{JobOutcome, JobQueue, JobState, RetryPolicy};
use domain::privacy::PrivacyMode::Normal;

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
