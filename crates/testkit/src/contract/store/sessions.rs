//! Sessions.

use domain::ids::{ProfileId, SessionId};
use domain::memory::Memory;
use domain::page::PageRequest;
use domain::privacy::{PrivacyMode, RecallGrant};
use domain::session::{Session, SessionFilter};

use super::StoreHarness;
use crate::contract::Case;
use crate::fixtures::{a_drawn_memory, a_session, at, fresh_id};

pub(super) const CASES: &[Case<StoreHarness>] = cases![
    a_session_is_stored_whole,
    an_unknown_session_is_none,
    a_locked_session_is_the_stored_one,
    a_session_needs_a_profile_of_its_owner,
    an_update_stores_mode_profile_and_time,
    an_update_needs_a_profile_of_its_owner,
    a_touched_session_has_the_new_time,
    nothing_changes_in_a_removed_session,
    messages_are_counted,
    sessions_are_filtered_by_profile,
    a_removed_session_takes_its_messages_and_leaves_its_memories,
    nobody_else_touches_a_session,
];

async fn stored(h: &StoreHarness, session: &Session) -> Option<Session> {
    look!(h, session.user, sessions.find(session.id)).map(|view| view.session)
}

async fn a_session_is_stored_whole(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    for (profile, mode) in [
        (Some(profile.id()), PrivacyMode::Normal),
        (None, PrivacyMode::Normal),
        (Some(profile.id()), PrivacyMode::PauseMemories),
    ] {
        let base = a_session(user.id, profile);
        let session = Session {
            mode,
            created_at: at(1),
            updated_at: at(2),
            ..base
        };
        commit!(h, user.id, sessions.add(&session)).unwrap();
        let view = look!(h, user.id, sessions.find(session.id)).unwrap();
        assert_eq!((view.session, view.message_count), (session, 0));
    }
}

async fn an_unknown_session_is_none(h: &StoreHarness) {
    let user = h.user().await;
    let unknown = SessionId::new(fresh_id());
    assert_eq!(look!(h, user.id, sessions.find(unknown)), None);
    assert_eq!(commit!(h, user.id, sessions.lock(unknown)).unwrap(), None);
}

async fn a_locked_session_is_the_stored_one(h: &StoreHarness) {
    let user = h.user().await;
    let session = h.session(&user, None).await;
    assert_eq!(
        commit!(h, user.id, sessions.lock(session.id)).unwrap(),
        Some(session)
    );
}

async fn a_session_needs_a_profile_of_its_owner(h: &StoreHarness) {
    let user = h.user().await;
    let (_, foreign) = h.user_with_profile().await;
    for profile in [foreign.id(), ProfileId::new(fresh_id())] {
        let session = a_session(user.id, Some(profile));
        assert_conflict!(commit!(h, user.id, sessions.add(&session)), "reference");
        assert_eq!(stored(h, &session).await, None);
    }
}

async fn an_update_stores_mode_profile_and_time(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let session = h.session(&user, None).await;
    for (profile, mode) in [
        (Some(profile.id()), PrivacyMode::PauseMemories),
        (None, PrivacyMode::Incognito),
        (Some(profile.id()), PrivacyMode::Normal),
    ] {
        let expected = Session {
            profile,
            mode,
            updated_at: at(9),
            ..session.clone()
        };
        let sent = Session {
            created_at: at(77),
            ..expected.clone()
        };
        assert!(commit!(h, user.id, sessions.update(&sent)).unwrap());
        assert_eq!(stored(h, &session).await, Some(expected));
    }
}

async fn an_update_needs_a_profile_of_its_owner(h: &StoreHarness) {
    let user = h.user().await;
    let (_, foreign) = h.user_with_profile().await;
    let session = h.session(&user, None).await;
    let changed = Session {
        profile: Some(foreign.id()),
        ..session.clone()
    };
    assert_conflict!(commit!(h, user.id, sessions.update(&changed)), "reference");
    assert_eq!(stored(h, &session).await, Some(session));
}

