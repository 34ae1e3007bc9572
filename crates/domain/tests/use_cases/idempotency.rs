//! A question that is sent again, and one that was written without the newest message.

use std::time::Duration;

use domain::chat::{ChatError, IdempotencyKey, ModelError, Question, RecallNote, TurnStream};
use domain::ids::{SessionId, UserId};
use domain::jobs::{JobQueue, Maintenance};
use domain::privacy::PrivacyMode::{Incognito, Normal, PauseMemories};
use domain::session::{FinishReason, MessageStatus, Role};
use testkit::fakes::Play;

use crate::common::{Told, World, question};

const TEXT: &str = "My dog is called Rex.";

fn named(text: &str, key: &str) -> Question {
    question(text).named(Some(IdempotencyKey::new(key).unwrap()))
}

async fn send(world: &World, user: UserId, session: SessionId) -> Result<TurnStream, ChatError> {
    world.pose(user, session, named(TEXT, "first")).await
}

async fn sent(world: &World, user: UserId, session: SessionId) -> Told {
    Told::from(send(world, user, session).await.unwrap()).await
}

/// Roles and words of what is stored.
async fn stored(world: &World, user: UserId, session: SessionId) -> Vec<(Role, String)> {
    let messages = world.stored(user, session).await;
    messages.into_iter().map(|m| (m.role, m.content)).collect()
}

fn one_turn() -> Vec<(Role, String)> {
    [Role::User, Role::Assistant]
        .map(|role| (role, TEXT.to_owned()))
        .to_vec()
}

#[tokio::test]
async fn a_question_sent_again_gives_the_answer_it_was_given() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let (id, text) = (profile.id(), "My dog likes the sea.");
    world.memories.add(user, id, text).await.unwrap();
    let session = world.session(user, Normal).await;
    let first = sent(&world, user, session).await;
    world.say(user, session, "And my cat is called Tom.").await;
    let again = sent(&world, user, session).await;

    assert_eq!(again.words, TEXT);
    assert_eq!(again.start.question, first.start.question);
    let (before, now) = (first.end.unwrap(), again.end.unwrap());
    assert_eq!(
        before, now,
        "answer, usage, end, and whether it is learned from"
    );
    assert!(now.learning);
    assert_eq!(
        (first.start.memories_used, again.start.memories_used),
        (1, 1)
    );
    assert_eq!(again.start.recall, RecallNote::Replayed);
    assert!(again.start.memories.is_empty());
    assert_eq!(world.model.prompts().len(), 2);
    assert_eq!(world.stored(user, session).await.len(), 4);
    assert_eq!(world.rows.depth().await.unwrap().pending, 3, "two lessons");
}

#[tokio::test]
async fn an_answer_without_anything_to_recall_or_to_learn_is_told_again_so() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, PauseMemories).await;
    let first = sent(&world, user, session).await.end.unwrap();
    assert!(!first.learning);
    assert_eq!(sent(&world, user, session).await.end.unwrap(), first);
}

#[tokio::test]
async fn a_question_that_the_model_refused_is_asked_again_and_stored_once() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    world.model.then(Play::Refuse(|| ModelError::Busy));
    assert!(send(&world, user, session).await.is_err());
    let asked = world.stored(user, session).await;
    let told = sent(&world, user, session).await;

    assert_eq!(
        told.start.question, asked[0],
        "the same, from its first time"
    );
    assert_eq!(stored(&world, user, session).await, one_turn());
    assert_eq!(world.last_prompt()[1..], [TEXT], "the model sees it once");
    assert!(told.end.unwrap().learning);
}

#[tokio::test]
async fn half_an_answer_gives_way_to_a_whole_one() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    world.model.then(Play::BreakOff(vec!["My do".to_owned()]));
    assert!(sent(&world, user, session).await.end.is_err());
    assert_eq!(world.rows.depth().await.unwrap().pending, 0);
    let told = sent(&world, user, session).await;

    assert!(told.end.unwrap().learning);
    assert_eq!(stored(&world, user, session).await, one_turn());
    assert_eq!(world.last_prompt()[1..], [TEXT]);
    assert_eq!(world.rows.depth().await.unwrap().pending, 1);
}

#[tokio::test]
async fn an_answer_that_is_still_written_elsewhere_is_waited_for() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    world.model.then(Play::Hang(vec!["My".to_owned()]));
    // Its writer is gone without a word, as after a crash.
    drop(send(&world, user, session).await.unwrap());
    let again = send(&world, user, session).await.err();
    assert!(matches!(again, Some(ChatError::SessionBusy)));

    let later = world.now() + Duration::from_mins(5);
    assert_eq!(world.rows.interrupt_stale(later).await.unwrap(), 1);
    assert!(sent(&world, user, session).await.end.is_ok());
    assert_eq!(stored(&world, user, session).await, one_turn());
}

