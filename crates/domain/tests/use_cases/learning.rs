//! From a stored question to memories: what is kept, what is not, and how often.

use std::time::Duration;

use domain::chat::ModelError;
use domain::ids::{MessageId, ProfileId, SessionId, UserId};
use domain::jobs::{JobKind, JobOutcome, JobQueue, RetryPolicy};
use domain::memory::{Candidate, ExtractError, LearnOutcome, Memory, Origin};
use domain::page::PageRequest;
use domain::privacy::PrivacyMode::Normal;
use domain::profile::Profile;
use domain::session::{Role, WithMemories};
use domain::store::Store;
use testkit::fixtures::{a_job, a_message};
use testkit::seed;

use crate::common::{Setup, World};

async fn rows(world: &World, profile: &Profile) -> Vec<Memory> {
    let page = PageRequest::first(100);
    world
        .memories
        .list(profile.user(), profile.id(), page)
        .await
        .unwrap()
        .items
}

fn learned(outcomes: &[JobOutcome]) -> Vec<LearnOutcome> {
    let learned = |outcome: &JobOutcome| match outcome {
        JobOutcome::Done { learned, .. } => *learned,
        JobOutcome::Retry { .. } | JobOutcome::Dead { .. } | JobOutcome::Lost { .. } => None,
    };
    outcomes.iter().filter_map(learned).collect()
}

fn candidate(text: &str, quote: &str) -> Candidate {
    Candidate {
        text: text.to_owned(),
        quote: quote.to_owned(),
    }
}

async fn enqueue(world: &World, user: UserId, message: MessageId, profile: ProfileId) {
    let mut work = world.store.begin(user).await.unwrap();
    work.jobs()
        .enqueue(&a_job(user, JobKind::Learn { message, profile }))
        .await
        .unwrap();
    work.commit().await.unwrap();
}

/// A user who said something in a new session.
async fn told(world: &World, text: &str) -> (UserId, Profile, SessionId, MessageId) {
    let (user, profile) = world.user().await;
    let session = world.session(user, Normal).await;
    let question = world.say(user, session, text).await.start.question.id;
    (user, profile, session, question)
}

#[tokio::test]
async fn a_memory_knows_the_message_it_was_drawn_from() {
    let world = World::new();
    let (user, profile, session, question) = told(&world, "My dog is called Rex.").await;
    world.run_jobs().await;
    let memories = rows(&world, &profile).await;
    assert_eq!(memories.len(), 1);
    assert_eq!(
        (memories[0].origin, memories[0].version),
        (Origin::Extracted, 1)
    );
    let source = memories[0].source.unwrap();
    assert_eq!((source.session, source.message), (session, question));
    assert_eq!(memories[0].scope, profile.scope());
    let next = world.session(user, Normal).await;
    let recalled = world
        .say(user, next, "What is my dog called?")
        .await
        .start
        .memories;
    assert_eq!(recalled[0].memory, memories[0]);
}

#[tokio::test]
async fn a_statement_that_is_known_is_not_learned_twice() {
    let world = World::new();
    let (user, profile, session, _) = told(&world, "My dog is called Rex.").await;
    world.say(user, session, "my dog is  called REX").await;
    let outcomes = learned(&world.run_jobs().await);
    assert_eq!(
        outcomes
            .iter()
            .map(|o| (o.added, o.known))
            .collect::<Vec<_>>(),
        [(1, 0), (0, 1)]
    );
    assert_eq!(world.memories_of(&profile).await, ["My dog is called Rex."]);
}

#[tokio::test]
async fn what_an_extractor_made_up_is_dropped() {
    let world = World::new();
    let answers = vec![
        candidate("Has a dog called Rex.", "my dog is called Rex"),
        candidate("Lives in Porto.", "I live in Porto"),
        candidate("Owns 12 dogs.", "My dog"),
        candidate("Is the user a nurse?", "My dog"),
    ];
    world.extractor.then(Ok(answers));
    let (_, profile, ..) = told(&world, "My dog is called Rex.").await;
    let outcomes = learned(&world.run_jobs().await);
    assert_eq!(
        outcomes,
        [LearnOutcome {
            added: 1,
            known: 0,
            ungrounded: 3
        }]
    );
    assert_eq!(world.memories_of(&profile).await, ["Has a dog called Rex."]);
}