async fn a_touched_session_has_the_new_time(h: &StoreHarness) {
    let user = h.user().await;
    let session = h.session(&user, None).await;
    assert!(commit!(h, user.id, sessions.touch(session.id, at(9))).unwrap());
    assert_eq!(
        stored(h, &session).await,
        Some(Session {
            updated_at: at(9),
            ..session
        })
    );
}

async fn nothing_changes_in_a_removed_session(h: &StoreHarness) {
    let user = h.user().await;
    let session = h.session(&user, None).await;
    assert!(commit!(h, user.id, sessions.remove(session.id)).unwrap());
    assert!(!commit!(h, user.id, sessions.update(&session)).unwrap());
    assert!(!commit!(h, user.id, sessions.touch(session.id, at(9))).unwrap());
    assert!(!commit!(h, user.id, sessions.remove(session.id)).unwrap());
    assert_eq!(stored(h, &session).await, None);
}

async fn messages_are_counted(h: &StoreHarness) {
    let user = h.user().await;
    let (full, empty) = (h.session(&user, None).await, h.session(&user, None).await);
    for text in ["one", "two", "three"] {
        h.message(&full, text).await;
    }
    let count = look!(h, user.id, sessions.find(full.id)).map(|view| view.message_count);
    assert_eq!(count, Some(3));
    let page = PageRequest::first(10);
    let listed = look!(h, user.id, sessions.list(SessionFilter::default(), page)).items;
    for view in listed {
        assert_eq!(
            view.message_count,
            if view.session.id == empty.id { 0 } else { 3 }
        );
    }
}

async fn sessions_are_filtered_by_profile(h: &StoreHarness) {
    let (user, first) = h.user_with_profile().await;
    let other = h.profile(&user, "Work").await;
    let wanted = h.session(&user, Some(first.id())).await;
    h.session(&user, Some(other.id())).await;
    h.session(&user, None).await;
    let filter = SessionFilter {
        profile: Some(first.id()),
    };
    let page = look!(h, user.id, sessions.list(filter, PageRequest::first(10)));
    let found: Vec<_> = page.items.into_iter().map(|view| view.session).collect();
    assert_eq!(found, [wanted]);
}

async fn a_removed_session_takes_its_messages_and_leaves_its_memories(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let session = h.session(&user, Some(profile.id())).await;
    let message = h.message(&session, "My dog is called Rex.").await;
    let memory = a_drawn_memory(&profile, "Has a dog called Rex.", &message);
    h.add_memory(&profile, &memory).await;

    assert!(commit!(h, user.id, sessions.remove(session.id)).unwrap());

    assert_eq!(look!(h, user.id, messages.find(message.id)), None);
    let grant = RecallGrant::by_owner(&profile);
    let left = look!(h, user.id, memories.find(&grant, &[memory.id]));
    assert_eq!(
        left,
        [Memory {
            source: None,
            ..memory
        }]
    );
}

async fn nobody_else_touches_a_session(h: &StoreHarness) {
    let (ada, bob) = (h.user().await, h.user().await);
    let session = h.session(&ada, None).await;
    let message = h.message(&session, "My dog is called Rex.").await;
    let changed = Session {
        mode: PrivacyMode::Incognito,
        updated_at: at(9),
        ..session.clone()
    };
    let page = PageRequest::first(10);
    assert_eq!(look!(h, bob.id, sessions.find(session.id)), None);
    assert!(
        look!(h, bob.id, sessions.list(SessionFilter::default(), page))
            .items
            .is_empty()
    );
    assert_eq!(commit!(h, bob.id, sessions.lock(session.id)).unwrap(), None);
    assert!(!commit!(h, bob.id, sessions.update(&changed)).unwrap());
    let stolen = Session {
        user: bob.id,
        ..changed
    };
    assert!(!commit!(h, bob.id, sessions.update(&stolen)).unwrap());
    assert!(!commit!(h, bob.id, sessions.touch(session.id, at(9))).unwrap());
    assert!(!commit!(h, bob.id, sessions.remove(session.id)).unwrap());
    assert_eq!(stored(h, &session).await, Some(session));
    assert_eq!(look!(h, ada.id, messages.find(message.id)), Some(message));
}
