//! What each mode touches, call by call and row by row.

use std::time::Duration;

use domain::chat::RecallNote;
use domain::ids::{MessageId, UserId};
use domain::jobs::{JobKind, JobQueue};
use domain::privacy::PrivacyMode::{self, Incognito, Normal, PauseMemories};
use domain::session::{NewSession, Role};
use domain::store::Store;
use proptest::prelude::*;
use testkit::fixtures::{a_job, a_message};
use testkit::seed;

use crate::common::{Told, World};

/// What one turn, and all work after it, did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Trace {
    recall: Option<RecallNote>,
    memories_in_prompt: usize,
    embeddings_in_turn: usize,
    searches: usize,
    messages: usize,
    learning: bool,
    jobs: u64,
    extractions: usize,
    upserts: usize,
    embeddings_later: usize,
    new_memories: usize,
}

/// A turn in this mode, in a session of a profile that holds something to recall.
async fn trace(mode: PrivacyMode) -> Trace {
    let world = World::new();
    let (user, profile) = world.user().await;
    world
        .memories
        .add(user, profile.id(), "My dog is called Rex.")
        .await
        .unwrap();
    world.run_jobs().await;
    world.embedder.calls.take();
    world.index.upserts.take();
    let new = NewSession {
        mode,
        profile: Some(profile.id()),
    };
    let session = world.sessions.create(user, new).await.unwrap().session.id;

    let told = world.say(user, session, "My dog likes cheese.").await;
    let embeddings_in_turn = world.embedder.calls.take();
    let jobs = world.rows.depth().await.unwrap().pending;
    world.run_jobs().await;
    Trace {
        recall: Some(told.start.recall),
        memories_in_prompt: told.start.memories.len(),
        embeddings_in_turn,
        searches: world.index.searches.take(),
        messages: world.stored(user, session).await.len(),
        learning: told.end.unwrap().learning,
        jobs,
        extractions: world.extractor.seen().len(),
        upserts: world.index.upserts.take(),
        embeddings_later: world.embedder.calls.take(),
        new_memories: world.memories_of(&profile).await.len() - 1,
    }
}

#[tokio::test]
async fn a_normal_turn_recalls_is_stored_and_is_learned_from() {
    let expected = Trace {
        recall: Some(RecallNote::Done),
        memories_in_prompt: 1,
        embeddings_in_turn: 1,
        searches: 1,
        messages: 2,
        learning: true,
        jobs: 1,
        extractions: 1,
        upserts: 1,
        embeddings_later: 1,
        new_memories: 1,
    };
    assert_eq!(trace(Normal).await, expected);
}

#[tokio::test]
async fn a_paused_turn_recalls_and_is_stored_but_teaches_nothing() {
    let expected = Trace {
        recall: Some(RecallNote::Done),
        memories_in_prompt: 1,
        embeddings_in_turn: 1,
        searches: 1,
        messages: 2,
        ..Trace::default()
    };
    assert_eq!(trace(PauseMemories).await, expected);
}

#[tokio::test]
async fn an_incognito_turn_touches_no_memory_and_leaves_no_row() {
    let expected = Trace {
        recall: Some(RecallNote::Off),
        ..Trace::default()
    };
    assert_eq!(trace(Incognito).await, expected);
}

#[tokio::test]
async fn an_incognito_turn_changes_nothing_about_a_stored_session() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    world.switch(user, session, Incognito).await;
    let before = world.sessions.get(user, session).await.unwrap();
    world.clock.advance(Duration::from_mins(1));
    world.say(user, session, "Said in secret.").await;
    assert_eq!(
        world.sessions.get(user, session).await.unwrap(),
        before,
        "not even its time"
    );
}

#[tokio::test]
async fn paused_words_never_reach_the_extractor_in_any_part() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let session = world.session(user, Normal).await;
    world.say(user, session, "My dog is called Rex.").await;
    world.switch(user, session, PauseMemories).await;
    world
        .say(user, session, "My illness is a paused matter.")
        .await;
    world.switch(user, session, Incognito).await;
    world
        .say(user, session, "My lover is a paused matter.")
        .await;
    world.switch(user, session, Normal).await;
    world.say(user, session, "My cat is called Mia.").await;
    world.run_jobs().await;

    let seen = world.extractor.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].before.len(), 2, "the normal turn before is context");
    for utterance in &seen {
        let context = utterance.before.iter().map(|(_, words)| words);
        let mut all = context.chain([&utterance.text]);
        assert!(!all.any(|words| words.contains("paused")));
    }
    let known = world.memories_of(&profile).await;
    assert_eq!(known.len(), 2);
    assert!(!known.iter().any(|text| text.contains("paused")));
}

