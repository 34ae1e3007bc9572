//! What is found, and with which scores.

use domain::ids::MemoryId;
use domain::memory::{IndexHit, IndexQuery, Terms};

use super::reference::{bm25, cosine};
use super::{IndexHarness, both, entry, meaning, vector, words};
use crate::contract::Case;

pub(super) const CASES: &[Case<IndexHarness>] = cases![
    words_find_a_memory,
    meaning_finds_a_memory,
    one_hit_carries_both_scores,
    a_cosine_is_exact,
    bm25_is_exact_over_the_profile,
    an_empty_query_finds_nothing,
    words_that_nobody_said_find_nothing,
    an_empty_profile_has_nothing_to_find,
    an_entry_without_a_vector_is_found_by_words,
    the_limit_holds_for_each_kind,
    a_limit_of_nought_finds_nothing,
    the_best_of_many_are_found,
];

const TEXTS: [&str; 5] = [
    "Has a dog called Rex.",
    "Likes green tea, black tea and coffee.",
    "Lives in Graz with a dog and a cat.",
    "Works as a baker; starts at four in the morning, sells bread, rolls and cakes.",
    "Tea.",
];

fn assert_close(found: f32, expected: f32) {
    assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
}

async fn words_find_a_memory(h: &IndexHarness) {
    let profile = h.profile().await;
    let dog = h.indexed(&profile, TEXTS[0], Some(&[1.0])).await;
    h.indexed(&profile, TEXTS[1], Some(&[1.0])).await;
    assert_eq!(
        h.found(&profile, &words("What are the DOGS called?")).await,
        [dog]
    );
}

async fn meaning_finds_a_memory(h: &IndexHarness) {
    let profile = h.profile().await;
    h.indexed(&profile, TEXTS[0], Some(&[1.0])).await;
    let tea = h.indexed(&profile, TEXTS[1], Some(&[0.0, 1.0])).await;
    let query = IndexQuery {
        limit: 1,
        ..meaning(&[0.1, 0.9])
    };
    assert_eq!(h.found(&profile, &query).await, [tea]);
}

async fn one_hit_carries_both_scores(h: &IndexHarness) {
    let profile = h.profile().await;
    let dog = h.indexed(&profile, TEXTS[0], Some(&[1.0])).await;
    let tea = h.indexed(&profile, TEXTS[1], Some(&[0.0, 1.0])).await;
    let hits = h.search(&profile, &both("dog", &[1.0, 1.0])).await;
    let [first, second] = hits[..] else {
        panic!("two memories, each once: {hits:?}")
    };
    assert_eq!((first.memory, second.memory), (dog, tea));
    assert!(first.bm25 > 0.0 && second.bm25 == 0.0, "{hits:?}");
    assert!(
        first.cosine.is_some() && second.cosine.is_some(),
        "{hits:?}"
    );
}

async fn a_cosine_is_exact(h: &IndexHarness) {
    let profile = h.profile().await;
    let asked = [0.3, -0.2, 0.9, 0.05, 0.0, 0.4, -0.7, 0.11];
    let vectors: [&[f32]; 4] = [
        &asked,
        &[-0.3, 0.2, -0.9, -0.05, 0.0, -0.4, 0.7, -0.11],
        &[0.0, 0.0, 1.0],
        &[5.0; 8],
    ];
    let mut ids = Vec::new();
    for (text, numbers) in TEXTS.iter().zip(vectors) {
        ids.push(h.indexed(&profile, text, Some(numbers)).await);
    }
    let hits = h.search(&profile, &meaning(&asked)).await;
    assert_eq!(hits.iter().map(|hit| hit.memory).collect::<Vec<_>>(), ids);
    for (hit, numbers) in hits.iter().zip(vectors) {
        let found = hit.cosine.expect("both have a vector");
        assert_close(found, cosine(&vector(&asked), &vector(numbers)));
    }
    assert_close(hits[0].cosine.unwrap(), 1.0);
    assert_close(hits[1].cosine.unwrap(), -1.0);
}

