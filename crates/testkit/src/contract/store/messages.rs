//! Messages as they are read: whole, in order, of the owner's sessions only.

use domain::ids::{MessageId, SessionId};
use domain::memory::Memory;
use domain::page::PageRequest;
use domain::privacy::{PrivacyMode, RecallGrant};
use domain::session::{FinishReason, Message, MessageStatus, Role, SessionSummary};

use super::StoreHarness;
use crate::contract::{Case, RACERS, race};
use crate::fixtures::{
    a_drawn_memory, a_message, a_reply, a_streaming_answer, an_answer, at, fresh_id,
};

pub(super) const CASES: &[Case<StoreHarness>] = cases![
    a_message_is_stored_whole,
    an_unknown_message_is_none,
    messages_keep_the_order_of_adding,
    parallel_messages_all_find_a_place,
    recent_means_the_newest_oldest_first,
    recent_leaves_out_what_is_being_written,
    a_summary_counts_by_role,
    an_unknown_session_has_an_empty_summary,
    a_removed_message_leaves_its_memories,
    a_message_needs_a_session_of_its_owner,
    nobody_else_touches_a_message,
];

async fn texts(h: &StoreHarness, session: &domain::session::Session) -> Vec<String> {
    let page = look!(
        h,
        session.user,
        messages.list(session.id, PageRequest::first(100))
    );
    page.items
        .into_iter()
        .map(|message| message.content)
        .collect()
}

async fn a_message_is_stored_whole(h: &StoreHarness) {
    let user = h.user().await;
    let session = h.session(&user, None).await;
    let base = || Message {
        created_at: at(7),
        ..a_message(session.id, "Hello")
    };
    let mut messages = vec![
        Message {
            content: "多行\r\n\t'quoted' \"%_\\ 😀".to_owned(),
            ..base()
        },
        Message {
            content: "😀".repeat(10_000),
            stamp: PrivacyMode::PauseMemories,
            ..base()
        },
        Message {
            role: Role::System,
            ..base()
        },
        Message {
            role: Role::Assistant,
            status: MessageStatus::Interrupted,
            ..base()
        },
        Message {
            role: Role::Assistant,
            status: MessageStatus::Streaming,
            ..base()
        },
    ];
    let finishes = [
        FinishReason::Stop,
        FinishReason::Length,
        FinishReason::ContentFilter,
        FinishReason::Interrupted,
    ];
    messages.extend(finishes.map(|finish| {
        let reply = Some(a_reply(finish));
        Message {
            role: Role::Assistant,
            reply,
            ..base()
        }
    }));
    for message in messages {
        h.add_message(&session, &message).await;
        assert_eq!(look!(h, user.id, messages.find(message.id)), Some(message));
    }
}

async fn an_unknown_message_is_none(h: &StoreHarness) {
    let user = h.user().await;
    let unknown = MessageId::new(fresh_id());
    assert_eq!(look!(h, user.id, messages.find(unknown)), None);
    assert!(!commit!(h, user.id, messages.remove(unknown)).unwrap());
    let nowhere = SessionId::new(fresh_id());
    assert!(look!(h, user.id, messages.recent(nowhere, 10)).is_empty());
    assert!(
        look!(h, user.id, messages.list(nowhere, PageRequest::first(10)))
            .items
            .is_empty()
    );
}

async fn messages_keep_the_order_of_adding(h: &StoreHarness) {
    let user = h.user().await;
    let session = h.session(&user, None).await;
    // Neither times nor ids tell the order.
    let mut messages: Vec<_> = ["one", "two", "three", "four"]
        .into_iter()
        .zip([at(3), at(3), at(1), at(2)])
        .map(|(text, created_at)| Message {
            created_at,
            ..a_message(session.id, text)
        })
        .collect();
    let ids: Vec<_> = messages.iter().rev().map(|m| m.id).collect();
    for (message, id) in messages.iter_mut().zip(ids) {
        message.id = id;
        h.add_message(&session, message).await;
    }
    assert_eq!(texts(h, &session).await, ["one", "two", "three", "four"]);
    assert_eq!(look!(h, user.id, messages.recent(session.id, 10)), messages);
}

async fn parallel_messages_all_find_a_place(h: &StoreHarness) {
    let user = h.user().await;
    let session = h.session(&user, None).await;
    race((0..RACERS).map(|n| {
        let (store, owner) = (h.store.clone(), user.id);
        let message = a_message(session.id, &format!("message {n:02}"));
        async move { crate::seed::add_message(&*store, owner, &message).await }
    }))
    .await;
    let mut found = texts(h, &session).await;
    assert_eq!(found, texts(h, &session).await, "the order is settled");
    found.sort();
    let expected: Vec<_> = (0..RACERS).map(|n| format!("message {n:02}")).collect();
    assert_eq!(found, expected);
}

