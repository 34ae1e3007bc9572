//! Incognito turns in memory: the cache passes the contract of its port, and keeps its bounds.

use std::sync::Arc;
use std::time::Duration;

use domain::chat::ChatError;
use domain::ids::{SessionId, UserId};
use domain::privacy::PrivacyMode::Incognito;
use domain::session::{
    EphemeralLimits, RamTranscripts, Session, SessionError, TranscriptCache, TranscriptFull,
};
use testkit::fakes::FixedClock;
use testkit::fixtures::{a_message, a_session, fresh_id};

use crate::common::World;

const TIGHT: EphemeralLimits = EphemeralLimits {
    sessions: 4,
    sessions_per_user: 2,
    bytes_per_session: 20,
    idle: Duration::from_mins(10),
};

fn cache() -> (RamTranscripts, Arc<FixedClock>) {
    let clock = Arc::new(FixedClock::default());
    (RamTranscripts::new(clock.clone(), TIGHT), clock)
}

fn user() -> UserId {
    UserId::new(fresh_id())
}

async fn open(cache: &RamTranscripts, user: UserId) -> Result<SessionId, TranscriptFull> {
    let session = Session {
        mode: Incognito,
        ..a_session(user, None)
    };
    cache.put(session.clone()).await?;
    Ok(session.id)
}

async fn say(cache: &RamTranscripts, user: UserId, session: SessionId, text: &str) {
    cache
        .append(user, session, vec![a_message(session, text)])
        .await;
}

async fn texts(cache: &RamTranscripts, user: UserId, session: SessionId) -> Vec<String> {
    let recent = cache.recent(user, session, 100).await;
    recent.into_iter().map(|message| message.content).collect()
}

#[tokio::test]
async fn it_passes_the_contract_of_its_port() {
    testkit::contract::transcript_cache::check(|| async {
        let clock = Arc::new(FixedClock::default());
        let cache = RamTranscripts::new(clock, EphemeralLimits::default());
        Arc::new(cache) as Arc<dyn TranscriptCache>
    })
    .await;
}

#[tokio::test]
async fn an_idle_session_is_gone_and_a_turn_keeps_one_alive() {
    let (cache, clock) = cache();
    let user = user();
    let idle = open(&cache, user).await.unwrap();
    let busy = open(&cache, user).await.unwrap();
    clock.advance(Duration::from_mins(6));
    say(&cache, user, busy, "hello").await;
    clock.advance(Duration::from_mins(4));
    cache.purge();
    assert!(cache.find(user, idle).await.is_none());
    assert_eq!(texts(&cache, user, busy).await, ["hello"]);
    clock.advance(Duration::from_mins(6));
    assert!(cache.find(user, busy).await.is_none());
}

#[tokio::test]
async fn old_turns_fall_out_when_a_session_is_full() {
    let (cache, _) = cache();
    let user = user();
    let session = open(&cache, user).await.unwrap();
    for text in ["eight by", "seven b", "six by", "five!"] {
        say(&cache, user, session, text).await;
    }
    assert_eq!(
        texts(&cache, user, session).await,
        ["seven b", "six by", "five!"]
    );
    say(&cache, user, session, &"x".repeat(21)).await;
    assert!(texts(&cache, user, session).await.is_empty());
    say(&cache, user, session, "small").await;
    assert_eq!(texts(&cache, user, session).await, ["small"]);
}

#[tokio::test]
async fn one_more_session_of_a_user_pushes_out_the_idlest() {
    let (cache, clock) = cache();
    let user = user();
    let first = open(&cache, user).await.unwrap();
    clock.advance(Duration::from_secs(1));
    let second = open(&cache, user).await.unwrap();
    clock.advance(Duration::from_secs(1));
    say(&cache, user, first, "still here").await;
    let third = open(&cache, user).await.unwrap();
    assert!(cache.find(user, second).await.is_none());
    assert!(cache.find(user, first).await.is_some());
    assert!(cache.find(user, third).await.is_some());
}

#[tokio::test]
async fn a_full_cache_refuses_newcomers_and_keeps_what_it_has() {
    let (cache, clock) = cache();
    let (ada, bob, eve) = (user(), user(), user());
    let kept = open(&cache, ada).await.unwrap();
    for user in [ada, bob, bob] {
        open(&cache, user).await.unwrap();
    }
    assert_eq!(open(&cache, eve).await, Err(TranscriptFull));
    assert!(cache.find(ada, kept).await.is_some());
    clock.advance(Duration::from_mins(10));
    assert!(open(&cache, eve).await.is_ok(), "the idle ones made room");
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
