//! Writing, replacing, removing; and what another instance sees of it.

use domain::ids::MemoryId;
use domain::memory::{IndexEntry, IndexedMemory};
use domain::privacy::RecallGrant;

use super::{IndexHarness, both, entry, meaning, words};
use crate::contract::Case;
use crate::fixtures::fresh_id;

pub(super) const CASES: &[Case<IndexHarness>] = cases![
    a_second_entry_replaces_the_first,
    an_entry_can_lose_and_gain_its_vector,
    writing_twice_is_writing_once,
    removed_entries_are_gone,
    removing_is_idempotent,
    no_ids_are_not_all_ids,
    entries_come_in_the_order_of_their_ids,
    entries_come_in_pages,
    an_entry_tells_its_version_and_whether_it_has_a_vector,
    another_instance_sees_every_change,
];

async fn a_second_entry_replaces_the_first(h: &IndexHarness) {
    let profile = h.profile().await;
    let memory = h.indexed(&profile, "Has a dog.", Some(&[1.0])).await;
    h.upsert(
        &profile,
        vec![entry(memory, "Likes tea.", Some(&[0.0, 1.0]))],
    )
    .await;
    assert!(h.search(&profile, &words("dog")).await.is_empty());
    assert_eq!(h.found(&profile, &words("tea")).await, [memory]);
    let cosine = h.search(&profile, &meaning(&[0.0, 1.0])).await[0].cosine;
    assert!(cosine.is_some_and(|c| c > 0.999), "{cosine:?}");
    assert_eq!(h.entries(&profile).await, [memory]);
}

async fn an_entry_can_lose_and_gain_its_vector(h: &IndexHarness) {
    let profile = h.profile().await;
    let memory = h.indexed(&profile, "Has a dog.", Some(&[1.0])).await;
    h.upsert(&profile, vec![entry(memory, "Has a dog.", None)])
        .await;
    assert!(h.search(&profile, &meaning(&[1.0])).await.is_empty());
    h.upsert(&profile, vec![entry(memory, "Has a dog.", Some(&[1.0]))])
        .await;
    assert_eq!(h.found(&profile, &meaning(&[1.0])).await, [memory]);
}

async fn writing_twice_is_writing_once(h: &IndexHarness) {
    let profile = h.profile().await;
    let memory = h.indexed(&profile, "Has a dog.", Some(&[1.0])).await;
    h.indexed(&profile, "Likes tea.", Some(&[0.0, 1.0])).await;
    let before = h.search(&profile, &both("dog", &[1.0])).await;
    h.upsert(&profile, vec![entry(memory, "Has a dog.", Some(&[1.0]))])
        .await;
    assert_eq!(h.search(&profile, &both("dog", &[1.0])).await, before);
}

async fn removed_entries_are_gone(h: &IndexHarness) {
    let profile = h.profile().await;
    let gone = h.indexed(&profile, "Has a dog.", Some(&[1.0])).await;
    let kept = h.indexed(&profile, "Has a dog too.", Some(&[1.0])).await;
    let query = both("dog", &[1.0]);
    h.index
        .remove(profile.scope(), Some(&[gone]))
        .await
        .unwrap();
    assert_eq!(h.found(&profile, &query).await, [kept]);
    assert_eq!(h.entries(&profile).await, [kept]);
    h.index.remove(profile.scope(), None).await.unwrap();
    assert!(h.search(&profile, &query).await.is_empty());
    assert!(h.entries(&profile).await.is_empty());
}

async fn removing_is_idempotent(h: &IndexHarness) {
    let profile = h.profile().await;
    let memory = h.indexed(&profile, "Has a dog.", None).await;
    for _ in 0..2 {
        let ids = [memory, MemoryId::new(fresh_id())];
        h.index.remove(profile.scope(), Some(&ids)).await.unwrap();
        h.index.remove(profile.scope(), None).await.unwrap();
    }
    h.upsert(&profile, vec![entry(memory, "Has a dog.", None)])
        .await;
    assert_eq!(h.found(&profile, &words("dog")).await, [memory]);
}

async fn no_ids_are_not_all_ids(h: &IndexHarness) {
    let profile = h.profile().await;
    let memory = h.indexed(&profile, "Has a dog.", None).await;
    h.index.remove(profile.scope(), Some(&[])).await.unwrap();
    h.upsert(&profile, Vec::new()).await;
    assert_eq!(h.entries(&profile).await, [memory]);
}

async fn entries_come_in_the_order_of_their_ids(h: &IndexHarness) {
    let profile = h.profile().await;
    let mut ids = Vec::new();
    for text in ["one thing", "two things", "three things"] {
        ids.push(h.memory(&profile, text).await);
    }
    for (n, id) in ids.iter().enumerate().rev() {
        h.upsert(
            &profile,
            vec![entry(*id, "thing", (n != 1).then_some(&[1.0]))],
        )
        .await;
    }
    assert_eq!(h.entries(&profile).await, ids);
}

async fn entries_come_in_pages(h: &IndexHarness) {
    let profile = h.profile().await;
    let mut ids = Vec::new();
    for n in 0..7 {
        ids.push(h.indexed(&profile, &format!("memory {n}"), None).await);
    }
    for limit in 1..=8 {
        let (mut walked, mut after) = (Vec::new(), None);
        loop {
            let page = h
                .index
                .entries(profile.scope(), after, limit)
                .await
                .unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(last.memory);
            walked.extend(page.iter().map(|entry| entry.memory));
        }
        assert_eq!(walked, ids, "pages of {limit}");
    }
}

async fn an_entry_tells_its_version_and_whether_it_has_a_vector(h: &IndexHarness) {
    let profile = h.profile().await;
    let memory = h.memory(&profile, "Has a dog.").await;
    for (version, numbers) in [(1, Some(&[1.0][..])), (2, None), (3, Some(&[1.0]))] {
        let changed = IndexEntry {
            version,
            ..entry(memory, "Has a dog.", numbers)
        };
        h.upsert(&profile, vec![changed]).await;
        let told = IndexedMemory {
            memory,
            version,
            with_vector: numbers.is_some(),
        };
        let entries = h.index.entries(profile.scope(), None, 10).await.unwrap();
        assert_eq!(entries, [told]);
    }
}

async fn another_instance_sees_every_change(h: &IndexHarness) {
    let Some(second) = &h.second else {
        println!("this index has one instance only: nothing to compare");
        return;
    };
    let profile = h.profile().await;
    let grant = RecallGrant::by_owner(&profile);
    let query = both("dog", &[1.0]);
    let seen = async || {
        let hits = second.search(&grant, &query).await.unwrap();
        hits.into_iter().map(|hit| hit.memory).collect::<Vec<_>>()
    };
    // Searched before each change, so that whatever it keeps in memory is warm, and stale after.
    assert!(seen().await.is_empty());
    let memory = h.indexed(&profile, "Has a dog.", Some(&[1.0])).await;
    assert_eq!(seen().await, [memory]);
    h.upsert(&profile, vec![entry(memory, "Likes tea.", None)])
        .await;
    assert!(seen().await.is_empty());
    h.upsert(&profile, vec![entry(memory, "Has a dog.", Some(&[1.0]))])
        .await;
    assert_eq!(seen().await, [memory]);
    h.index
        .remove(profile.scope(), Some(&[memory]))
        .await
        .unwrap();
    assert!(seen().await.is_empty());
    let left = second.entries(profile.scope(), None, 10).await;
    assert!(left.unwrap().is_empty());
}
