//! Memories as rows.

use domain::ids::MemoryId;
use domain::memory::{Indexed, Memory, Origin, Stored};
use domain::page::PageRequest;
use domain::privacy::{LearnGrant, RecallGrant};
use domain::profile::Profile;

use super::StoreHarness;
use crate::contract::{Case, RACERS, let_others_in, race};
use crate::fixtures::{a_memory, at, content, fresh_id};

pub(super) const CASES: &[Case<StoreHarness>] = cases![
    a_memory_is_stored_whole,
    the_same_statement_is_known,
    parallel_learning_makes_one_memory,
    a_forgotten_statement_can_be_learned_again,
    memories_are_found_in_the_order_asked_for,
    a_profile_finds_only_its_own,
    an_update_stores_content_version_and_time,
    an_update_needs_the_version_before,
    one_of_many_parallel_updates_wins,
    an_update_to_a_known_statement_is_a_conflict,
    a_removed_memory_is_never_brought_back,
    removing_some_names_those_that_were_there,
    removing_all_spares_the_other_profiles,
    a_job_finds_a_memory_by_its_id_alone,
    nobody_else_touches_a_memory,
];

fn changed(memory: &Memory, text: &str, version: u32) -> Memory {
    Memory {
        content: content(text),
        version,
        updated_at: at(9),
        ..memory.clone()
    }
}

/// The memory as its profile shows it.
async fn stored(h: &StoreHarness, profile: &Profile, id: MemoryId) -> Option<Memory> {
    let grant = RecallGrant::by_owner(profile);
    look!(h, profile.user(), memories.find(&grant, &[id])).pop()
}

async fn a_memory_is_stored_whole(h: &StoreHarness) {
    let (_, profile) = h.user_with_profile().await;
    for (origin, text) in [
        (Origin::Manual, "Likes 'tea' \"%_\\ 😀 茶".to_owned()),
        (Origin::Copied, "x".repeat(2000)),
        (Origin::Extracted, "Has a dog.".to_owned()),
    ] {
        let base = a_memory(&profile, &text);
        let memory = Memory {
            origin,
            version: 3,
            created_at: at(1),
            updated_at: at(2),
            ..base
        };
        h.add_memory(&profile, &memory).await;
        assert_eq!(stored(h, &profile, memory.id).await, Some(memory));
    }
}

async fn the_same_statement_is_known(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let other = h.profile(&user, "Work").await;
    let first = h.memory(&profile, "Has a dog.").await;
    let grant = LearnGrant::by_owner(&profile);
    for text in ["Has a dog.", "  HAS a\ndog"] {
        let again = a_memory(&profile, text);
        let answer = commit!(h, user.id, memories.add(&grant, &again)).unwrap();
        assert_eq!(answer, Stored::Known(first.id));
        assert_eq!(stored(h, &profile, again.id).await, None);
    }
    assert_eq!(stored(h, &profile, first.id).await, Some(first));
    h.memory(&other, "Has a dog.").await;
}

async fn parallel_learning_makes_one_memory(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let grant = LearnGrant::by_owner(&profile);
    let answers = race((0..RACERS).map(|_| {
        let (store, memory) = (h.store.clone(), a_memory(&profile, "Has a dog."));
        async move {
            let mut work = store.begin(user.id).await.unwrap();
            let_others_in().await;
            let answer = work.memories().add(&grant, &memory).await.unwrap();
            work.commit().await.unwrap();
            (memory.id, answer)
        }
    }))
    .await;
    let recall = RecallGrant::by_owner(&profile);
    let rows = look!(h, user.id, memories.list(&recall, PageRequest::first(10))).items;
    assert_eq!(rows.len(), 1);
    for (id, answer) in answers {
        let expected = if id == rows[0].id {
            Stored::Added
        } else {
            Stored::Known(rows[0].id)
        };
        assert_eq!(answer, expected);
    }
}

