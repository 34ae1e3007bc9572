//! Incognito turns in memory: when they end, and what happens while they cannot be reached. The bounds
//! of the cache itself are in its contract suite.

use std::sync::Arc;
use std::time::Duration;

use domain::chat::{ChatError, IdempotencyKey};
use domain::error::Classify;
use domain::ids::UserId;
use domain::privacy::PrivacyMode::{Incognito, Normal};
use domain::session::{
    EphemeralLimits, NewSession, RamTranscripts, Session, SessionChange, SessionError,
    TranscriptCache, WithMemories,
};
use testkit::fakes::FixedClock;
use testkit::fixtures::{a_session, fresh_id};

use crate::common::{Told, World, question};

#[tokio::test]
async fn a_purge_forgets_what_is_idle_without_a_call() {
    let clock = Arc::new(FixedClock::default());
    let cache = RamTranscripts::new(clock.clone(), EphemeralLimits::default());
    let session = Session {
        mode: Incognito,
        ..a_session(UserId::new(fresh_id()), None)
    };
    cache.put(session.clone()).await.unwrap();
    clock.advance(Duration::from_hours(1));
    cache.purge();
    clock.set(session.created_at);
    assert!(matches!(
        cache.find(session.user, session.id).await,
        Ok(None)
    ));
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_lengthen_the_life_of_an_incognito_session() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Incognito).await;
    world.clock.set(world.now() - Duration::from_hours(24));
    world.sessions.get(user, session).await.unwrap();
    world.clock.advance(Duration::from_hours(1));
    assert!(world.sessions.get(user, session).await.is_err());
}

#[tokio::test]
async fn an_expired_incognito_session_does_not_exist_any_more() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Incognito).await;
    world.say(user, session, "Said in secret.").await;
    world.clock.advance(Duration::from_hours(1));
    assert!(matches!(
        world.sessions.get(user, session).await,
        Err(SessionError::NotFound)
    ));
    let asked = world.ask(user, session, "Hello?").await.err();
    assert!(matches!(asked, Some(ChatError::SessionNotFound)));
}

#[tokio::test]
async fn while_turns_cannot_be_kept_incognito_says_so_and_all_else_goes_on() {
    let world = World::new();
    let (user, _) = world.user().await;
    let normal = world.session(user, Normal).await;
    let hidden = world.session(user, Incognito).await;
    world.transcripts.calls.always();

    let asked = world.ask(user, hidden, "Hello?").await.err();
    assert_eq!(asked.map(|e| e.code()), Some("ephemeral_unavailable"));
    let opened = world
        .sessions
        .create(
            user,
            NewSession {
                mode: Incognito,
                profile: None,
            },
        )
        .await;
    let refused = opened.err().map(|e| (e.kind(), e.code()));
    let unavailable = domain::error::ErrorKind::Unavailable;
    assert_eq!(refused, Some((unavailable, "ephemeral_unavailable")));

    world.say(user, normal, "This goes on.").await;
    let gone = world.sessions.delete(user, normal, WithMemories::Keep);
    assert!(gone.await.is_ok(), "a normal session has nothing in there");

    world.transcripts.calls.heal();
    world.say(user, hidden, "Here again.").await;
}

#[tokio::test]
async fn a_mode_does_not_change_while_its_turns_cannot_be_dropped() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    let switch = |mode| {
        let change = SessionChange {
            mode: Some(mode),
            profile: None,
        };
        world.sessions.update(user, session, change)
    };
    switch(Incognito).await.unwrap();
    world.say(user, session, "Said in secret.").await;
    world.transcripts.calls.always();
    assert!(matches!(
        switch(Normal).await,
        Err(SessionError::Ephemeral(_))
    ));
    world.transcripts.calls.heal();
    let view = world.sessions.get(user, session).await.unwrap();
    assert_eq!(view.session.mode, Incognito);
    switch(Normal).await.unwrap();
}

#[tokio::test]
async fn nothing_of_the_database_is_held_while_incognito_turns_are_asked_for() {
    let world = World::new();
    let (user, _) = world.user().await;
    world.transcripts.write_meanwhile(world.store.clone());
    let new = NewSession {
        mode: Incognito,
        profile: None,
    };
    let id = world.sessions.create(user, new).await.unwrap().session.id;
    // Without a row, with one, and without one again.
    for mode in [Incognito, Normal, Incognito] {
        let change = SessionChange {
            mode: Some(mode),
            ..SessionChange::default()
        };
        let view = world.sessions.update(user, id, change).await.unwrap();
        assert_eq!(view.session.mode, mode);
        for _ in 0..2 {
            let key = IdempotencyKey::new("once").unwrap();
            let question = question("Said once.").named(Some(key));
            let turn = world.pose(user, id, question).await.unwrap();
            Told::from(turn).await;
        }
    }
}