async fn bm25_is_exact_over_the_profile(h: &IndexHarness) {
    let (profile, other) = (h.profile().await, h.profile().await);
    let terms = TEXTS.map(Terms::of);
    let mut ids = Vec::new();
    for text in TEXTS {
        ids.push(h.indexed(&profile, text, Some(&[1.0])).await);
        // Another profile's texts must not move the statistics.
        h.indexed(
            &other,
            &format!("{text} Dog and tea again, and then some."),
            None,
        )
        .await;
    }
    for question in [
        "dog",
        "tea dog",
        "green tea in the morning",
        "cats and bread",
    ] {
        let query = words(question);
        let hits = h.search(&profile, &query).await;
        let expected: Vec<(MemoryId, f32)> = ids
            .iter()
            .zip(&terms)
            .map(|(id, document)| (*id, bm25(&query.terms, document, &terms)))
            .filter(|(_, score)| *score > 0.0)
            .collect();
        let found: Vec<_> = hits.iter().map(|hit| hit.memory).collect();
        assert_eq!(
            found,
            expected.iter().map(|e| e.0).collect::<Vec<_>>(),
            "{question}"
        );
        for (hit, (_, score)) in hits.iter().zip(expected) {
            assert_close(hit.bm25, score);
            assert_eq!(hit.cosine, None, "the question has no vector");
        }
    }
}

async fn an_empty_query_finds_nothing(h: &IndexHarness) {
    let profile = h.profile().await;
    h.indexed(&profile, TEXTS[0], Some(&[1.0])).await;
    assert!(
        h.search(&profile, &words("and who are you?"))
            .await
            .is_empty()
    );
}

async fn words_that_nobody_said_find_nothing(h: &IndexHarness) {
    let profile = h.profile().await;
    h.indexed(&profile, TEXTS[0], Some(&[1.0])).await;
    assert!(h.search(&profile, &words("submarine")).await.is_empty());
}

async fn an_empty_profile_has_nothing_to_find(h: &IndexHarness) {
    let profile = h.profile().await;
    assert!(h.search(&profile, &both("dog", &[1.0])).await.is_empty());
    assert!(h.entries(&profile).await.is_empty());
}

async fn an_entry_without_a_vector_is_found_by_words(h: &IndexHarness) {
    let profile = h.profile().await;
    let plain = h.indexed(&profile, TEXTS[0], None).await;
    let rich = h.indexed(&profile, TEXTS[2], Some(&[1.0])).await;
    assert_eq!(h.found(&profile, &meaning(&[1.0])).await, [rich]);
    let hits = h.search(&profile, &both("dog", &[1.0])).await;
    let cosines: Vec<_> = hits
        .iter()
        .map(|hit| (hit.memory, hit.cosine.is_some()))
        .collect();
    assert_eq!(cosines, [(plain, false), (rich, true)]);
}

async fn the_limit_holds_for_each_kind(h: &IndexHarness) {
    let profile = h.profile().await;
    let by_words = h.indexed(&profile, "dog", Some(&[0.0, 1.0])).await;
    let by_meaning = h.indexed(&profile, "tea", Some(&[1.0])).await;
    h.indexed(
        &profile,
        "dog and some more words to make it long",
        Some(&[0.5, 0.5]),
    )
    .await;
    let hits = h
        .search(
            &profile,
            &IndexQuery {
                limit: 1,
                ..both("dog", &[1.0])
            },
        )
        .await;
    let found: Vec<IndexHit> = hits.clone();
    assert_eq!(
        found.iter().map(|f| f.memory).collect::<Vec<_>>(),
        [by_words, by_meaning]
    );
    assert!(
        hits[0].bm25 > 0.0 && hits[0].cosine.is_some(),
        "scored by both all the same"
    );
}

async fn a_limit_of_nought_finds_nothing(h: &IndexHarness) {
    let profile = h.profile().await;
    h.indexed(&profile, TEXTS[0], Some(&[1.0])).await;
    let query = IndexQuery {
        limit: 0,
        ..both("dog", &[1.0])
    };
    assert!(h.search(&profile, &query).await.is_empty());
}

async fn the_best_of_many_are_found(h: &IndexHarness) {
    let profile = h.profile().await;
    let mut entries = Vec::new();
    for n in 0..300_u16 {
        let text = format!("memory number {n}");
        let angle = f32::from(n) * 0.01;
        let numbers = [angle.cos(), angle.sin()];
        entries.push(entry(
            h.memory(&profile, &text).await,
            &text,
            Some(&numbers),
        ));
    }
    let expected: Vec<_> = entries[..10].iter().map(|e| e.memory).collect();
    let last = entries[299].memory;
    h.upsert(&profile, entries).await;
    assert_eq!(h.found(&profile, &meaning(&[1.0])).await, expected);
    assert_eq!(h.found(&profile, &words("299")).await, [last]);
    assert_eq!(h.entries(&profile).await.len(), 300);
}
