//! Vectors of two embedding spaces are never mixed.

use domain::memory::{Embedding, EmbeddingSpace, IndexError, IndexQuery, Terms};
use domain::privacy::{LearnGrant, RecallGrant};

use super::{IndexHarness, both, entry, space, words};
use crate::contract::Case;

pub(super) const CASES: &[Case<IndexHarness>] = cases![
    a_new_index_has_no_space,
    the_adopted_space_is_recorded,
    another_space_is_not_adopted,
    a_vector_of_another_length_is_refused,
    a_question_of_another_length_is_refused,
    a_reset_empties_and_records,
    a_reset_can_leave_no_space,
    words_work_without_a_space,
];

pub(super) fn other_space() -> EmbeddingSpace {
    EmbeddingSpace {
        model: "contract/4".to_owned(),
        dimension: 4,
    }
}

pub(super) fn short_vector() -> Option<Embedding> {
    Embedding::new(vec![1.0, 0.0, 0.0, 0.0])
}

pub(super) fn assert_wrong_space<T>(result: Result<T, IndexError>) {
    match result {
        Err(IndexError::WrongSpace { recorded }) => assert_eq!(recorded, space()),
        Err(other) => panic!("expected another error than: {other}"),
        Ok(_) => panic!("two spaces were mixed"),
    }
}

async fn a_new_index_has_no_space(h: &IndexHarness) {
    assert_eq!(h.index.space().await.unwrap(), None);
}

async fn the_adopted_space_is_recorded(h: &IndexHarness) {
    for _ in 0..2 {
        h.index.adopt(&space()).await.unwrap();
        assert_eq!(h.index.space().await.unwrap(), Some(space()));
    }
}

async fn another_space_is_not_adopted(h: &IndexHarness) {
    h.index.adopt(&space()).await.unwrap();
    let same_length = EmbeddingSpace {
        model: "another model".to_owned(),
        ..space()
    };
    for other in [other_space(), same_length] {
        assert_wrong_space(h.index.adopt(&other).await);
    }
    assert_eq!(h.index.space().await.unwrap(), Some(space()));
}

async fn a_vector_of_another_length_is_refused(h: &IndexHarness) {
    let profile = h.profile().await;
    let good = h.memory(&profile, "Has a dog.").await;
    let bad = h.memory(&profile, "Likes tea.").await;
    let entries = vec![
        entry(good, "Has a dog.", Some(&[1.0])),
        domain::memory::IndexEntry {
            embedding: short_vector(),
            ..entry(bad, "Likes tea.", None)
        },
    ];
    assert_wrong_space(
        h.index
            .upsert(&LearnGrant::by_owner(&profile), entries)
            .await,
    );
    assert!(!h.entries(&profile).await.contains(&bad));
}

async fn a_question_of_another_length_is_refused(h: &IndexHarness) {
    let profile = h.profile().await;
    h.indexed(&profile, "Has a dog.", Some(&[1.0])).await;
    let query = IndexQuery {
        terms: Terms::of("dog"),
        embedding: short_vector(),
        limit: 5,
    };
    assert_wrong_space(
        h.index
            .search(&RecallGrant::by_owner(&profile), &query)
            .await,
    );
}

async fn a_reset_empties_and_records(h: &IndexHarness) {
    let (one, two) = (h.profile().await, h.profile().await);
    let memory = h.indexed(&one, "Has a dog.", Some(&[1.0])).await;
    h.indexed(&two, "Has a dog.", Some(&[1.0])).await;

    h.reset(Some(&other_space())).await;

    assert_eq!(h.index.space().await.unwrap(), Some(other_space()));
    assert!(h.entries(&one).await.is_empty() && h.entries(&two).await.is_empty());
    assert!(h.search(&one, &words("dog")).await.is_empty());
    let entry = domain::memory::IndexEntry {
        embedding: short_vector(),
        ..entry(memory, "dog", None)
    };
    h.upsert(&one, vec![entry]).await;
    assert_eq!(h.found(&one, &words("dog")).await, [memory]);
}

async fn a_reset_can_leave_no_space(h: &IndexHarness) {
    let profile = h.profile().await;
    h.indexed(&profile, "Has a dog.", Some(&[1.0])).await;
    h.reset(None).await;
    assert_eq!(h.index.space().await.unwrap(), None);
    assert!(h.entries(&profile).await.is_empty());
    let again = h.indexed(&profile, "Likes tea.", None).await;
    h.index.adopt(&space()).await.unwrap();
    assert_eq!(h.found(&profile, &both("tea", &[1.0])).await, [again]);
}

async fn words_work_without_a_space(h: &IndexHarness) {
    let profile = h.profile().await;
    h.reset(None).await;
    let memory = h.indexed(&profile, "Has a dog.", None).await;
    assert_eq!(h.found(&profile, &words("dog")).await, [memory]);
}
