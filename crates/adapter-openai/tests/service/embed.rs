//! Vectors from a service, and what it may get wrong.

use adapter_openai::OpenAiEmbedder;
use domain::memory::{EmbedError, Embedder, EmbeddingPurpose};
use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::script::*;

const ROUTE: &str = "/v1/embeddings";
/// What the scripted services take, in characters.
const WINDOW: usize = 100;

fn vector(text: &str) -> Value {
    let length = u16::try_from(text.len()).unwrap();
    let first = text.bytes().next().unwrap_or(0);
    json!([f32::from(length), f32::from(first), 1.0])
}

/// A service that answers backwards, as the order of the list promises nothing.
fn backwards(request: &Request) -> ResponseTemplate {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let texts: Vec<_> = body["input"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t.as_str().unwrap())
        .collect();
    if texts
        .iter()
        .any(|text| text.is_empty() || text.chars().count() > WINDOW)
    {
        return refusal(400, "context_length_exceeded", "too long, or empty");
    }
    let item = |(i, text): (usize, &&str)| json!({ "index": i, "embedding": vector(text), "object": "embedding" });
    let data: Vec<_> = texts.iter().enumerate().map(item).rev().collect();
    ResponseTemplate::new(200).set_body_json(json!({ "data": data, "usage": {} }))
}

pub(crate) async fn service() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(path(ROUTE))
        .respond_with(backwards)
        .mount(&server)
        .await;
    server
}

pub(crate) async fn embedder(server: &MockServer) -> Result<OpenAiEmbedder, EmbedError> {
    OpenAiEmbedder::connect(client(&server.uri()), "embed-1".to_owned()).await
}

async fn embed(embedder: &OpenAiEmbedder, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
    let vectors = embedder
        .embed(texts.to_vec(), EmbeddingPurpose::Document)
        .await?;
    Ok(vectors
        .iter()
        .map(|vector| vector.values().to_vec())
        .collect())
}

#[tokio::test]
async fn vectors_come_in_the_order_of_the_texts_batch_by_batch() {
    let server = service().await;
    let embedder = embedder(&server).await.unwrap();
    assert_eq!(
        (embedder.space().model.as_str(), embedder.space().dimension),
        ("embed-1", 3)
    );
    let texts: Vec<_> = (0..300).map(|i| "x".repeat(i % WINDOW + 1)).collect();
    let vectors = embed(&embedder, &texts).await.unwrap();
    assert_eq!(vectors.len(), 300);
    for (text, vector) in texts.iter().zip(&vectors) {
        let length = f32::from(u16::try_from(text.len()).unwrap());
        assert!(
            (vector[0] / vector[2] - length).abs() < 0.01,
            "{length}: {vector:?}"
        );
    }
    let calls = calls(&server).await;
    let sizes: Vec<_> = calls
        .iter()
        .map(|call| call["input"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [1, 128, 128, 44]);
    assert!(
        calls
            .iter()
            .all(|call| call["encoding_format"] == "float" && call["model"] == "embed-1")
    );
}

#[tokio::test]
async fn no_text_is_no_call() {
    let server = service().await;
    let embedder = embedder(&server).await.unwrap();
    assert!(embed(&embedder, &[]).await.unwrap().is_empty());
    assert_eq!(calls(&server).await.len(), 1);
}

#[tokio::test]
async fn a_text_that_is_too_long_is_cut_and_an_empty_one_has_a_vector_too() {
    let server = service().await;
    let embedder = embedder(&server).await.unwrap();
    let texts = ["é".repeat(1000), String::new(), "short".to_owned()];
    assert_eq!(embed(&embedder, &texts).await.unwrap().len(), 3);
    let calls = calls(&server).await;
    let last = calls.last().unwrap()["input"].as_array().unwrap();
    assert_eq!(last[0].as_str().unwrap().chars().count(), 62);
    assert_eq!(last[2], "short");
}

#[tokio::test]
async fn a_service_that_calls_everything_too_long_is_given_up() {
    let server = MockServer::start().await;
    script(
        &server,
        ROUTE,
        &[refusal(400, "context_length_exceeded", "")],
    )
    .await;
    assert!(matches!(
        embedder(&server).await,
        Err(EmbedError::Unavailable(_))
    ));
}

#[tokio::test]
async fn an_answer_that_does_not_fit_the_texts_is_an_error() {
    let item = |index: usize, vector: &[f32]| json!({ "index": index, "embedding": vector });
    let bad = [
        vec![item(0, &[1.0, 0.0])],
        vec![item(0, &[1.0, 0.0]), item(0, &[1.0, 0.0])],
        vec![item(1, &[1.0, 0.0]), item(2, &[1.0, 0.0])],
        vec![item(0, &[1.0, 0.0]), item(1, &[1.0, 0.0, 0.0])],
        vec![item(0, &[1.0, 0.0]), item(1, &[0.0, 0.0])],
        vec![item(0, &[1.0, 0.0]), item(1, &[])],
        vec![json!({ "index": 0, "embedding": SECRET })],
    ];
    for data in bad {
        let server = MockServer::start().await;
        let first =
            ResponseTemplate::new(200).set_body_json(json!({ "data": [item(0, &[1.0, 0.0])] }));
        let second = ResponseTemplate::new(200).set_body_json(json!({ "data": data }));
        script(&server, ROUTE, &[first, second]).await;
        let embedder = embedder(&server).await.unwrap();
        let error = embed(&embedder, &["a".to_owned(), "b".to_owned()])
            .await
            .unwrap_err();
        assert!(
            matches!(error, EmbedError::Unavailable(_)),
            "{data:?}: {error:?}"
        );
        assert!(!shown(&error).contains(SECRET));
    }
}

#[tokio::test]
async fn a_busy_service_is_called_again_and_then_called_busy() {
    let server = MockServer::start().await;
    script(&server, ROUTE, &[ResponseTemplate::new(429)]).await;
    assert!(matches!(embedder(&server).await, Err(EmbedError::Busy)));
    assert_eq!(calls(&server).await.len(), 3);
}