async fn recent_means_the_newest_oldest_first(h: &StoreHarness) {
    let user = h.user().await;
    let (session, other) = (h.session(&user, None).await, h.session(&user, None).await);
    for text in ["one", "two", "three", "four"] {
        h.message(&session, text).await;
        h.message(&other, "elsewhere").await;
    }
    let recent = look!(h, user.id, messages.recent(session.id, 2));
    let recent: Vec<_> = recent.into_iter().map(|m| m.content).collect();
    assert_eq!(recent, ["three", "four"]);
}

async fn recent_leaves_out_what_is_being_written(h: &StoreHarness) {
    let user = h.user().await;
    let session = h.session(&user, None).await;
    let status = MessageStatus::Interrupted;
    let cut = Message {
        status,
        ..an_answer(session.id, "cut")
    };
    h.add_message(&session, &cut).await;
    h.message(&session, "question").await;
    h.add_message(&session, &a_streaming_answer(session.id))
        .await;
    let recent = look!(h, user.id, messages.recent(session.id, 2));
    let recent: Vec<_> = recent.into_iter().map(|m| m.content).collect();
    assert_eq!(
        recent,
        ["cut", "question"],
        "the limit counts what is returned"
    );
}

async fn a_summary_counts_by_role(h: &StoreHarness) {
    let user = h.user().await;
    let session = h.session(&user, None).await;
    let messages = [
        Message {
            created_at: at(4),
            ..a_message(session.id, "one")
        },
        Message {
            created_at: at(5),
            ..an_answer(session.id, "two")
        },
        Message {
            created_at: at(3),
            ..a_message(session.id, "three")
        },
        Message {
            created_at: at(4),
            role: Role::System,
            ..a_message(session.id, "four")
        },
    ];
    for message in &messages {
        h.add_message(&session, message).await;
    }
    let expected = SessionSummary {
        user_messages: 2,
        assistant_messages: 1,
        total_messages: 4,
        first_message_at: Some(at(3)),
        last_message_at: Some(at(5)),
    };
    assert_eq!(look!(h, user.id, messages.summary(session.id)), expected);
}

async fn an_unknown_session_has_an_empty_summary(h: &StoreHarness) {
    let user = h.user().await;
    let session = h.session(&user, None).await;
    for id in [session.id, SessionId::new(fresh_id())] {
        assert_eq!(
            look!(h, user.id, messages.summary(id)),
            SessionSummary::default()
        );
    }
}

async fn a_removed_message_leaves_its_memories(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let session = h.session(&user, Some(profile.id())).await;
    let message = h.message(&session, "My dog is called Rex.").await;
    let kept = h.message(&session, "And I like tea.").await;
    let memory = a_drawn_memory(&profile, "Has a dog called Rex.", &message);
    h.add_memory(&profile, &memory).await;

    assert!(commit!(h, user.id, messages.remove(message.id)).unwrap());

    assert_eq!(look!(h, user.id, messages.recent(session.id, 10)), [kept]);
    let grant = RecallGrant::by_owner(&profile);
    let left = look!(h, user.id, memories.find(&grant, &[memory.id]));
    assert_eq!(
        left,
        [Memory {
            source: None,
            ..memory
        }]
    );
    assert!(
        !commit!(h, user.id, messages.remove(message.id)).unwrap(),
        "gone already"
    );
}

async fn a_message_needs_a_session_of_its_owner(h: &StoreHarness) {
    let (ada, bob) = (h.user().await, h.user().await);
    let foreign = h.session(&ada, None).await;
    for session in [foreign.id, SessionId::new(fresh_id())] {
        let message = a_message(session, "planted");
        assert_conflict!(commit!(h, bob.id, messages.add(&message)), "reference");
    }
    assert!(texts(h, &foreign).await.is_empty());
}

async fn nobody_else_touches_a_message(h: &StoreHarness) {
    let (ada, bob) = (h.user().await, h.user().await);
    let session = h.session(&ada, None).await;
    let message = h.message(&session, "My dog is called Rex.").await;
    let streaming = a_streaming_answer(session.id);
    h.add_message(&session, &streaming).await;
    let page = PageRequest::first(10);
    assert_eq!(look!(h, bob.id, messages.find(message.id)), None);
    assert!(look!(h, bob.id, messages.recent(session.id, 10)).is_empty());
    assert!(
        look!(h, bob.id, messages.list(session.id, page))
            .items
            .is_empty()
    );
    assert_eq!(
        look!(h, bob.id, messages.summary(session.id)),
        SessionSummary::default()
    );
    assert!(!commit!(h, bob.id, messages.progress(streaming.id, "x", at(9))).unwrap());
    let done = Message {
        status: MessageStatus::Complete,
        ..streaming.clone()
    };
    assert!(!commit!(h, bob.id, messages.finish(&done)).unwrap());
    assert!(!commit!(h, bob.id, messages.remove(message.id)).unwrap());
    assert_eq!(look!(h, ada.id, messages.find(message.id)), Some(message));
    assert_eq!(
        look!(h, ada.id, messages.find(streaming.id)),
        Some(streaming)
    );
}
