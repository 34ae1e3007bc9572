//! The contract of [`Embedder`].

use std::future::Future;
use std::sync::Arc;

use domain::memory::{Embedder, Embedding, EmbeddingPurpose};

use super::{Case, race};

type Harness = Arc<dyn Embedder>;

const CASES: &[Case<Harness>] = cases![
    every_vector_has_the_length_of_the_space,
    vectors_come_in_the_order_of_the_texts,
    a_text_has_one_vector,
    what_is_alike_is_nearer,
    no_texts_have_no_vectors,
    a_long_text_is_cut_and_not_refused,
    odd_texts_have_vectors,
    parallel_calls_do_not_mix,
];

/// Checks an embedder; cases may share one, since it keeps nothing that counts.
pub async fn check<Fut: Future<Output = Arc<dyn Embedder>>>(fresh: impl Fn() -> Fut) {
    super::run("embedder", CASES, fresh).await;
}

const TEXTS: [&str; 3] = [
    "The dog is called Rex.",
    "My dog is named Rex.",
    "Revenue grew in the second quarter.",
];

async fn embed(embedder: &Harness, texts: &[&str], purpose: EmbeddingPurpose) -> Vec<Embedding> {
    let texts = texts.iter().map(|text| (*text).to_owned()).collect();
    embedder.embed(texts, purpose).await.unwrap()
}

async fn documents(embedder: &Harness, texts: &[&str]) -> Vec<Embedding> {
    embed(embedder, texts, EmbeddingPurpose::Document).await
}

fn cosine(a: &Embedding, b: &Embedding) -> f32 {
    a.values().iter().zip(b.values()).map(|(x, y)| x * y).sum()
}

fn assert_same(a: &Embedding, b: &Embedding) {
    for (x, y) in a.values().iter().zip(b.values()) {
        assert!((x - y).abs() < 1e-5, "{x} is not {y}");
    }
}

async fn every_vector_has_the_length_of_the_space(embedder: &Harness) {
    for purpose in [EmbeddingPurpose::Query, EmbeddingPurpose::Document] {
        for vector in embed(embedder, &TEXTS, purpose).await {
            assert_eq!(vector.dimension(), embedder.space().dimension);
        }
    }
    assert!(!embedder.space().model.is_empty());
}

async fn vectors_come_in_the_order_of_the_texts(embedder: &Harness) {
    // Lengths that a batch would sort otherwise, and more of them than one batch holds.
    let texts: Vec<String> = (0..70_usize)
        .map(|n| format!("{n} {}", "word ".repeat(n * 7 % 11)))
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let together = documents(embedder, &texts).await;
    assert_eq!(together.len(), texts.len());
    for n in [0, 1, 33, 69] {
        assert_same(&together[n], &documents(embedder, &texts[n..=n]).await[0]);
    }
}

async fn a_text_has_one_vector(embedder: &Harness) {
    let first = documents(embedder, &[TEXTS[0]]).await;
    let second = documents(embedder, &[TEXTS[2], TEXTS[0], TEXTS[0]]).await;
    assert_same(&first[0], &second[1]);
    assert_same(&first[0], &second[2]);
}

async fn what_is_alike_is_nearer(embedder: &Harness) {
    let vectors = documents(embedder, &TEXTS).await;
    let (near, far) = (
        cosine(&vectors[0], &vectors[1]),
        cosine(&vectors[0], &vectors[2]),
    );
    assert!(near > far + 0.1, "{near} against {far}");
}

async fn no_texts_have_no_vectors(embedder: &Harness) {
    assert!(documents(embedder, &[]).await.is_empty());
}

async fn a_long_text_is_cut_and_not_refused(embedder: &Harness) {
    let long = "a very long story ".repeat(5_000);
    let vectors = documents(embedder, &[&long, TEXTS[0]]).await;
    assert_eq!(vectors.len(), 2);
    assert_same(&vectors[1], &documents(embedder, &[TEXTS[0]]).await[0]);
}

async fn odd_texts_have_vectors(embedder: &Harness) {
    let odd = [
        "😀",
        "?!",
        "茶が好きです。",
        "a\u{0}b",
        "\u{200B}x",
        "Zäh\nund\tlang",
    ];
    assert_eq!(documents(embedder, &odd).await.len(), odd.len());
}

async fn parallel_calls_do_not_mix(embedder: &Harness) {
    let expected = documents(embedder, &TEXTS).await;
    let answers = race((0..12_usize).map(|n| {
        let (embedder, text) = (Arc::clone(embedder), TEXTS[n % 3].to_owned());
        async move {
            (
                n % 3,
                embedder
                    .embed(vec![text], EmbeddingPurpose::Query)
                    .await
                    .unwrap()
                    .remove(0),
            )
        }
    }))
    .await;
    let mut queries: Vec<_> = answers.into_iter().collect();
    queries.sort_by_key(|(n, _)| *n);
    for pair in queries.chunks(4) {
        pair[1..]
            .iter()
            .for_each(|(_, vector)| assert_same(vector, &pair[0].1));
        let nearest = expected
            .iter()
            .enumerate()
            .max_by(|a, b| cosine(a.1, &pair[0].1).total_cmp(&cosine(b.1, &pair[0].1)));
        assert_eq!(nearest.map(|(n, _)| n), Some(pair[0].0));
    }
}
