//! The embedder with its real weights.

use std::collections::HashMap;
use std::sync::Arc;

use domain::memory::{Embedder, Embedding, EmbeddingPurpose};
use serde::Deserialize;

use crate::test_support::embedder;

#[derive(Deserialize)]
struct Reference {
    cases: Vec<ReferenceCase>,
}

#[derive(Deserialize)]
struct ReferenceCase {
    purpose: String,
    text: String,
    vector: Vec<f32>,
}

/// Vectors made by an independent implementation; the file says how.
fn reference() -> Vec<ReferenceCase> {
    let json = include_str!("../../fixtures/reference_vectors.json");
    serde_json::from_str::<Reference>(json).unwrap().cases
}

fn purpose(case: &ReferenceCase) -> EmbeddingPurpose {
    match case.purpose.as_str() {
        "query" => EmbeddingPurpose::Query,
        "document" => EmbeddingPurpose::Document,
        other => panic!("unknown purpose {other}"),
    }
}

fn assert_close(found: &Embedding, wanted: &[f32], what: &str) {
    assert_eq!(found.dimension(), wanted.len());
    let difference = found
        .values()
        .iter()
        .zip(wanted)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(difference <= 1e-5, "{what}: differs by {difference}");
}

fn cosine(a: &Embedding, b: &Embedding) -> f32 {
    a.values().iter().zip(b.values()).map(|(a, b)| a * b).sum()
}

#[tokio::test]
async fn it_keeps_the_contract() {
    let Some(embedder) = embedder().await else {
        return;
    };
    let shared = || {
        let embedder: Arc<dyn Embedder> = embedder.clone();
        std::future::ready(embedder)
    };
    testkit::contract::embedder::check(shared).await;
}

#[tokio::test]
async fn vectors_equal_the_reference() {
    let Some(embedder) = embedder().await else {
        return;
    };
    for case in reference() {
        let found = embedder
            .embed(vec![case.text.clone()], purpose(&case))
            .await
            .unwrap();
        assert_close(&found[0], &case.vector, &case.text);
    }
}

#[tokio::test]
async fn a_batch_of_unlike_texts_gives_each_its_own_vector_in_order() {
    let Some(embedder) = embedder().await else {
        return;
    };
    let wanted: HashMap<String, Vec<f32>> = reference()
        .into_iter()
        .filter(|case| case.purpose == "query")
        .map(|case| (case.text, case.vector))
        .collect();
    let mut texts: Vec<String> = wanted.keys().cloned().collect();
    texts.extend((0..40).map(|n| format!("filler number {n}")));
    texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
    let found = embedder
        .embed(texts.clone(), EmbeddingPurpose::Query)
        .await
        .unwrap();
    assert_eq!(found.len(), texts.len());
    for (text, found) in texts.iter().zip(&found) {
        if let Some(wanted) = wanted.get(text) {
            assert_close(found, wanted, text);
        }
    }
}

#[tokio::test]
async fn a_question_is_nearest_to_the_statement_that_answers_it() {
    let Some(embedder) = embedder().await else {
        return;
    };
    let texts = [
        "My dog is called Rex.",
        "I work as a nurse in Leipzig.",
        "The meeting is on Tuesday.",
    ];
    let documents = texts.map(str::to_owned).to_vec();
    let documents = embedder
        .embed(documents, EmbeddingPurpose::Document)
        .await
        .unwrap();
    let question = vec!["What is the name of my dog?".to_owned()];
    let question = &embedder
        .embed(question, EmbeddingPurpose::Query)
        .await
        .unwrap()[0];
    let scores: Vec<f32> = documents
        .iter()
        .map(|document| cosine(question, document))
        .collect();
    assert!(scores[0] > scores[1] && scores[0] > scores[2], "{scores:?}");
}

#[tokio::test]
async fn nothing_gives_nothing_and_an_empty_text_gives_a_vector() {
    let Some(embedder) = embedder().await else {
        return;
    };
    assert!(
        embedder
            .embed(Vec::new(), EmbeddingPurpose::Query)
            .await
            .unwrap()
            .is_empty()
    );
    let empty = embedder
        .embed(vec![String::new()], EmbeddingPurpose::Query)
        .await
        .unwrap();
    assert_eq!(empty[0].dimension(), embedder.space().dimension);
}

#[tokio::test]
async fn a_known_text_does_not_go_to_the_model_again() {
    let Some(embedder) = embedder().await else {
        return;
    };
    let text = "asked for twice".to_owned();
    let purpose = EmbeddingPurpose::Query;
    let first = embedder.embed(vec![text.clone()], purpose).await.unwrap();
    // A planted vector comes back: so it was the cache that answered, and not the model.
    let planted = Embedding::new(vec![1.0; 384]).unwrap();
    embedder.cache.insert(
        super::Cache::key(&text, super::max_tokens(purpose)),
        planted.clone(),
    );
    let second = embedder.embed(vec![text], purpose).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(second, [planted]);
}

#[test]
fn without_weights_there_is_no_embedder() {
    let folder = tempfile::tempdir().unwrap();
    let opened = super::LocalEmbedder::open(&crate::Models::new(folder.path()));
    assert!(matches!(
        opened.err(),
        Some(crate::LoadError::Missing { .. })
    ));
}

fn lengths(texts: &[usize]) -> Vec<Vec<usize>> {
    let wanted = texts.iter().enumerate();
    let wanted = wanted
        .map(|(place, n)| super::Wanted {
            place,
            text: "x".repeat(*n),
        })
        .collect();
    let lengths =
        |batch: Vec<super::Wanted>| batch.iter().map(|wanted| wanted.text.len()).collect();
    super::batches(wanted).into_iter().map(lengths).collect()
}

#[test]
fn neighbours_go_together_until_they_are_as_long_as_one_long_text() {
    assert_eq!(
        lengths(&[3000, 10, 1014, 1, 500, 523, 1, 4000, 20]),
        [
            vec![3000],
            vec![10, 1014],
            vec![1, 500, 523],
            vec![1],
            vec![4000],
            vec![20]
        ]
    );
    assert!(lengths(&[]).is_empty());
}

#[test]
fn a_pass_holds_at_most_32_texts() {
    let sizes: Vec<usize> = lengths(&[5; 70]).iter().map(Vec::len).collect();
    assert_eq!(sizes, [32, 32, 6]);
}
