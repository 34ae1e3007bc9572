//! The program with its index on a Qdrant server that goes away, comes back, and forgets.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::qdrant_server::QdrantServer;

use crate::harness::{Caller, Server};
use crate::model_server::ModelServer;

async fn serve(model: &ModelServer, qdrant: &QdrantServer) -> Server {
    Server::start(&[
        ("OPENAI_BASE_URL", &model.base),
        ("OPENAI_MODEL", "stand-in"),
        ("QDRANT_URL", &qdrant.url()),
    ])
    .await
}

/// Asks until the answer of a search is as wished: the index is mended in the background.
async fn until_found(caller: &Caller, profile: &str, query: &str, text: &str) -> Value {
    let path = format!("/api/v1/memory-profiles/{profile}/memories/search");
    for _ in 0..300 {
        let answer = caller.post(&path, &json!({ "query": query })).await;
        if answer.status == StatusCode::OK && answer.text.contains(text) {
            return answer.json();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let answer = caller.post(&path, &json!({ "query": query })).await;
    panic!("not found in time: {} {}", answer.status, answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_goes_on_without_its_index_and_says_so() {
    let model = ModelServer::start().await;
    let mut qdrant = QdrantServer::start();
    let server = serve(&model, &qdrant).await;
    let ada = server.sign_up("ada").await;
    let (profile, session) = (ada.default_profile().await, ada.session("normal").await);
    ada.chat(&session, "My dog is called Rex.").await;
    ada.wait_for_memories(&profile, 1).await;
    until_found(&ada, &profile, "dog", "called Rex.").await;
    let answer = ada.chat(&session, "What is my dog called?").await;
    assert_eq!(answer["recall"], "done", "{answer}");
    assert!(
        answer["memories"][0].to_string().contains("Rex"),
        "{answer}"
    );

    qdrant.stop();
    for _ in 0..4 {
        let begun = Instant::now();
        let answer = ada.chat(&session, "And what is it called now?").await;
        assert_eq!(answer["recall"], "failed", "{answer}");
        assert_eq!(answer["memories"], json!([]));
        assert!(
            begun.elapsed() < Duration::from_secs(3),
            "{:?}",
            begun.elapsed()
        );
    }
    let ready = ada.get("/readyz").await.expect(StatusCode::OK);
    assert_eq!(ready["status"], "ready", "{ready}");
    let check = &ready["checks"]["memory_index"];
    assert_eq!(
        (&check["ok"], &check["required"]),
        (&json!(false), &json!(false))
    );
    let path = format!("/api/v1/memory-profiles/{profile}/memories/search");
    let answer = ada.post(&path, &json!({"query": "dog"})).await;
    answer.is_problem(503, "index_unavailable");
    // What is said meanwhile is learned, and indexed when the server is back.
    ada.chat(&session, "My cat is called Mia.").await;
    ada.wait_for_memories(&profile, 2).await;

    qdrant.restart();
    until_found(&ada, &profile, "dog", "called Rex.").await;
    until_found(&ada, &profile, "cat", "called Mia.").await;
    assert_eq!(qdrant.total(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_at_the_start_is_met_later() {
    let model = ModelServer::start().await;
    let mut qdrant = QdrantServer::start();
    qdrant.stop();
    let server = serve(&model, &qdrant).await;
    let ada = server.sign_up("ada").await;
    let (profile, session) = (ada.default_profile().await, ada.session("normal").await);
    let answer = ada.chat(&session, "My dog is called Rex.").await;
    assert_eq!(answer["recall"], "failed", "{answer}");
    ada.wait_for_memories(&profile, 1).await;
    qdrant.restart();
    until_found(&ada, &profile, "dog", "called Rex.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_forgot_everything_is_filled_at_the_next_start() {
    let model = ModelServer::start().await;
    let qdrant = QdrantServer::start();
    let server = serve(&model, &qdrant).await;
    let mut ada = server.sign_up("ada").await;
    let (profile, session) = (ada.default_profile().await, ada.session("normal").await);
    ada.chat(&session, "My dog is called Rex.").await;
    ada.wait_for_memories(&profile, 1).await;
    until_found(&ada, &profile, "dog", "called Rex.").await;
    // Comparing leaves alone what changed less than a minute ago; here it was learned long ago.
    age_memories(&server).await;
    qdrant.lose_last_writes(usize::MAX);
    assert_eq!(qdrant.total(), 0);
    let server = server.restart_after_kill().await;
    ada.base.clone_from(&server.base);
    until_found(&ada, &profile, "dog", "called Rex.").await;
}

/// Makes every memory an hour old.
async fn age_memories(server: &Server) {
    use sea_orm::{ConnectionTrait, Database};
    let file = server.data.path().join("memorychat.db");
    let url = match &server.postgres {
        Some(postgres) => postgres.url().to_owned(),
        None => format!("sqlite://{}", file.display()),
    };
    let db = Database::connect(url).await.expect("the database");
    let schema = if server.postgres.is_some() { "mc." } else { "" };
    let sql = format!("update {schema}memories set updated_at = updated_at - 3600000000");
    db.execute_unprepared(&sql).await.expect("aged");
}
