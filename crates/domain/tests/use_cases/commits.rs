//! What is left of a turn when the database fails in the middle of it.

use std::time::Duration;

use domain::chat::ChatError;
use domain::jobs::{JobQueue, Maintenance};
use domain::privacy::PrivacyMode::Normal;
use domain::session::MessageStatus;
use domain::store::StoreError;

use crate::common::{Told, World};

async fn jobs(world: &World) -> u64 {
    world.rows.depth().await.unwrap().pending
}

#[tokio::test]
async fn a_turn_is_complete_only_when_its_commit_is() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    let turn = world
        .ask(user, session, "My dog is called Rex.")
        .await
        .unwrap();
    world.store.commit.always();
    let told = Told::from(turn).await;
    assert!(matches!(
        told.end,
        Err(ChatError::Store(StoreError::Unavailable(_)))
    ));
    world.store.commit.heal();
    assert_eq!(jobs(&world).await, 0);
    assert_ne!(
        world.stored(user, session).await[1].status,
        MessageStatus::Complete
    );
}

#[tokio::test]
async fn a_question_that_cannot_be_stored_never_reaches_the_model() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    world.store.commit.always();
    let refused = world.ask(user, session, "Hello?").await.err();
    assert!(matches!(refused, Some(ChatError::Store(_))));
    assert!(world.model.prompts().is_empty());
}

#[tokio::test]
async fn an_answer_outlives_a_database_that_is_away_for_a_moment() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    let turn = world.ask(user, session, "I like tea.").await.unwrap();
    world.store.commit.next(3);
    assert!(Told::from(turn).await.end.is_ok());
    assert_eq!(jobs(&world).await, 1);
    assert_eq!(
        world.stored(user, session).await[1].status,
        MessageStatus::Complete
    );
}

#[tokio::test]
async fn a_slow_answer_that_was_given_up_is_stored_all_the_same() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    let turn = world.ask(user, session, "I like tea.").await.unwrap();
    let later = world.now() + Duration::from_mins(5);
    assert_eq!(world.rows.interrupt_stale(later).await.unwrap(), 1);
    assert!(Told::from(turn).await.end.unwrap().learning);
    let stored = world.stored(user, session).await;
    assert_eq!(stored[1].status, MessageStatus::Complete);
    assert_eq!(
        (stored[1].content.as_str(), jobs(&world).await),
        ("I like tea.", 1)
    );
}

#[tokio::test]
async fn a_question_that_the_database_aborts_is_stored_once_and_answered() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    world.store.abort.next(2);
    let turn = world.ask(user, session, "I like tea.").await.unwrap();
    world.store.abort.next(2);
    assert!(Told::from(turn).await.end.is_ok());
    assert_eq!(world.stored(user, session).await.len(), 2);
    assert_eq!((jobs(&world).await, world.model.prompts().len()), (1, 1));
}

#[tokio::test]
async fn an_answer_whose_commit_is_cut_off_is_stored_once_and_learned_from_once() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    let turn = world.ask(user, session, "I like tea.").await.unwrap();
    world.store.outcome.next(1);
    assert!(Told::from(turn).await.end.is_ok());
    assert_eq!(jobs(&world).await, 1);
    assert_eq!(world.stored(user, session).await.len(), 2);
}

#[tokio::test]
async fn a_question_whose_commit_is_cut_off_is_answered_all_the_same() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    world.store.outcome.next(1);
    let turn = world.ask(user, session, "I like tea.").await.unwrap();
    assert!(Told::from(turn).await.end.is_ok());
    assert_eq!(world.stored(user, session).await.len(), 2);
}