#[tokio::test]
async fn what_was_said_elsewhere_cannot_be_drawn_from_this_message() {
    let world = World::new();
    let (user, profile, session, _) = told(&world, "My sister is called Ana.").await;
    world.extractor.then(Ok(Vec::new()));
    let foreign = candidate("Has a sister called Ana.", "My sister is called Ana.");
    world.extractor.then(Ok(vec![foreign]));
    world.say(user, session, "Hello there!").await;
    world.run_jobs().await;
    let seen = world.extractor.seen();
    assert_eq!(seen[1].before.len(), 2, "it could see the other message");
    assert!(world.memories_of(&profile).await.is_empty());
}

#[tokio::test]
async fn what_was_said_after_a_message_is_no_context_of_it() {
    let world = World::new();
    let (user, _, session, _) = told(&world, "The first message.").await;
    for n in 0..8 {
        world
            .say(user, session, &format!("Later message {n}."))
            .await;
    }
    world.run_jobs().await;
    let seen = world.extractor.seen();
    assert_eq!(seen[0].text, "The first message.");
    assert!(seen[0].before.is_empty());
    let (role, words) = seen[8].before.last().unwrap();
    assert_eq!(
        (*role, words.as_str()),
        (Role::Assistant, "Later message 6.")
    );
}

#[tokio::test]
async fn rules_step_in_for_an_answer_that_cannot_be_used() {
    let world = World::new();
    world
        .extractor
        .then(Err(ExtractError::Unusable("no JSON".into())));
    let text = "Hi! My dog is called Rex. What should I feed him?";
    let (_, profile, ..) = told(&world, text).await;
    world.run_jobs().await;
    assert_eq!(world.memories_of(&profile).await, ["My dog is called Rex."]);
}

#[tokio::test]
async fn a_failing_model_is_tried_again_and_replaced_by_rules_at_last() {
    let policy = RetryPolicy {
        max_attempts: 3,
        ..RetryPolicy::default()
    };
    let world = World::with(Setup {
        policy,
        ..Setup::default()
    });
    for _ in 0..3 {
        world
            .extractor
            .then(Err(ExtractError::Model(ModelError::Timeout)));
    }
    let (_, profile, ..) = told(&world, "Hi! My dog is called Rex.").await;
    for attempt in 1..=2 {
        let outcomes = world.run_jobs().await;
        let tried =
            |o: &JobOutcome| matches!(o, JobOutcome::Retry { attempt: n, .. } if *n == attempt);
        assert!(outcomes.len() == 1 && tried(&outcomes[0]), "{outcomes:?}");
        assert!(world.memories_of(&profile).await.is_empty());
        world.clock.advance(Duration::from_mins(10));
    }
    world.run_jobs().await;
    assert_eq!(world.extractor.seen().len(), 3);
    assert_eq!(world.memories_of(&profile).await, ["My dog is called Rex."]);
}

#[tokio::test]
async fn a_job_that_runs_twice_has_the_effect_of_once() {
    let world = World::new();
    let (user, profile, _, question) = told(&world, "My dog is called Rex.").await;
    enqueue(&world, user, question, profile.id()).await;
    world.run_jobs().await;
    assert_eq!(rows(&world, &profile).await.len(), 1);
    assert_eq!(world.index.inner.total(), 1);
}

