//! The contract of [`TranscriptCache`].

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::{ProfileId, SessionId, UserId};
use domain::privacy::PrivacyMode;
use domain::session::{EphemeralLimits, Message, Session, TranscriptCache, TranscriptError};
use futures::future::BoxFuture;

use super::{Case, RACERS, race};
use crate::fixtures::{a_message, a_session, an_answer, at, fresh_id};

/// The bounds that a cache must be made with for [`check`].
pub const LIMITS: EphemeralLimits = EphemeralLimits {
    sessions: 4,
    sessions_per_user: 2,
    bytes_per_session: 200,
    idle: Duration::from_mins(10),
};

/// What a case gets.
pub struct TranscriptHarness {
    /// An empty cache with room for [`LIMITS`].
    pub cache: Arc<dyn TranscriptCache>,
    /// Makes the cache believe that so much time has passed.
    pub pass: Box<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>,
}

type Harness = TranscriptHarness;

const CASES: &[Case<Harness>] = cases![
    an_opened_session_is_found_whole,
    an_unknown_session_is_none,
    turns_are_kept_in_order,
    recent_means_the_newest_oldest_first,
    a_changed_session_keeps_its_turns,
    without_a_session_nothing_is_kept,
    a_removed_session_is_gone_with_its_turns,
    sessions_do_not_mix,
    nobody_else_sees_or_touches_a_session,
    parallel_turns_stay_whole,
    an_idle_session_is_gone_and_a_turn_keeps_one_alive,
    old_messages_fall_out_when_a_session_is_full,
    one_more_session_of_a_user_pushes_out_the_idlest,
    a_full_cache_refuses_newcomers_and_keeps_what_it_has,
    the_room_of_an_ended_session_is_free_again,
];

/// Checks a cache; `fresh` makes one with [`LIMITS`] that shares nothing with the others.
pub async fn check<Fut: Future<Output = TranscriptHarness>>(fresh: impl Fn() -> Fut) {
    super::run("transcript cache", CASES, fresh).await;
}

fn a_user() -> UserId {
    UserId::new(fresh_id())
}

fn incognito(user: UserId) -> Session {
    Session {
        mode: PrivacyMode::Incognito,
        ..a_session(user, None)
    }
}

async fn opened(harness: &Harness, user: UserId) -> Session {
    let session = incognito(user);
    harness.cache.put(session.clone()).await.unwrap();
    session
}

fn a_turn(session: SessionId, words: &str) -> Vec<Message> {
    let stamp = PrivacyMode::Incognito;
    let question = Message {
        stamp,
        ..a_message(session, &format!("{words}?"))
    };
    let answer = Message {
        stamp,
        ..an_answer(session, &format!("{words}!"))
    };
    vec![question, answer]
}

async fn say(harness: &Harness, session: &Session, words: &str) {
    append(harness, session, a_turn(session.id, words)).await;
}

async fn append(harness: &Harness, session: &Session, turn: Vec<Message>) {
    let appended = harness.cache.append(session.user, session.id, turn).await;
    appended.unwrap();
}

async fn find(harness: &Harness, user: UserId, id: SessionId) -> Option<Session> {
    harness.cache.find(user, id).await.unwrap()
}

async fn recent(harness: &Harness, session: &Session, limit: u32) -> Vec<Message> {
    let recent = harness.cache.recent(session.user, session.id, limit).await;
    recent.unwrap()
}

async fn words(harness: &Harness, session: &Session, limit: u32) -> Vec<String> {
    let recent = recent(harness, session, limit).await;
    recent.into_iter().map(|message| message.content).collect()
}

async fn remove(harness: &Harness, session: &Session) -> bool {
    let removed = harness.cache.remove(session.user, session.id).await;
    removed.unwrap()
}

async fn an_opened_session_is_found_whole(harness: &Harness) {
    let user = a_user();
    let session = Session {
        profile: Some(ProfileId::new(fresh_id())),
        created_at: at(1),
        updated_at: at(2),
        ..incognito(user)
    };
    harness.cache.put(session.clone()).await.unwrap();
    assert_eq!(find(harness, user, session.id).await, Some(session.clone()));
    assert!(words(harness, &session, 10).await.is_empty());
}

