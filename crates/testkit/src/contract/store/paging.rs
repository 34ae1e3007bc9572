//! Pages of sessions, messages and memories: order, ties, limits, and cursors that stay right while
//! rows change.

use domain::memory::Memory;
use domain::page::{Page, PageRequest, Position};
use domain::privacy::RecallGrant;
use domain::profile::Profile;
use domain::session::{Session, SessionFilter};
use uuid::Uuid;

use super::StoreHarness;
use crate::contract::Case;
use crate::fixtures::{a_memory, a_session, at};

pub(super) const CASES: &[Case<StoreHarness>] = cases![
    sessions_come_most_recently_updated_first,
    pages_of_sessions_add_up,
    a_session_cursor_survives_changes,
    pages_of_messages_add_up,
    a_message_cursor_survives_changes,
    memories_come_newest_first,
    pages_of_memories_add_up,
    a_memory_cursor_survives_changes,
];

const fn page(limit: u32, position: Position) -> PageRequest {
    PageRequest { limit, position }
}

/// Asks for pages of `$limit` until there is none left; `$list` is a call with the request last.
macro_rules! walk {
    ($limit:expr, |$request:ident| $list:expr) => {{
        let (mut items, mut position) = (Vec::new(), Position::Offset(0));
        loop {
            let $request = page($limit, position);
            let found: Page<Uuid> = $list;
            assert!(found.items.len() <= $limit as usize);
            items.extend(found.items);
            match found.next {
                Some(cursor) => position = Position::After(cursor),
                None => break items,
            }
        }
    }};
}

/// Checks limits of every size, offsets, and what lies behind the end.
macro_rules! assert_pages {
    ($expected:expr, |$request:ident| $list:expr) => {{
        let expected: Vec<Uuid> = $expected;
        for limit in 1..=u32::try_from(expected.len()).unwrap() + 1 {
            assert_eq!(walk!(limit, |$request| $list), expected, "pages of {limit}");
        }
        for offset in 0..=expected.len() + 1 {
            let $request = page(2, Position::Offset(offset as u64));
            let found: Page<Uuid> = $list;
            let rest: Vec<_> = expected.iter().copied().skip(offset).collect();
            assert_eq!(found.items, rest[..rest.len().min(2)], "from {offset}");
            assert_eq!(found.next.is_some(), rest.len() > 2, "more behind {offset}");
        }
    }};
}

async fn session_page(h: &StoreHarness, owner: &Session, request: PageRequest) -> Page<Uuid> {
    look!(
        h,
        owner.user,
        sessions.list(SessionFilter::default(), request)
    )
    .map(|view| view.session.id.as_uuid())
}

async fn message_page(h: &StoreHarness, session: &Session, request: PageRequest) -> Page<Uuid> {
    look!(h, session.user, messages.list(session.id, request)).map(|m| m.id.as_uuid())
}

async fn memory_page(h: &StoreHarness, profile: &Profile, request: PageRequest) -> Page<Uuid> {
    let grant = RecallGrant::by_owner(profile);
    look!(h, profile.user(), memories.list(&grant, request)).map(|m| m.id.as_uuid())
}

/// Sessions of one user, three of them updated at the same moment; in the order of a list.
async fn some_sessions(h: &StoreHarness) -> Vec<Session> {
    let user = h.user().await;
    let mut sessions = Vec::new();
    for seconds in [3, 1, 5, 3, 3, 2] {
        let session = Session {
            updated_at: at(seconds),
            ..a_session(user.id, None)
        };
        crate::seed::add_session(&*h.store, &session).await;
        sessions.push(session);
    }
    sessions.sort_by_key(|s| std::cmp::Reverse((s.updated_at, s.id)));
    sessions
}

/// Memories of one profile, three of them made at the same moment; in the order of a list.
async fn some_memories(h: &StoreHarness) -> (Profile, Vec<Memory>) {
    let (_, profile) = h.user_with_profile().await;
    let mut memories = Vec::new();
    for (n, seconds) in [3, 1, 5, 3, 3, 2].into_iter().enumerate() {
        let base = a_memory(&profile, &format!("memory {n}"));
        let memory = Memory {
            created_at: at(seconds),
            ..base
        };
        h.add_memory(&profile, &memory).await;
        memories.push(memory);
    }
    memories.sort_by_key(|m| std::cmp::Reverse((m.created_at, m.id)));
    (profile, memories)
}