#[tokio::test]
async fn two_workers_learn_a_message_once() {
    let world = World::new();
    let (_, profile, ..) = told(&world, "My dog is called Rex.").await;
    let (one, two) = futures::join!(world.runner.run_next(), world.runner.run_next());
    let ran = [one.unwrap(), two.unwrap()].into_iter().flatten();
    assert_eq!(learned(&ran.collect::<Vec<_>>()).len(), 1);
    world.run_jobs().await;
    assert_eq!(rows(&world, &profile).await.len(), 1);
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_leaves_the_effect_to_the_other() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let memory = world
        .memories
        .add(user, profile.id(), "My dog is called Rex.")
        .await
        .unwrap();
    world.run_jobs().await;
    let mut work = world.store.begin(user).await.unwrap();
    let kind = JobKind::Index {
        memory: memory.id,
        profile: profile.id(),
    };
    work.jobs().enqueue(&a_job(user, kind)).await.unwrap();
    work.commit().await.unwrap();

    let gate = world.embedder.gate.lock().await;
    let slow = world.runner.run_next();
    let fast = async {
        world.clock.advance(Duration::from_mins(6));
        let outcome = world.runner.run_next();
        drop(gate);
        outcome.await
    };
    let (slow, fast) = futures::join!(slow, fast);
    let outcomes = [slow.unwrap().unwrap(), fast.unwrap().unwrap()];
    let lost = outcomes
        .iter()
        .filter(|o| matches!(o, JobOutcome::Lost { .. }))
        .count();
    let done = outcomes
        .iter()
        .filter(|o| matches!(o, JobOutcome::Done { .. }))
        .count();
    assert_eq!((lost, done), (1, 1), "{outcomes:?}");
    assert_eq!(world.rows.depth().await.unwrap().pending, 0);
    assert_eq!(world.index.inner.total(), 1);
}

#[tokio::test]
async fn a_lease_that_has_ended_cannot_end_its_job() {
    let world = World::new();
    let (user, profile, ..) = told(&world, "My dog is called Rex.").await;
    let queue = &world.rows;
    let late = queue
        .claim(world.now(), Duration::from_mins(5), 1)
        .await
        .unwrap()[0];
    world.clock.advance(Duration::from_mins(6));
    world.run_jobs().await;
    assert_eq!(rows(&world, &profile).await.len(), 1);

    let mut work = world.store.begin(user).await.unwrap();
    assert!(!work.jobs().complete(&late).await.unwrap());
}

#[tokio::test]
async fn a_message_or_a_profile_that_is_gone_teaches_nothing() {
    let world = World::new();
    let (user, profile, session, question) = told(&world, "My dog is called Rex.").await;
    world
        .sessions
        .delete_message(user, session, question, WithMemories::Keep)
        .await
        .unwrap();
    world.say(user, session, "My cat is called Mia.").await;
    let other = world
        .profiles
        .create(user, "Other", None, false)
        .await
        .unwrap()
        .profile;
    world.profiles.delete(user, profile.id()).await.unwrap();

    let outcomes = learned(&world.run_jobs().await);
    assert_eq!(outcomes, [LearnOutcome::default(); 2]);
    assert!(world.extractor.seen().is_empty());
    assert!(world.memories_of(&other).await.is_empty());
}

#[tokio::test]
async fn the_message_of_another_teaches_nothing() {
    let world = World::new();
    let (bob, bobs, _, question) = told(&world, "My dog is called Rex.").await;
    world.run_jobs().await;
    let (ada, profile) = world.user().await;
    enqueue(&world, ada, question, profile.id()).await;
    enqueue(&world, bob, question, profile.id()).await;
    world.run_jobs().await;
    assert_eq!(world.extractor.seen().len(), 1, "bob's own");
    assert!(world.memories_of(&profile).await.is_empty());
    assert_eq!(world.memories_of(&bobs).await.len(), 1);
}

#[tokio::test]
async fn a_memory_deleted_before_its_index_job_stays_gone() {
    let world = World::new();
    let (user, profile, ..) = told(&world, "My dog is called Rex.").await;
    world.runner.run_next().await.unwrap();
    let memory = rows(&world, &profile).await[0].id;
    world
        .memories
        .delete(user, profile.id(), memory)
        .await
        .unwrap();
    world.run_jobs().await;
    assert!(world.memories_of(&profile).await.is_empty());
    assert_eq!(world.index.inner.total(), 0);
}

#[tokio::test]
async fn a_learning_job_of_a_message_from_before_stays_within_its_profile() {
    let world = World::new();
    let (user, first) = world.user().await;
    let second = world
        .profiles
        .create(user, "Second", None, false)
        .await
        .unwrap()
        .profile;
    let session = seed::session(&*world.store, user, Some(first.id())).await;
    let message = a_message(session.id, "My dog is called Rex.");
    seed::add_message(&*world.store, user, &message).await;
    enqueue(&world, user, message.id, second.id()).await;
    world.run_jobs().await;
    assert!(
        world.memories_of(&first).await.is_empty(),
        "the job names the profile"
    );
    assert_eq!(world.memories_of(&second).await.len(), 1);
}
