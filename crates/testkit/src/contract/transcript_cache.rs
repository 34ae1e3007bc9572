//! The contract of [`TranscriptCache`].

use std::future::Future;
use std::sync::Arc;

use domain::ids::{SessionId, UserId};
use domain::privacy::PrivacyMode;
use domain::session::{Message, Session, TranscriptCache};

use super::{Case, RACERS, race};
use crate::fixtures::{a_message, a_session, an_answer, at, fresh_id};

type Harness = Arc<dyn TranscriptCache>;

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
];

/// Checks a cache; `fresh` makes one with room for a few sessions and a hundred messages each.
pub async fn check<Fut: Future<Output = Arc<dyn TranscriptCache>>>(fresh: impl Fn() -> Fut) {
    super::run("transcript cache", CASES, fresh).await;
}

fn a_user() -> UserId {
    UserId::new(fresh_id())
}

async fn opened(cache: &Harness, user: UserId) -> Session {
    let session = Session {
        mode: PrivacyMode::Incognito,
        ..a_session(user, None)
    };
    cache.put(session.clone()).await.unwrap();
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

async fn words(cache: &Harness, session: &Session, limit: u32) -> Vec<String> {
    let recent = cache.recent(session.user, session.id, limit).await;
    recent.into_iter().map(|message| message.content).collect()
}

async fn an_opened_session_is_found_whole(cache: &Harness) {
    let user = a_user();
    let session = Session {
        mode: PrivacyMode::Incognito,
        created_at: at(1),
        updated_at: at(2),
        ..a_session(user, None)
    };
    cache.put(session.clone()).await.unwrap();
    assert_eq!(cache.find(user, session.id).await, Some(session.clone()));
    assert!(words(cache, &session, 10).await.is_empty());
}

async fn an_unknown_session_is_none(cache: &Harness) {
    let (user, unknown) = (a_user(), SessionId::new(fresh_id()));
    assert_eq!(cache.find(user, unknown).await, None);
    assert!(cache.recent(user, unknown, 10).await.is_empty());
    assert!(!cache.remove(user, unknown).await);
}

async fn turns_are_kept_in_order(cache: &Harness) {
    let session = opened(cache, a_user()).await;
    let (one, two) = (a_turn(session.id, "one"), a_turn(session.id, "two"));
    cache.append(session.user, session.id, one.clone()).await;
    cache.append(session.user, session.id, two.clone()).await;
    assert_eq!(
        cache.recent(session.user, session.id, 10).await,
        [one, two].concat()
    );
}

async fn recent_means_the_newest_oldest_first(cache: &Harness) {
    let session = opened(cache, a_user()).await;
    for turn in ["one", "two", "three"] {
        cache
            .append(session.user, session.id, a_turn(session.id, turn))
            .await;
    }
    assert_eq!(
        words(cache, &session, 3).await,
        ["two!", "three?", "three!"]
    );
}

async fn a_changed_session_keeps_its_turns(cache: &Harness) {
    let session = opened(cache, a_user()).await;
    cache
        .append(session.user, session.id, a_turn(session.id, "one"))
        .await;
    let changed = Session {
        updated_at: at(9),
        ..session.clone()
    };
    cache.put(changed.clone()).await.unwrap();
    assert_eq!(cache.find(session.user, session.id).await, Some(changed));
    assert_eq!(words(cache, &session, 10).await, ["one?", "one!"]);
}

async fn without_a_session_nothing_is_kept(cache: &Harness) {
    let (user, id) = (a_user(), SessionId::new(fresh_id()));
    cache.append(user, id, a_turn(id, "late")).await;
    assert_eq!(cache.find(user, id).await, None);
    let session = Session {
        id,
        mode: PrivacyMode::Incognito,
        ..a_session(user, None)
    };
    cache.put(session.clone()).await.unwrap();
    assert!(
        words(cache, &session, 10).await.is_empty(),
        "a turn came back"
    );
}

async fn a_removed_session_is_gone_with_its_turns(cache: &Harness) {
    let session = opened(cache, a_user()).await;
    cache
        .append(session.user, session.id, a_turn(session.id, "one"))
        .await;
    assert!(cache.remove(session.user, session.id).await);
    assert_eq!(cache.find(session.user, session.id).await, None);
    assert!(!cache.remove(session.user, session.id).await);
    cache.put(session.clone()).await.unwrap();
    assert!(
        words(cache, &session, 10).await.is_empty(),
        "its turns came back"
    );
}

async fn sessions_do_not_mix(cache: &Harness) {
    let user = a_user();
    let (one, two) = (opened(cache, user).await, opened(cache, user).await);
    cache.append(user, one.id, a_turn(one.id, "one")).await;
    cache.append(user, two.id, a_turn(two.id, "two")).await;
    assert_eq!(words(cache, &one, 10).await, ["one?", "one!"]);
    assert!(cache.remove(user, one.id).await);
    assert_eq!(words(cache, &two, 10).await, ["two?", "two!"]);
}

async fn nobody_else_sees_or_touches_a_session(cache: &Harness) {
    let (session, bob) = (opened(cache, a_user()).await, a_user());
    cache
        .append(session.user, session.id, a_turn(session.id, "one"))
        .await;
    assert_eq!(cache.find(bob, session.id).await, None);
    assert!(cache.recent(bob, session.id, 10).await.is_empty());
    cache
        .append(bob, session.id, a_turn(session.id, "planted"))
        .await;
    assert!(!cache.remove(bob, session.id).await);
    // He may open one of his own under that id, or be refused; hers stays hers.
    let _outcome = cache
        .put(Session {
            user: bob,
            ..session.clone()
        })
        .await;
    assert!(cache.recent(bob, session.id, 10).await.is_empty());
    assert_eq!(
        cache.find(session.user, session.id).await,
        Some(session.clone())
    );
    assert_eq!(words(cache, &session, 10).await, ["one?", "one!"]);
}

async fn parallel_turns_stay_whole(cache: &Harness) {
    let session = opened(cache, a_user()).await;
    race((0..RACERS).map(|n| {
        let (cache, session) = (Arc::clone(cache), session.clone());
        async move {
            let turn = a_turn(session.id, &format!("{n}"));
            cache.append(session.user, session.id, turn).await;
        }
    }))
    .await;
    let words = words(cache, &session, 100).await;
    assert_eq!(words.len(), 2 * RACERS);
    for turn in words.chunks(2) {
        assert_eq!(turn[0].trim_end_matches('?'), turn[1].trim_end_matches('!'));
    }
}