async fn an_unknown_session_is_none(harness: &Harness) {
    let unknown = incognito(a_user());
    assert_eq!(find(harness, unknown.user, unknown.id).await, None);
    assert!(words(harness, &unknown, 10).await.is_empty());
    assert!(!remove(harness, &unknown).await);
}

async fn turns_are_kept_in_order(harness: &Harness) {
    let session = opened(harness, a_user()).await;
    let (one, two) = (a_turn(session.id, "one"), a_turn(session.id, "two"));
    append(harness, &session, one.clone()).await;
    append(harness, &session, two.clone()).await;
    assert_eq!(recent(harness, &session, 10).await, [one, two].concat());
}

async fn recent_means_the_newest_oldest_first(harness: &Harness) {
    let session = opened(harness, a_user()).await;
    for turn in ["one", "two", "three"] {
        say(harness, &session, turn).await;
    }
    let newest = words(harness, &session, 3).await;
    assert_eq!(newest, ["two!", "three?", "three!"]);
    assert!(words(harness, &session, 0).await.is_empty());
}

async fn a_changed_session_keeps_its_turns(harness: &Harness) {
    let session = opened(harness, a_user()).await;
    say(harness, &session, "one").await;
    let changed = Session {
        updated_at: at(9),
        ..session.clone()
    };
    harness.cache.put(changed.clone()).await.unwrap();
    assert_eq!(find(harness, session.user, session.id).await, Some(changed));
    assert_eq!(words(harness, &session, 10).await, ["one?", "one!"]);
}

async fn without_a_session_nothing_is_kept(harness: &Harness) {
    let session = incognito(a_user());
    say(harness, &session, "late").await;
    assert_eq!(find(harness, session.user, session.id).await, None);
    harness.cache.put(session.clone()).await.unwrap();
    assert!(
        words(harness, &session, 10).await.is_empty(),
        "a turn came back"
    );
}

async fn a_removed_session_is_gone_with_its_turns(harness: &Harness) {
    let session = opened(harness, a_user()).await;
    say(harness, &session, "one").await;
    assert!(remove(harness, &session).await);
    assert_eq!(find(harness, session.user, session.id).await, None);
    assert!(!remove(harness, &session).await);
    harness.cache.put(session.clone()).await.unwrap();
    assert!(
        words(harness, &session, 10).await.is_empty(),
        "its turns came back"
    );
}

async fn sessions_do_not_mix(harness: &Harness) {
    let user = a_user();
    let (one, two) = (opened(harness, user).await, opened(harness, user).await);
    say(harness, &one, "one").await;
    say(harness, &two, "two").await;
    assert_eq!(words(harness, &one, 10).await, ["one?", "one!"]);
    assert!(remove(harness, &one).await);
    assert_eq!(words(harness, &two, 10).await, ["two?", "two!"]);
}

async fn nobody_else_sees_or_touches_a_session(harness: &Harness) {
    let (session, bob) = (opened(harness, a_user()).await, a_user());
    say(harness, &session, "one").await;
    let his = Session {
        user: bob,
        ..session.clone()
    };
    assert_eq!(find(harness, bob, session.id).await, None);
    assert!(words(harness, &his, 10).await.is_empty());
    say(harness, &his, "planted").await;
    assert!(!remove(harness, &his).await);
    // He may open one of his own under that id, or be refused; hers stays hers.
    let _outcome = harness.cache.put(his.clone()).await;
    assert!(words(harness, &his, 10).await.is_empty());
    assert_eq!(
        find(harness, session.user, session.id).await,
        Some(session.clone())
    );
    assert_eq!(words(harness, &session, 10).await, ["one?", "one!"]);
}

