//! `kill -9` at the worst moments, then a restart.

use std::time::Duration;

use futures::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::{Caller, Server};
use crate::model_server::ModelServer;
use crate::wait::until;

/// Asks for a stream, and hangs up after its first bytes.
async fn ask_and_leave(caller: &Caller, session: &str) {
    let body = json!({"message": "[slow] one two three four five six"});
    let path = format!("/api/v1/chat/{session}/stream");
    let asked = caller.request(Method::POST, &path).json(&body).send();
    let mut stream = asked.await.expect("stream").bytes_stream();
    stream.next().await.expect("first").expect("bytes");
}

/// A server that soon gives up what another one, or its own former life, does not go on with.
async fn impatient(model: &ModelServer) -> Server {
    Server::start(&[
        ("OPENAI_BASE_URL", &model.base),
        ("OPENAI_MODEL", "stand-in"),
        ("MEMORYCHAT_STALE_AFTER_SECONDS", "2"),
        ("MEMORYCHAT_JOB_LEASE_SECONDS", "3"),
    ])
    .await
}

#[tokio::test]
async fn killed_during_a_stream_the_question_stays_and_the_answer_is_marked() {
    let model = ModelServer::start().await;
    let server = impatient(&model).await;
    let mut ada = server.sign_up("ada").await;
    let session = ada.session("normal").await;
    ada.chat(&session, "First question").await;

    let words =
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen";
    let body = json!({"message": format!("[slow] {words} {words}")});
    let path = format!("/api/v1/chat/{session}");
    let request = ada
        .request(Method::POST, &format!("{path}/stream"))
        .header("Idempotency-Key", "second")
        .json(&body);
    let mut stream = request.send().await.expect("stream").bytes_stream();
    let mut received = String::new();
    while received.matches("\"type\":\"content\"").count() < 10 {
        let bytes = stream.next().await.expect("more").expect("bytes");
        received.push_str(&String::from_utf8_lossy(&bytes));
    }
    let server = server.restart_after_kill().await;
    ada.base.clone_from(&server.base);

    // A server that is alone sees at its start what was cut off; one of several waits for a sign of life.
    until("the answer is given up", async || {
        let stored = ada.messages(&session).await;
        stored.last().is_some_and(|m| m["status"] != "streaming")
    })
    .await;
    let stored = ada.messages(&session).await;
    let shape: Vec<_> = stored
        .iter()
        .map(|m| (m["role"].as_str(), m["status"].as_str()))
        .collect();
    let expected = [
        ("user", "complete"),
        ("assistant", "complete"),
        ("user", "complete"),
        ("assistant", "interrupted"),
    ];
    assert_eq!(
        shape,
        expected.map(|(role, status)| (Some(role), Some(status)))
    );
    assert_eq!(stored[2]["content"], body["message"]);
    let partial = stored[3]["content"].as_str().expect("content");
    assert!(
        partial.starts_with("You said:"),
        "what had come was kept: {partial:?}"
    );

    // Sent again, the question is answered as the one it was.
    let answer = ada.post_named(&path, &body, "second").await;
    let answer = answer.expect(StatusCode::OK);
    assert_eq!(answer["user_message"]["id"], stored[2]["id"]);
    let whole = format!("You said: {}", body["message"].as_str().expect("text"));
    assert_eq!(answer["content"], whole);
    let stored = ada.messages(&session).await;
    assert_eq!(stored.len(), 4, "{stored:?}");
    assert_eq!(stored[3], answer["assistant_message"]);
    // The session goes on.
    ada.chat(&session, "Still there?").await;
}

#[tokio::test]
async fn killed_between_turn_and_learning_nothing_is_lost_or_doubled() {
    let model = ModelServer::start().await;
    let mut server = impatient(&model).await;
    let mut ada = server.sign_up("ada").await;
    let profile = ada.default_profile().await;
    let session = ada.session("normal").await;
    for round in 0..4 {
        let answer = ada
            .chat(
                &session,
                &format!("My lucky number {round} is {round}{round}."),
            )
            .await;
        assert_eq!(answer["memories_extracted"], true);
        // At once, and a little later: before, in the middle of, and after the job.
        tokio::time::sleep(Duration::from_millis(40 * round)).await;
        server = server.restart_after_kill().await;
        ada.base.clone_from(&server.base);
    }
    let mut memories = ada.wait_for_memories(&profile, 4).await;
    memories.sort();
    memories.dedup();
    assert_eq!(memories.len(), 4, "doubled: {memories:?}");
    let metrics = ada.get("/metrics").await.text;
    assert!(
        metrics.lines().any(|line| line == "jobs_dead 0"),
        "{metrics}"
    );
    for message in ada.messages(&session).await {
        assert_eq!(message["status"], "complete");
    }
}

#[tokio::test]
async fn a_signal_lets_a_running_turn_end() {
    let model = ModelServer::start().await;
    let mut server = Server::with_model(&model).await;
    let ada = server.sign_up("ada").await;
    let session = ada.session("normal").await;
    let body = json!({"message": "[slow] one two three four five six seven eight nine ten"});
    let request = ada
        .request(Method::POST, &format!("/api/v1/chat/{session}/stream"))
        .json(&body);
    let response = request.send().await.expect("stream");
    let reading = tokio::task::spawn_blocking(move || server.stop().then_some(server));
    let text = response.text().await.expect("whole");
    assert!(text.trim_end().ends_with("data: [DONE]"), "{text}");
    let stopped = reading.await.expect("joined");
    assert!(stopped.is_some(), "it ended well");
}

#[tokio::test]
async fn a_signal_lets_a_turn_end_that_nobody_listens_to() {
    let model = ModelServer::start().await;
    let mut server = Server::with_model(&model).await;
    let mut ada = server.sign_up("ada").await;
    let session = ada.session("normal").await;
    ask_and_leave(&ada, &session).await;
    server.terminate();
    let stopped = tokio::task::spawn_blocking(move || server.wait().then_some(server));
    let server = stopped.await.expect("joined").expect("it ended well");
    let server = server.restart_after_kill().await;
    ada.base.clone_from(&server.base);
    let stored = ada.messages(&session).await;
    assert_eq!(stored[1]["status"], "complete", "{stored:?}");
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_lose_its_answer() {
    let model = ModelServer::start().await;
    let server = Server::with_model(&model).await;
    let ada = server.sign_up("ada").await;
    let session = ada.session("normal").await;
    ask_and_leave(&ada, &session).await;
    until("the answer is whole", async || {
        let stored = ada.messages(&session).await;
        stored.len() == 2 && stored[1]["status"] == "complete"
    })
    .await;
    let stored = ada.messages(&session).await;
    let content = stored[1]["content"].as_str().expect("content");
    assert!(content.ends_with("six"), "{content}");
}