#[tokio::test]
async fn a_queued_job_looks_at_the_stamp_again() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let session = seed::session(&*world.store, user, Some(profile.id())).await;
    let paused = domain::session::Message {
        stamp: PauseMemories,
        ..a_message(session.id, "My dog is called Rex.")
    };
    seed::add_message(&*world.store, user, &paused).await;
    enqueue_learning(&world, user, paused.id, profile.id()).await;
    world.run_jobs().await;
    assert!(world.extractor.seen().is_empty());
    assert!(world.memories_of(&profile).await.is_empty());
}

async fn enqueue_learning(
    world: &World,
    user: UserId,
    message: MessageId,
    profile: domain::ids::ProfileId,
) {
    let mut work = world.store.begin(user).await.unwrap();
    work.jobs()
        .enqueue(&a_job(user, JobKind::Learn { message, profile }))
        .await
        .unwrap();
    work.commit().await.unwrap();
}

#[tokio::test]
async fn an_answer_is_never_learned_from() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let session = world.session(user, Normal).await;
    let told = world.say(user, session, "My dog is called Rex.").await;
    let answer = told.end.unwrap().answer;
    assert_eq!(answer.role, Role::Assistant);
    world.run_jobs().await;
    enqueue_learning(&world, user, answer.id, profile.id()).await;
    world.run_jobs().await;
    assert_eq!(world.extractor.seen().len(), 1, "the question only");
}

#[tokio::test]
async fn a_switch_during_a_turn_does_not_change_that_turn() {
    for (during, after, learns) in [(Normal, Incognito, 1), (PauseMemories, Normal, 0)] {
        let world = World::new();
        let (user, profile) = world.user().await;
        let session = world.session(user, during).await;
        let turn = world
            .ask(user, session, "My dog is called Rex.")
            .await
            .unwrap();
        world.switch(user, session, after).await;
        let told = Told::from(turn).await;
        assert_eq!(told.start.mode, during);
        assert_eq!(told.end.unwrap().answer.stamp, during);
        assert_eq!(world.stored(user, session).await.len(), 2);
        world.run_jobs().await;
        assert_eq!(
            world.memories_of(&profile).await.len(),
            learns,
            "asked in {during}"
        );
    }
}

#[tokio::test]
async fn a_switch_during_an_incognito_turn_keeps_nothing_of_it() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let session = world.session(user, Incognito).await;
    let turn = world
        .ask(user, session, "My secret is safe.")
        .await
        .unwrap();
    world.switch(user, session, Normal).await;
    assert!(Told::from(turn).await.end.is_ok());

    assert!(world.stored(user, session).await.is_empty());
    world.switch(user, session, Incognito).await;
    world.say(user, session, "Hello again?").await;
    assert_eq!(world.last_prompt()[1..], ["Hello again?"]);
    world.run_jobs().await;
    assert!(world.memories_of(&profile).await.is_empty());
}

#[tokio::test]
async fn a_session_without_a_profile_recalls_and_learns_nothing() {
    let world = World::new();
    let user = seed::user(&*world.store).await.id;
    let session = world.session(user, Normal).await;
    let told = world.say(user, session, "My dog is called Rex.").await;
    assert_eq!(told.start.recall, RecallNote::Off);
    assert!(!told.end.unwrap().learning);
    assert_eq!(world.rows.depth().await.unwrap().pending, 0);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Say,
    Switch(PrivacyMode),
    Work,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let mode = prop::sample::select(PrivacyMode::ALL.to_vec());
    let step = prop_oneof![
        Just(Step::Say),
        mode.prop_map(Step::Switch),
        Just(Step::Work)
    ];
    prop::collection::vec(step, 0..20)
}

/// Lives through the steps; the statements made in normal mode, and the memories left.
async fn live(steps: Vec<Step>) -> (Vec<String>, Vec<String>) {
    let world = World::new();
    let (user, profile) = world.user().await;
    let session = world.session(user, Normal).await;
    let (mut mode, mut taught) = (Normal, Vec::new());
    for (n, step) in steps.into_iter().enumerate() {
        match step {
            Step::Say => {
                let text = format!("I own boat number {n}.");
                world.say(user, session, &text).await;
                taught.extend((mode == Normal).then_some(text));
            }
            Step::Switch(next) => {
                world.switch(user, session, next).await;
                mode = next;
            }
            Step::Work => drop(world.run_jobs().await),
        }
    }
    world.run_jobs().await;
    let mut memories = world.memories_of(&profile).await;
    taught.sort();
    memories.sort();
    (taught, memories)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memories_come_from_normal_messages_and_from_nothing_else(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (taught, memories) = runtime.block_on(live(steps));
        prop_assert_eq!(taught, memories);
    }
}
