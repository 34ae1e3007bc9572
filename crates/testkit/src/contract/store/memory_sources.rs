//! What a memory may be drawn from, and forgetting by where it came from.

use std::time::Duration;

use domain::ids::MessageId;
use domain::memory::{Memory, MemorySource};
use domain::privacy::{LearnGrant, PrivacyMode};
use domain::session::{DrawnFrom, Message};

use super::StoreHarness;
use crate::contract::Case;
use crate::fixtures::{a_drawn_memory, a_message, fresh_id};

pub(super) const CASES: &[Case<StoreHarness>] = cases![
    a_drawn_memory_names_its_source,
    a_paused_message_is_no_source,
    a_foreign_message_is_no_source,
    a_source_that_does_not_exist_is_refused,
    forgetting_a_message_takes_what_was_drawn_from_it,
    forgetting_a_session_reaches_every_profile,
    nobody_else_forgets_by_source,
    what_is_learned_while_its_source_goes_is_forgotten_too,
];

async fn a_drawn_memory_names_its_source(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let session = h.session(&user, Some(profile.id())).await;
    let message = h.message(&session, "My dog is called Rex.").await;
    let memory = a_drawn_memory(&profile, "Has a dog called Rex.", &message);
    h.add_memory(&profile, &memory).await;
    assert_eq!(
        look!(h, user.id, memories.find_for_index(memory.id)),
        Some(memory)
    );
}

async fn a_paused_message_is_no_source(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let session = h.session(&user, Some(profile.id())).await;
    let stamp = PrivacyMode::PauseMemories;
    let paused = Message {
        stamp,
        ..a_message(session.id, "My dog is called Rex.")
    };
    h.add_message(&session, &paused).await;
    let memory = a_drawn_memory(&profile, "Has a dog called Rex.", &paused);
    let grant = LearnGrant::by_owner(&profile);
    assert_conflict!(
        commit!(h, user.id, memories.add(&grant, &memory)),
        "reference"
    );
    assert_eq!(look!(h, user.id, memories.find_for_index(memory.id)), None);
}

async fn a_foreign_message_is_no_source(h: &StoreHarness) {
    let ada = h.user().await;
    let session = h.session(&ada, None).await;
    let message = h.message(&session, "My dog is called Rex.").await;
    let (bob, profile) = h.user_with_profile().await;
    let memory = a_drawn_memory(&profile, "Has a dog called Rex.", &message);
    let grant = LearnGrant::by_owner(&profile);
    assert_conflict!(
        commit!(h, bob.id, memories.add(&grant, &memory)),
        "reference"
    );
}

async fn a_source_that_does_not_exist_is_refused(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let session = h.session(&user, None).await;
    let other = h.session(&user, None).await;
    let message = h.message(&session, "My dog is called Rex.").await;
    let unknown = MemorySource {
        session: session.id,
        message: MessageId::new(fresh_id()),
    };
    let misplaced = MemorySource {
        session: other.id,
        message: message.id,
    };
    for source in [unknown, misplaced] {
        let base = a_drawn_memory(&profile, "Has a dog called Rex.", &message);
        let memory = Memory {
            source: Some(source),
            ..base
        };
        let grant = LearnGrant::by_owner(&profile);
        assert_conflict!(
            commit!(h, user.id, memories.add(&grant, &memory)),
            "reference"
        );
    }
}

async fn forgetting_a_message_takes_what_was_drawn_from_it(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let session = h.session(&user, Some(profile.id())).await;
    let (one, two) = (
        h.message(&session, "one").await,
        h.message(&session, "two").await,
    );
    let gone = a_drawn_memory(&profile, "Has a dog.", &one);
    let kept = a_drawn_memory(&profile, "Likes tea.", &two);
    h.add_memory(&profile, &gone).await;
    h.add_memory(&profile, &kept).await;
    for expected in [vec![(profile.scope(), gone.id)], vec![]] {
        let from = DrawnFrom::Message(one.id);
        assert_eq!(
            commit!(h, user.id, memories.remove_drawn(from)).unwrap(),
            expected
        );
    }
    assert_eq!(look!(h, user.id, memories.find_for_index(gone.id)), None);
    assert_eq!(
        look!(h, user.id, memories.find_for_index(kept.id)),
        Some(kept)
    );
    assert_eq!(
        look!(h, user.id, messages.find(one.id)),
        Some(one),
        "the message stays"
    );
}

async fn forgetting_a_session_reaches_every_profile(h: &StoreHarness) {
    let (user, first) = h.user_with_profile().await;
    let work = h.profile(&user, "Work").await;
    let (session, other) = (h.session(&user, None).await, h.session(&user, None).await);
    let (here, there) = (
        h.message(&session, "one").await,
        h.message(&other, "two").await,
    );
    let gone = [
        a_drawn_memory(&first, "Has a dog.", &here),
        a_drawn_memory(&work, "Dog.", &here),
    ];
    let kept = a_drawn_memory(&first, "Likes tea.", &there);
    h.add_memory(&first, &gone[0]).await;
    h.add_memory(&work, &gone[1]).await;
    h.add_memory(&first, &kept).await;
    let manual = h.memory(&first, "Lives in Graz.").await;

    let from = DrawnFrom::Session(session.id);
    let mut removed = commit!(h, user.id, memories.remove_drawn(from)).unwrap();

    removed.sort_by_key(|r| r.1);
    assert_eq!(removed, gone.map(|memory| (memory.scope, memory.id)));
    for memory in [kept, manual] {
        assert_eq!(
            look!(h, user.id, memories.find_for_index(memory.id)),
            Some(memory)
        );
    }
}

async fn nobody_else_forgets_by_source(h: &StoreHarness) {
    let (ada, profile) = h.user_with_profile().await;
    let session = h.session(&ada, Some(profile.id())).await;
    let message = h.message(&session, "one").await;
    let memory = a_drawn_memory(&profile, "Has a dog.", &message);
    h.add_memory(&profile, &memory).await;
    let bob = h.user().await;
    for from in [
        DrawnFrom::Session(session.id),
        DrawnFrom::Message(message.id),
    ] {
        assert!(
            commit!(h, bob.id, memories.remove_drawn(from))
                .unwrap()
                .is_empty()
        );
    }
    assert_eq!(
        look!(h, ada.id, memories.find_for_index(memory.id)),
        Some(memory)
    );
}

/// A worker has stored what it learned and not committed yet, when the source goes.
async fn what_is_learned_while_its_source_goes_is_forgotten_too(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let session = h.session(&user, Some(profile.id())).await;
    for of_session in [false, true] {
        let message = h.message(&session, "My dog is called Rex.").await;
        let from = if of_session {
            DrawnFrom::Session(session.id)
        } else {
            DrawnFrom::Message(message.id)
        };
        let memory = a_drawn_memory(&profile, "Has a dog called Rex.", &message);
        let grant = LearnGrant::by_owner(&profile);
        let mut learning = h.workers.begin(user.id).await.unwrap();
        learning.memories().add(&grant, &memory).await.unwrap();
        let forget = async {
            let mut work = h.store.begin(user.id).await.unwrap();
            work.memories().remove_drawn(from).await.unwrap();
            work.messages().remove(message.id).await.unwrap();
            work.commit().await.unwrap();
        };
        let learn = async {
            // Time for the other to come as far as it may.
            tokio::time::sleep(Duration::from_millis(200)).await;
            learning.commit().await.unwrap();
        };
        futures::join!(forget, learn);
        assert_eq!(look!(h, user.id, memories.find_for_index(memory.id)), None);
    }
}