async fn parallel_turns_stay_whole(harness: &Harness) {
    let session = opened(harness, a_user()).await;
    race((0..RACERS).map(|n| {
        let (cache, session) = (Arc::clone(&harness.cache), session.clone());
        async move {
            let turn = a_turn(session.id, &format!("{n}"));
            let appended = cache.append(session.user, session.id, turn).await;
            appended.unwrap();
        }
    }))
    .await;
    let words = words(harness, &session, 100).await;
    assert_eq!(words.len(), 2 * RACERS);
    for turn in words.chunks(2) {
        assert_eq!(turn[0].trim_end_matches('?'), turn[1].trim_end_matches('!'));
    }
}

async fn an_idle_session_is_gone_and_a_turn_keeps_one_alive(harness: &Harness) {
    let user = a_user();
    let (idle, busy) = (opened(harness, user).await, opened(harness, user).await);
    (harness.pass)(Duration::from_mins(6)).await;
    say(harness, &busy, "hello").await;
    (harness.pass)(Duration::from_mins(4)).await;
    assert_eq!(find(harness, user, idle.id).await, None);
    assert!(words(harness, &idle, 10).await.is_empty());
    assert_eq!(words(harness, &busy, 10).await, ["hello?", "hello!"]);
    (harness.pass)(Duration::from_mins(6)).await;
    assert_eq!(find(harness, user, busy.id).await, None);
    assert!(words(harness, &busy, 10).await.is_empty());
}

async fn old_messages_fall_out_when_a_session_is_full(harness: &Harness) {
    let session = opened(harness, a_user()).await;
    let text = |letter: &str, bytes| vec![a_message(session.id, &letter.repeat(bytes))];
    for (letter, bytes) in [("a", 80), ("b", 70), ("\u{e9}", 30), ("d", 60)] {
        append(harness, &session, text(letter, bytes)).await;
    }
    let kept = words(harness, &session, 10).await;
    let kept: Vec<_> = kept.iter().map(|text| text.chars().next()).collect();
    assert_eq!(kept, [Some('b'), Some('\u{e9}'), Some('d')]);
    append(harness, &session, text("e", 201)).await;
    assert!(words(harness, &session, 10).await.is_empty());
    append(harness, &session, text("f", 1)).await;
    assert_eq!(words(harness, &session, 10).await, ["f"]);
}

async fn one_more_session_of_a_user_pushes_out_the_idlest(harness: &Harness) {
    let user = a_user();
    let first = opened(harness, user).await;
    (harness.pass)(Duration::from_secs(1)).await;
    let second = opened(harness, user).await;
    say(harness, &second, "mine").await;
    (harness.pass)(Duration::from_secs(1)).await;
    say(harness, &first, "still here").await;
    let third = opened(harness, user).await;
    assert_eq!(find(harness, user, second.id).await, None);
    assert!(words(harness, &second, 10).await.is_empty());
    assert!(find(harness, user, first.id).await.is_some());
    assert!(find(harness, user, third.id).await.is_some());
}

async fn a_full_cache_refuses_newcomers_and_keeps_what_it_has(harness: &Harness) {
    let (ada, bob, eve) = (a_user(), a_user(), a_user());
    let kept = opened(harness, ada).await;
    for user in [ada, bob, bob] {
        opened(harness, user).await;
    }
    let refused = harness.cache.put(incognito(eve)).await;
    assert!(matches!(refused, Err(TranscriptError::Full)), "{refused:?}");
    assert!(find(harness, ada, kept.id).await.is_some());
    harness.cache.put(kept.clone()).await.unwrap();
    (harness.pass)(LIMITS.idle).await;
    opened(harness, eve).await;
}

async fn the_room_of_an_ended_session_is_free_again(harness: &Harness) {
    for _ in 0..2 * LIMITS.sessions {
        let session = opened(harness, a_user()).await;
        assert!(remove(harness, &session).await);
    }
    let ada = a_user();
    let kept = opened(harness, ada).await;
    let ended = opened(harness, ada).await;
    assert!(remove(harness, &ended).await);
    opened(harness, ada).await;
    assert!(find(harness, ada, kept.id).await.is_some());
}
