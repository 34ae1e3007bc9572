//! Nothing crosses from one profile, or one user, to another.

use domain::memory::{IndexError, MemoryIndex};
use domain::privacy::{LearnGrant, MemoryScope, RecallGrant};
use domain::profile::Profile;

use super::{IndexHarness, both, entry};
use crate::contract::Case;
use crate::seed;

pub(super) const CASES: &[Case<IndexHarness>] = cases![
    equal_texts_of_two_users_do_not_meet,
    equal_texts_of_two_profiles_do_not_meet,
    removing_a_scope_spares_the_others,
    someone_elses_entry_cannot_be_overwritten,
    a_mixed_up_scope_finds_nothing,
    every_entry_has_one_owner,
];

const TEXT: &str = "Has a dog called Rex.";

async fn assert_apart(h: &IndexHarness, one: &Profile, two: &Profile) {
    let ours = h.indexed(one, TEXT, Some(&[1.0])).await;
    let theirs = h.indexed(two, TEXT, Some(&[1.0])).await;
    let query = both("dog", &[1.0]);
    for (profile, expected) in [(one, ours), (two, theirs)] {
        assert_eq!(h.found(profile, &query).await, [expected]);
        assert_eq!(h.entries(profile).await, [expected]);
    }
}

async fn equal_texts_of_two_users_do_not_meet(h: &IndexHarness) {
    let (one, two) = (h.profile().await, h.profile().await);
    assert_apart(h, &one, &two).await;
}

async fn equal_texts_of_two_profiles_do_not_meet(h: &IndexHarness) {
    let one = h.profile().await;
    let two = seed::profile(&*h.store, one.user(), "Work").await;
    assert_apart(h, &one, &two).await;
}

async fn removing_a_scope_spares_the_others(h: &IndexHarness) {
    let (one, stranger) = (h.profile().await, h.profile().await);
    let two = seed::profile(&*h.store, one.user(), "Work").await;
    let gone = h.indexed(&one, TEXT, Some(&[1.0])).await;
    let kept = h.indexed(&two, TEXT, Some(&[1.0])).await;
    let theirs = h.indexed(&stranger, TEXT, Some(&[1.0])).await;
    // Ids of other scopes are no way around the wall.
    h.index
        .remove(one.scope(), Some(&[kept, theirs]))
        .await
        .unwrap();
    assert_eq!(h.entries(&one).await, [gone]);
    h.index.remove(one.scope(), None).await.unwrap();
    assert!(h.entries(&one).await.is_empty());
    assert_eq!(h.entries(&two).await, [kept]);
    assert_eq!(h.entries(&stranger).await, [theirs]);
}

async fn someone_elses_entry_cannot_be_overwritten(h: &IndexHarness) {
    let (ada, bob) = (h.profile().await, h.profile().await);
    let memory = h.indexed(&ada, TEXT, Some(&[1.0])).await;
    let before = h.search(&ada, &both("dog", &[1.0])).await;
    let planted = vec![entry(memory, "Likes tea.", Some(&[0.0, 1.0]))];
    let grant = LearnGrant::by_owner(&bob);
    match h.index.upsert(&grant, planted).await {
        Ok(()) | Err(IndexError::Unavailable(_)) => {}
        Err(other) => panic!("{other}"),
    }
    assert_eq!(h.search(&ada, &both("dog", &[1.0])).await, before);
    assert_eq!(h.entries(&ada).await, [memory]);
}

async fn a_mixed_up_scope_finds_nothing(h: &IndexHarness) {
    let (ada, bob) = (h.profile().await, h.profile().await);
    h.indexed(&ada, TEXT, Some(&[1.0])).await;
    let mixed = MemoryScope {
        user: bob.user(),
        profile: ada.id(),
    };
    let grant = RecallGrant::in_session(domain::privacy::PrivacyMode::Normal, mixed).unwrap();
    let index: &dyn MemoryIndex = &*h.index;
    assert!(
        index
            .search(&grant, &both("dog", &[1.0]))
            .await
            .unwrap()
            .is_empty()
    );
    let entries = index.entries(mixed, None, 10).await.unwrap();
    assert!(entries.is_empty());
    index.remove(mixed, None).await.unwrap();
    assert_eq!(h.entries(&ada).await.len(), 1);
}

async fn every_entry_has_one_owner(h: &IndexHarness) {
    let (one, stranger) = (h.profile().await, h.profile().await);
    let two = seed::profile(&*h.store, one.user(), "Work").await;
    let mut expected = Vec::new();
    for n in 0..3 {
        for profile in [&one, &two, &stranger] {
            let memory = h.indexed(profile, &format!("memory {n}"), None).await;
            expected.push((memory, profile.scope()));
        }
    }
    expected.sort_by_key(|(memory, _)| *memory);
    assert_eq!(h.index.owners(None, 100).await.unwrap(), expected);
    for limit in 1..=4 {
        let (mut walked, mut after) = (Vec::new(), None);
        loop {
            let page = h.index.owners(after, limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            walked.extend(page);
        }
        assert_eq!(walked, expected, "pages of {limit}");
    }
}