async fn a_forgotten_statement_can_be_learned_again(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let first = h.memory(&profile, "Has a dog.").await;
    commit!(
        h,
        user.id,
        memories.remove(profile.scope(), Some(&[first.id]))
    )
    .unwrap();
    let second = h.memory(&profile, "Has a dog.").await;
    assert_eq!(stored(h, &profile, second.id).await, Some(second));
}

async fn memories_are_found_in_the_order_asked_for(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let one = h.memory(&profile, "Has a dog.").await;
    let two = h.memory(&profile, "Likes tea.").await;
    let three = h.memory(&profile, "Lives in Graz.").await;
    let grant = RecallGrant::by_owner(&profile);
    let asked = [three.id, MemoryId::new(fresh_id()), one.id, two.id];
    assert_eq!(
        look!(h, user.id, memories.find(&grant, &asked)),
        [three, one, two]
    );
    assert!(look!(h, user.id, memories.find(&grant, &[])).is_empty());
}

async fn a_profile_finds_only_its_own(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let other = h.profile(&user, "Work").await;
    let memory = h.memory(&profile, "Has a dog.").await;
    let grant = LearnGrant::by_owner(&other);
    let recall = RecallGrant::by_owner(&other);
    assert_eq!(stored(h, &other, memory.id).await, None);
    assert!(
        look!(h, user.id, memories.list(&recall, PageRequest::first(9)))
            .items
            .is_empty()
    );
    let moved = Memory {
        scope: other.scope(),
        ..changed(&memory, "Has a cat.", 2)
    };
    assert!(!commit!(h, user.id, memories.update(&grant, &moved)).unwrap());
    let removed = commit!(
        h,
        user.id,
        memories.remove(other.scope(), Some(&[memory.id]))
    );
    assert!(removed.unwrap().is_empty());
    assert_eq!(stored(h, &profile, memory.id).await, Some(memory));
}

async fn an_update_stores_content_version_and_time(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let memory = h.memory(&profile, "Has a dog.").await;
    let grant = LearnGrant::by_owner(&profile);
    let expected = changed(&memory, "Has two dogs.", 2);
    let sent = Memory {
        origin: Origin::Copied,
        created_at: at(77),
        ..expected.clone()
    };
    assert!(commit!(h, user.id, memories.update(&grant, &sent)).unwrap());
    assert_eq!(stored(h, &profile, memory.id).await, Some(expected.clone()));

    let respelled = changed(&expected, "Has TWO dogs.", 3);
    assert!(
        commit!(h, user.id, memories.update(&grant, &respelled)).unwrap(),
        "its own words"
    );
    h.memory(&profile, "Has a dog.").await;
}

async fn an_update_needs_the_version_before(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let memory = h.memory(&profile, "Has a dog.").await;
    let grant = LearnGrant::by_owner(&profile);
    for version in [1, 3] {
        let stale = changed(&memory, "Has a cat.", version);
        assert!(
            !commit!(h, user.id, memories.update(&grant, &stale)).unwrap(),
            "{version}"
        );
    }
    assert_eq!(stored(h, &profile, memory.id).await, Some(memory));
}

async fn one_of_many_parallel_updates_wins(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let memory = h.memory(&profile, "Has a dog.").await;
    let grant = LearnGrant::by_owner(&profile);
    let won = race((0..RACERS).map(|n| {
        let (store, update) = (
            h.store.clone(),
            changed(&memory, &format!("Has {n} dogs."), 2),
        );
        async move {
            let mut work = store.begin(user.id).await.unwrap();
            let_others_in().await;
            let won = work.memories().update(&grant, &update).await.unwrap();
            work.commit().await.unwrap();
            won.then_some(update)
        }
    }))
    .await;
    let winners: Vec<_> = won.into_iter().flatten().collect();
    assert_eq!(
        winners,
        Vec::from_iter(stored(h, &profile, memory.id).await)
    );
}

async fn an_update_to_a_known_statement_is_a_conflict(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    h.memory(&profile, "Has a dog.").await;
    let tea = h.memory(&profile, "Likes tea.").await;
    let grant = LearnGrant::by_owner(&profile);
    let same = changed(&tea, "has a DOG", 2);
    assert_conflict!(
        commit!(h, user.id, memories.update(&grant, &same)),
        "memory"
    );
    assert_eq!(stored(h, &profile, tea.id).await, Some(tea));
}