async fn sessions_come_most_recently_updated_first(h: &StoreHarness) {
    let sessions = some_sessions(h).await;
    let request = PageRequest::first(10);
    let found = look!(
        h,
        sessions[0].user,
        sessions.list(SessionFilter::default(), request)
    );
    assert_eq!(found.next, None);
    let found: Vec<_> = found.items.into_iter().map(|view| view.session).collect();
    assert_eq!(found, sessions);
}

async fn pages_of_sessions_add_up(h: &StoreHarness) {
    let sessions = some_sessions(h).await;
    let expected = sessions.iter().map(|s| s.id.as_uuid()).collect();
    assert_pages!(expected, |request| session_page(h, &sessions[0], request)
        .await);
}

async fn a_session_cursor_survives_changes(h: &StoreHarness) {
    let sessions = some_sessions(h).await;
    let user = sessions[0].user;
    let first = session_page(h, &sessions[0], page(3, Position::Offset(0))).await;
    let cursor = first.next.expect("there are six");
    // A newer one, and the end of the page itself gone: the rest is still the rest.
    let newer = Session {
        updated_at: at(9),
        ..a_session(user, None)
    };
    crate::seed::add_session(&*h.store, &newer).await;
    commit!(h, user, sessions.remove(sessions[2].id)).unwrap();
    let second = session_page(h, &sessions[0], page(10, Position::After(cursor))).await;
    let rest: Vec<_> = sessions[3..].iter().map(|s| s.id.as_uuid()).collect();
    assert_eq!(second.items, rest);
}

async fn pages_of_messages_add_up(h: &StoreHarness) {
    let user = h.user().await;
    let (session, other) = (h.session(&user, None).await, h.session(&user, None).await);
    let mut expected = Vec::new();
    for n in 0..5 {
        expected.push(
            h.message(&session, &format!("message {n}"))
                .await
                .id
                .as_uuid(),
        );
        h.message(&other, "elsewhere").await;
    }
    assert_pages!(expected, |request| message_page(h, &session, request).await);
}

async fn a_message_cursor_survives_changes(h: &StoreHarness) {
    let user = h.user().await;
    let session = h.session(&user, None).await;
    let mut messages = Vec::new();
    for n in 0..5 {
        messages.push(h.message(&session, &format!("message {n}")).await.id);
    }
    let first = message_page(h, &session, page(2, Position::Offset(0))).await;
    let cursor = first.next.expect("there are five");
    commit!(h, user.id, messages.remove(messages[0])).unwrap();
    commit!(h, user.id, messages.remove(messages[1])).unwrap();
    let added = h.message(&session, "later").await.id;
    let second = message_page(h, &session, page(10, Position::After(cursor))).await;
    let rest = [messages[2], messages[3], messages[4], added].map(Uuid::from);
    assert_eq!(second.items, rest);
}

async fn memories_come_newest_first(h: &StoreHarness) {
    let (profile, memories) = some_memories(h).await;
    let grant = RecallGrant::by_owner(&profile);
    let found = look!(
        h,
        profile.user(),
        memories.list(&grant, PageRequest::first(10))
    );
    assert_eq!((found.items, found.next), (memories, None));
}

async fn pages_of_memories_add_up(h: &StoreHarness) {
    let (profile, memories) = some_memories(h).await;
    let expected = memories.iter().map(|m| m.id.as_uuid()).collect();
    assert_pages!(expected, |request| memory_page(h, &profile, request).await);
}

async fn a_memory_cursor_survives_changes(h: &StoreHarness) {
    let (profile, memories) = some_memories(h).await;
    let first = memory_page(h, &profile, page(3, Position::Offset(0))).await;
    let cursor = first.next.expect("there are six");
    let newer = Memory {
        created_at: at(9),
        ..a_memory(&profile, "newer")
    };
    h.add_memory(&profile, &newer).await;
    let ids = [memories[2].id];
    commit!(
        h,
        profile.user(),
        memories.remove(profile.scope(), Some(&ids))
    )
    .unwrap();
    let second = memory_page(h, &profile, page(10, Position::After(cursor))).await;
    let rest: Vec<_> = memories[3..].iter().map(|m| m.id.as_uuid()).collect();
    assert_eq!(second.items, rest);
}
