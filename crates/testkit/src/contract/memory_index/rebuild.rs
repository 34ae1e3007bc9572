//! A new index beside the one that serves.

use domain::memory::IndexEntry;
use domain::privacy::{LearnGrant, RecallGrant};

use super::spaces::{assert_wrong_space, other_space, short_vector};
use super::{IndexHarness, both, entry, space, words};
use crate::contract::Case;

pub(super) const CASES: &[Case<IndexHarness>] = cases![
    the_old_index_serves_until_the_new_one_is_finished,
    a_finished_index_holds_what_was_written_into_it_and_no_more,
    the_old_index_is_written_while_the_new_one_is_made,
    an_abandoned_index_leaves_no_trace,
    a_dropped_rebuild_is_no_hindrance,
    a_rebuild_takes_vectors_of_its_own_space_only,
    a_rebuild_keeps_profiles_apart,
    another_instance_sees_the_new_index,
];

async fn the_old_index_serves_until_the_new_one_is_finished(h: &IndexHarness) {
    let profile = h.profile().await;
    let old = h.indexed(&profile, "Has a dog.", Some(&[1.0])).await;
    let new = h.memory(&profile, "Has a dog too.").await;

    let rebuild = h.index.begin_rebuild(Some(&other_space())).await.unwrap();
    let short = IndexEntry {
        embedding: short_vector(),
        ..entry(new, "Has a dog too.", None)
    };
    let grant = LearnGrant::by_owner(&profile);
    rebuild.upsert(&grant, vec![short]).await.unwrap();
    assert_eq!(h.index.space().await.unwrap(), Some(space()));
    assert_eq!(h.found(&profile, &both("dog", &[1.0])).await, [old]);
    assert_eq!(h.entries(&profile).await, [old]);

    rebuild.finish().await.unwrap();
    assert_eq!(h.index.space().await.unwrap(), Some(other_space()));
    assert_eq!(h.found(&profile, &words("dog")).await, [new]);
    assert_eq!(h.entries(&profile).await, [new]);
}

async fn a_finished_index_holds_what_was_written_into_it_and_no_more(h: &IndexHarness) {
    let profile = h.profile().await;
    let gone = h.indexed(&profile, "Has a dog.", Some(&[1.0])).await;
    let kept = h.indexed(&profile, "Likes tea.", Some(&[0.0, 1.0])).await;
    let rebuild = h.index.begin_rebuild(Some(&space())).await.unwrap();
    let grant = LearnGrant::by_owner(&profile);
    for _ in 0..2 {
        let again = vec![entry(kept, "Likes tea.", Some(&[0.0, 1.0]))];
        rebuild.upsert(&grant, again).await.unwrap();
    }
    rebuild.finish().await.unwrap();
    assert_eq!(h.entries(&profile).await, [kept]);
    let hits = h.search(&profile, &both("tea", &[0.0, 1.0])).await;
    assert!(hits[0].cosine.is_some_and(|c| c > 0.999) && hits[0].bm25 > 0.0);
    // It is an index like any other.
    h.upsert(&profile, vec![entry(gone, "Has a dog.", Some(&[1.0]))])
        .await;
    assert_eq!(h.found(&profile, &words("dog")).await, [gone]);
}

async fn the_old_index_is_written_while_the_new_one_is_made(h: &IndexHarness) {
    let profile = h.profile().await;
    let rebuild = h.index.begin_rebuild(Some(&space())).await.unwrap();
    let late = h.indexed(&profile, "Has a dog.", Some(&[1.0])).await;
    assert_eq!(h.found(&profile, &words("dog")).await, [late]);
    rebuild.finish().await.unwrap();
    assert!(
        h.entries(&profile).await.is_empty(),
        "what came late is for comparing to find"
    );
}

async fn an_abandoned_index_leaves_no_trace(h: &IndexHarness) {
    let profile = h.profile().await;
    let old = h.indexed(&profile, "Has a dog.", Some(&[1.0])).await;
    let new = h.memory(&profile, "Likes tea.").await;
    let rebuild = h.index.begin_rebuild(Some(&space())).await.unwrap();
    let grant = LearnGrant::by_owner(&profile);
    let planted = vec![entry(new, "Likes tea.", Some(&[1.0]))];
    rebuild.upsert(&grant, planted).await.unwrap();
    rebuild.abandon().await.unwrap();
    assert_eq!(h.entries(&profile).await, [old]);
    assert_eq!(h.index.space().await.unwrap(), Some(space()));
    assert!(h.found(&profile, &words("tea")).await.is_empty());
}

async fn a_dropped_rebuild_is_no_hindrance(h: &IndexHarness) {
    let profile = h.profile().await;
    let memory = h.indexed(&profile, "Has a dog.", Some(&[1.0])).await;
    for _ in 0..2 {
        drop(h.index.begin_rebuild(Some(&other_space())).await.unwrap());
    }
    assert_eq!(h.found(&profile, &both("dog", &[1.0])).await, [memory]);
    h.reset(Some(&space())).await;
    assert!(h.entries(&profile).await.is_empty());
}

async fn a_rebuild_takes_vectors_of_its_own_space_only(h: &IndexHarness) {
    let profile = h.profile().await;
    let memory = h.memory(&profile, "Has a dog.").await;
    let rebuild = h.index.begin_rebuild(Some(&space())).await.unwrap();
    let short = IndexEntry {
        embedding: short_vector(),
        ..entry(memory, "Has a dog.", None)
    };
    let grant = LearnGrant::by_owner(&profile);
    assert_wrong_space(rebuild.upsert(&grant, vec![short]).await);
}

async fn a_rebuild_keeps_profiles_apart(h: &IndexHarness) {
    let (ada, bob) = (h.profile().await, h.profile().await);
    let rebuild = h.index.begin_rebuild(Some(&space())).await.unwrap();
    let mut ids = Vec::new();
    for profile in [&ada, &bob] {
        let id = h.memory(profile, "Has a dog.").await;
        let grant = LearnGrant::by_owner(profile);
        let entries = vec![entry(id, "Has a dog.", Some(&[1.0]))];
        rebuild.upsert(&grant, entries).await.unwrap();
        ids.push(id);
    }
    rebuild.finish().await.unwrap();
    for (profile, id) in [(&ada, ids[0]), (&bob, ids[1])] {
        assert_eq!(h.found(profile, &both("dog", &[1.0])).await, [id]);
        assert_eq!(h.entries(profile).await, [id]);
    }
}

async fn another_instance_sees_the_new_index(h: &IndexHarness) {
    let Some(second) = &h.second else {
        println!("this index has one instance only: nothing to compare");
        return;
    };
    let profile = h.profile().await;
    let grant = RecallGrant::by_owner(&profile);
    let old = h.indexed(&profile, "Has a dog.", Some(&[1.0])).await;
    let seen = async |query| {
        let hits = second.search(&grant, &query).await.unwrap();
        hits.into_iter().map(|hit| hit.memory).collect::<Vec<_>>()
    };
    assert_eq!(seen(words("dog")).await, [old]);
    h.reset(Some(&space())).await;
    assert!(seen(words("dog")).await.is_empty());
    let new = h.indexed(&profile, "Has a cat.", Some(&[1.0])).await;
    assert_eq!(seen(words("cat")).await, [new]);
}
