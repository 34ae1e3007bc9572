//! Answers that are being written, and what a message may be stamped with.

use domain::ids::MessageId;
use domain::privacy::PrivacyMode;
use domain::session::{FinishReason, Message, MessageStatus, Role};

use super::StoreHarness;
use crate::contract::Case;
use crate::fixtures::{a_message, a_reply, a_streaming_answer, an_answer, at, fresh_id};

pub(super) const CASES: &[Case<StoreHarness>] = cases![
    an_incognito_message_is_refused,
    one_answer_at_a_time_is_written,
    progress_is_stored,
    only_an_answer_being_written_makes_progress,
    finishing_stores_content_status_and_reply,
    an_answer_can_be_finished_as_interrupted,
    an_answer_that_was_given_up_can_still_be_finished,
    an_answer_is_finished_once,
    a_removed_answer_is_not_finished,
    a_finished_answer_makes_room_for_the_next,
];

fn finished(answer: &Message) -> Message {
    Message {
        content: "The whole answer.".to_owned(),
        status: MessageStatus::Complete,
        reply: Some(a_reply(FinishReason::Length)),
        ..answer.clone()
    }
}

async fn an_incognito_message_is_refused(h: &StoreHarness) {
    let user = h.user().await;
    let session = h.session(&user, None).await;
    for message in [
        a_message(session.id, "secret"),
        a_streaming_answer(session.id),
    ] {
        let message = Message {
            stamp: PrivacyMode::Incognito,
            ..message
        };
        assert_conflict!(commit!(h, user.id, messages.add(&message)), "mode");
        assert_eq!(look!(h, user.id, messages.find(message.id)), None);
    }
}

async fn one_answer_at_a_time_is_written(h: &StoreHarness) {
    let user = h.user().await;
    let (session, other) = (h.session(&user, None).await, h.session(&user, None).await);
    h.add_message(&session, &a_streaming_answer(session.id))
        .await;
    let second = a_streaming_answer(session.id);
    assert_conflict!(commit!(h, user.id, messages.add(&second)), "streaming");
    h.add_message(&other, &a_streaming_answer(other.id)).await;
}

async fn progress_is_stored(h: &StoreHarness) {
    let user = h.user().await;
    let session = h.session(&user, None).await;
    let answer = a_streaming_answer(session.id);
    h.add_message(&session, &answer).await;
    assert!(commit!(h, user.id, messages.progress(answer.id, "The who", at(5))).unwrap());
    let expected = Message {
        content: "The who".to_owned(),
        ..answer
    };
    assert_eq!(
        look!(h, user.id, messages.find(expected.id)),
        Some(expected)
    );
}

async fn only_an_answer_being_written_makes_progress(h: &StoreHarness) {
    let user = h.user().await;
    let session = h.session(&user, None).await;
    let answer = an_answer(session.id, "done");
    h.add_message(&session, &answer).await;
    for id in [answer.id, MessageId::new(fresh_id())] {
        assert!(!commit!(h, user.id, messages.progress(id, "more", at(5))).unwrap());
    }
    assert_eq!(look!(h, user.id, messages.find(answer.id)), Some(answer));
}

async fn finishing_stores_content_status_and_reply(h: &StoreHarness) {
    let user = h.user().await;
    let session = h.session(&user, None).await;
    let answer = a_streaming_answer(session.id);
    h.add_message(&session, &answer).await;
    let expected = finished(&answer);
    let sent = Message {
        role: Role::User,
        stamp: PrivacyMode::PauseMemories,
        created_at: at(77),
        ..expected.clone()
    };
    assert!(commit!(h, user.id, messages.finish(&sent)).unwrap());
    assert_eq!(look!(h, user.id, messages.find(answer.id)), Some(expected));
}

async fn an_answer_can_be_finished_as_interrupted(h: &StoreHarness) {
    let user = h.user().await;
    let session = h.session(&user, None).await;
    let answer = a_streaming_answer(session.id);
    h.add_message(&session, &answer).await;
    let status = MessageStatus::Interrupted;
    let cut = Message {
        content: "The who".to_owned(),
        status,
        ..answer
    };
    assert!(commit!(h, user.id, messages.finish(&cut)).unwrap());
    assert_eq!(look!(h, user.id, messages.find(cut.id)), Some(cut));
}

/// Its writer was only slow.
async fn an_answer_that_was_given_up_can_still_be_finished(h: &StoreHarness) {
    let user = h.user().await;
    let session = h.session(&user, None).await;
    let answer = a_streaming_answer(session.id);
    h.add_message(&session, &answer).await;
    assert_eq!(h.maintenance.interrupt_stale(at(1000)).await.unwrap(), 1);
    assert!(!commit!(h, user.id, messages.progress(answer.id, "more", at(5))).unwrap());
    h.add_message(&session, &a_streaming_answer(session.id))
        .await;
    let expected = finished(&answer);
    assert!(commit!(h, user.id, messages.finish(&expected)).unwrap());
    assert_eq!(look!(h, user.id, messages.find(answer.id)), Some(expected));
}

async fn an_answer_is_finished_once(h: &StoreHarness) {
    let user = h.user().await;
    let session = h.session(&user, None).await;
    let answer = a_streaming_answer(session.id);
    h.add_message(&session, &answer).await;
    let first = finished(&answer);
    assert!(commit!(h, user.id, messages.finish(&first)).unwrap());
    let second = Message {
        content: "another".to_owned(),
        ..first.clone()
    };
    assert!(!commit!(h, user.id, messages.finish(&second)).unwrap());
    assert_eq!(look!(h, user.id, messages.find(answer.id)), Some(first));
}

async fn a_removed_answer_is_not_finished(h: &StoreHarness) {
    let user = h.user().await;
    let session = h.session(&user, None).await;
    let answer = a_streaming_answer(session.id);
    h.add_message(&session, &answer).await;
    assert!(commit!(h, user.id, messages.remove(answer.id)).unwrap());
    assert!(!commit!(h, user.id, messages.progress(answer.id, "more", at(5))).unwrap());
    assert!(!commit!(h, user.id, messages.finish(&finished(&answer))).unwrap());
    assert_eq!(look!(h, user.id, messages.find(answer.id)), None);
}

async fn a_finished_answer_makes_room_for_the_next(h: &StoreHarness) {
    let user = h.user().await;
    let session = h.session(&user, None).await;
    let first = a_streaming_answer(session.id);
    h.add_message(&session, &first).await;
    commit!(h, user.id, messages.finish(&finished(&first))).unwrap();
    h.add_message(&session, &a_streaming_answer(session.id))
        .await;
}