#[tokio::test]
async fn a_key_names_one_question_of_one_session() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    sent(&world, user, session).await;
    let other = world.pose(user, session, named("Hello?", "first")).await;
    assert!(matches!(other.err(), Some(ChatError::KeyReused)));
    assert_eq!(world.model.prompts().len(), 1);

    let elsewhere = world.session(user, Normal).await;
    let told = sent(&world, user, elsewhere).await;
    assert_eq!(told.start.recall, RecallNote::Done, "asked, not told again");
    assert_eq!(world.model.prompts().len(), 2);
}

#[tokio::test]
async fn a_question_that_may_have_been_stored_is_never_stored_twice() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    world.store.commit.next(1);
    assert!(send(&world, user, session).await.is_err());
    assert!(world.stored(user, session).await.is_empty());
    // Stored, but the server's word is lost on its way.
    world.store.outcome.next(1);
    assert!(sent(&world, user, session).await.end.is_ok());
    assert!(sent(&world, user, session).await.end.is_ok());
    assert_eq!(stored(&world, user, session).await, one_turn());
    assert_eq!(world.model.prompts().len(), 1);
}

#[tokio::test]
async fn an_incognito_question_sent_again_is_told_again_from_memory() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Incognito).await;
    let first = sent(&world, user, session).await.end.unwrap();
    let again = sent(&world, user, session).await;
    assert_eq!(again.end.unwrap(), first);
    assert_eq!(world.model.prompts().len(), 1);

    world.model.then(Play::BreakOff(vec!["He".to_owned()]));
    let hello = || world.pose(user, session, named("Hello?", "second"));
    assert!(Told::from(hello().await.unwrap()).await.end.is_err());
    let told = Told::from(hello().await.unwrap()).await;
    assert_eq!((told.words.as_str(), told.end.is_ok()), ("Hello?", true));
    assert_eq!(world.last_prompt()[1..], [TEXT, TEXT, "Hello?"]);
    assert!(world.stored(user, session).await.is_empty());
}

#[tokio::test]
async fn a_question_finished_after_a_switch_keeps_the_mode_it_was_sent_in() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, PauseMemories).await;
    world.model.then(Play::Refuse(|| ModelError::Busy));
    assert!(send(&world, user, session).await.is_err());
    world.switch(user, session, Normal).await;
    let told = sent(&world, user, session).await;

    assert_eq!(told.start.mode, PauseMemories);
    let outcome = told.end.unwrap();
    assert!(!outcome.learning, "it was never to be learned from");
    assert_eq!(outcome.answer.stamp, PauseMemories);
    assert_eq!(world.rows.depth().await.unwrap().pending, 0);
}

#[tokio::test]
async fn a_question_without_the_newest_message_is_refused_before_anything_happens() {
    for mode in [Normal, Incognito] {
        let world = World::new();
        let (user, _) = world.user().await;
        let session = world.session(user, mode).await;
        let first = world.say(user, session, "One.").await.end.unwrap().answer;
        let second = world
            .pose(user, session, question("Two.").after(Some(first.id)))
            .await;
        let second = Told::from(second.unwrap()).await.end.unwrap().answer;
        let late = question("Two and a half.").after(Some(first.id));
        let late = world.pose(user, session, late).await.err();
        assert!(matches!(late, Some(ChatError::HistoryChanged)), "{mode:?}");
        assert_eq!(world.model.prompts().len(), 2);

        let empty = world.session(user, mode).await;
        let lost = question("Three.").after(Some(second.id));
        let lost = world.pose(user, empty, lost).await.err();
        assert!(matches!(lost, Some(ChatError::HistoryChanged)), "{mode:?}");
        assert!(world.stored(user, empty).await.is_empty());
    }
}

#[tokio::test]
async fn a_question_that_is_known_is_answered_whatever_came_since() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    let first = world.say(user, session, "One.").await.end.unwrap().answer;
    let two = || named("Two.", "two").after(Some(first.id));
    world.model.then(Play::Refuse(|| ModelError::Busy));
    assert!(world.pose(user, session, two()).await.is_err());
    let end = Play::Say(vec!["2".to_owned()], FinishReason::Stop, None);
    world.model.then(end);
    for _ in 0..2 {
        let told = world.pose(user, session, two()).await.unwrap();
        assert_eq!(Told::from(told).await.words, "2");
    }
    let messages = world.stored(user, session).await;
    assert_eq!(messages.len(), 4);
    let complete = |status| status == MessageStatus::Complete;
    assert!(messages.iter().all(|message| complete(message.status)));
}