async fn a_removed_memory_is_never_brought_back(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let memory = h.memory(&profile, "Has a dog.").await;
    let grant = LearnGrant::by_owner(&profile);
    commit!(h, user.id, memories.remove(profile.scope(), None)).unwrap();
    let update = changed(&memory, "Has a cat.", 2);
    assert!(!commit!(h, user.id, memories.update(&grant, &update)).unwrap());
    commit!(h, user.id, memories.mark_indexed(&memory, Indexed::Vector)).unwrap();
    assert_eq!(stored(h, &profile, memory.id).await, None);
}

async fn removing_some_names_those_that_were_there(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let kept = h.memory(&profile, "Has a dog.").await;
    let gone = h.memory(&profile, "Likes tea.").await;
    let ids = [gone.id, MemoryId::new(fresh_id())];
    let remove = |ids| (profile.scope(), ids);
    for expected in [vec![gone.id], vec![]] {
        let (scope, ids) = remove(&ids[..]);
        let removed = commit!(h, user.id, memories.remove(scope, Some(ids))).unwrap();
        assert_eq!(removed, expected);
    }
    let none = commit!(h, user.id, memories.remove(profile.scope(), Some(&[]))).unwrap();
    assert!(none.is_empty(), "no ids are not all ids");
    assert_eq!(stored(h, &profile, gone.id).await, None);
    assert_eq!(stored(h, &profile, kept.id).await, Some(kept));
}

async fn removing_all_spares_the_other_profiles(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let other = h.profile(&user, "Work").await;
    let mut expected = Vec::new();
    for text in ["Has a dog.", "Likes tea."] {
        expected.push(h.memory(&profile, text).await.id);
    }
    let kept = h.memory(&other, "Has a dog.").await;
    let mut removed = commit!(h, user.id, memories.remove(profile.scope(), None)).unwrap();
    removed.sort();
    assert_eq!(removed, expected);
    assert_eq!(stored(h, &profile, expected[0]).await, None);
    assert_eq!(stored(h, &other, kept.id).await, Some(kept));
}

async fn a_job_finds_a_memory_by_its_id_alone(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let memory = h.memory(&profile, "Has a dog.").await;
    let unknown = MemoryId::new(fresh_id());
    assert_eq!(
        look!(h, user.id, memories.find_for_index(memory.id)),
        Some(memory)
    );
    assert_eq!(look!(h, user.id, memories.find_for_index(unknown)), None);
}

async fn nobody_else_touches_a_memory(h: &StoreHarness) {
    let (ada, profile) = h.user_with_profile().await;
    let memory = h.memory(&profile, "Has a dog.").await;
    let bob = h.user().await;
    let (learn, recall) = (
        LearnGrant::by_owner(&profile),
        RecallGrant::by_owner(&profile),
    );
    let planted = a_memory(&profile, "Likes tea.");
    assert_conflict!(
        commit!(h, bob.id, memories.add(&learn, &planted)),
        "reference"
    );
    assert!(look!(h, bob.id, memories.find(&recall, &[memory.id])).is_empty());
    assert!(
        look!(h, bob.id, memories.list(&recall, PageRequest::first(9)))
            .items
            .is_empty()
    );
    assert_eq!(look!(h, bob.id, memories.find_for_index(memory.id)), None);
    let update = changed(&memory, "Has a cat.", 2);
    assert!(!commit!(h, bob.id, memories.update(&learn, &update)).unwrap());
    for ids in [Some(&[memory.id][..]), None] {
        let removed = commit!(h, bob.id, memories.remove(profile.scope(), ids)).unwrap();
        assert!(removed.is_empty());
    }
    let rows = look!(h, ada.id, memories.list(&recall, PageRequest::first(9))).items;
    assert_eq!(rows, [memory]);
}
