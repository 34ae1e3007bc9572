//! Turns over HTTP: what is on the wire, and what a lost client means.

use std::time::Duration;

use domain::chat::ModelError;
use domain::session::FinishReason;
use reqwest::header::{CACHE_CONTROL, CONTENT_TYPE};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use testkit::fakes::{Play, ScriptedChatModel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{TestServer, User, start, start_with};

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

async fn stream(ada: &User<'_>, session: &str, text: &str) -> Response {
    let path = format!("/chat/{session}/stream");
    let request = ada
        .request(Method::POST, &path)
        .json(&json!({"message": text}));
    request.send().await.unwrap()
}

/// The payloads of a whole stream, without heartbeats.
async fn events(response: Response) -> Vec<String> {
    assert_eq!(response.status(), StatusCode::OK);
    let text = response.text().await.unwrap();
    assert!(text.ends_with("\n\n"), "{text}");
    let blocks = text
        .trim_end()
        .split("\n\n")
        .filter(|block| *block != ": hb");
    blocks
        .map(|block| {
            assert!(!block.contains('\n'), "one event, one line: {block}");
            block
                .strip_prefix("data: ")
                .expect("a data line")
                .to_owned()
        })
        .collect()
}

fn parse(event: &str) -> Value {
    serde_json::from_str(event).unwrap()
}

#[tokio::test]
async fn a_stream_is_metadata_content_complete_and_done() {
    let say = Play::Say(
        words(&["Your dog ", "is \"Rex\"\n."]),
        FinishReason::Stop,
        None,
    );
    let server = start_with(ScriptedChatModel::always(say));
    let ada = server.user("ada@example.org").await;
    let session = ada.session("normal").await;
    let response = stream(&ada, &session, "What is my dog called?").await;
    assert_eq!(response.headers()[CACHE_CONTROL], "no-cache");
    assert_eq!(response.headers()["X-Accel-Buffering"], "no");
    assert!(
        response.headers()[CONTENT_TYPE]
            .to_str()
            .unwrap()
            .starts_with("text/event-stream")
    );
    let events = events(response).await;
    let start = format!(
        r#"{{"success":true,"type":"metadata","session_id":"{session}","privacy_mode":"normal","memories_used":0,"#
    );
    assert!(events[0].starts_with(&start), "{}", events[0]);
    assert_eq!(
        events[1],
        r#"{"success":true,"type":"content","content":"Your dog ","done":false}"#
    );
    assert_eq!(
        events[2],
        r#"{"success":true,"type":"content","content":"is \"Rex\"\n.","done":false}"#
    );
    let complete = r#"{"success":true,"type":"complete","memories_extracted":true,"#;
    assert!(events[3].starts_with(complete), "{}", events[3]);
    assert_eq!(events[4..], ["[DONE]"]);
    let messages = ada.settled_messages(&session, 2).await;
    assert_eq!(parse(&events[0])["user_message_id"], messages[0]["id"]);
    assert_eq!(parse(&events[3])["assistant_message_id"], messages[1]["id"]);
    assert_eq!(messages[1]["content"], "Your dog is \"Rex\"\n.");
}

#[tokio::test]
async fn memories_are_learned_in_normal_mode_with_a_profile_only() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    for (mode, learned) in [
        ("normal", true),
        ("pause_memories", false),
        ("incognito", false),
    ] {
        let session = ada.session(mode).await;
        let whole = ada
            .post(
                &format!("/chat/{session}"),
                &json!({"message": "hello"}),
                StatusCode::OK,
            )
            .await;
        assert_eq!(whole["memories_extracted"], learned, "{mode}");
        assert_eq!(whole["privacy_mode"], mode);
        let events = events(stream(&ada, &session, "hello").await).await;
        let complete = parse(&events[events.len() - 2]);
        assert_eq!(complete["memories_extracted"], learned, "{mode}");
    }
    let session = ada.session("normal").await;
    let detach = json!({"memory_profile_id": null});
    ada.send(
        Method::PUT,
        &format!("/sessions/{session}"),
        &detach,
        StatusCode::OK,
    )
    .await;
    let turn = ada
        .post(
            &format!("/chat/{session}"),
            &json!({"message": "hello"}),
            StatusCode::OK,
        )
        .await;
    assert_eq!(turn["memories_extracted"], false);
}

#[tokio::test]
async fn a_refusal_before_the_first_byte_is_a_problem() {
    let server = start_with(ScriptedChatModel::always(Play::Refuse(|| {
        ModelError::Timeout
    })));
    let ada = server.user("ada@example.org").await;
    let session = ada.session("normal").await;
    for path in [
        format!("/chat/{session}"),
        format!("/chat/{session}/stream"),
    ] {
        let request = ada
            .request(Method::POST, &path)
            .json(&json!({"message": "hello"}));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["code"], "model_timeout");
    }
}

#[tokio::test]
async fn a_failure_after_the_first_byte_is_the_error_event_and_the_end() {
    let server = start_with(ScriptedChatModel::always(Play::BreakOff(words(&[
        "Your ", "dog",
    ]))));
    let ada = server.user("ada@example.org").await;
    let session = ada.session("normal").await;
    let events = events(stream(&ada, &session, "hello").await).await;
    assert_eq!(events.len(), 4, "{events:?}");
    let error = r#"{"success":false,"type":"error","error":"The model broke off its answer.","error_type":"model_interrupted"}"#;
    assert_eq!(events[3], error);
    let messages = ada.settled_messages(&session, 2).await;
    assert_eq!(messages[1]["status"], "interrupted");
    assert_eq!(messages[1]["content"], "Your dog");
}

#[tokio::test]
async fn a_whole_answer_that_breaks_off_is_a_problem_and_kept_as_interrupted() {
    let server = start_with(ScriptedChatModel::always(Play::BreakOff(words(&[
        "Your ", "dog",
    ]))));
    let ada = server.user("ada@example.org").await;
    let session = ada.session("normal").await;
    let body = json!({"message": "hello"});
    let problem = ada
        .post(&format!("/chat/{session}"), &body, StatusCode::BAD_GATEWAY)
        .await;
    assert_eq!(problem["code"], "model_interrupted");
    let messages = ada.settled_messages(&session, 2).await;
    assert_eq!(messages[1]["status"], "interrupted");
}

#[tokio::test]
async fn a_message_that_breaks_a_rule_is_refused_before_anything_happens() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let session = ada.session("normal").await;
    for text in ["", " \n ", "a\0b", &"x".repeat(10_001)] {
        let path = format!("/chat/{session}/stream");
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        let problem = ada.post(&path, &json!({"message": text}), status).await;
        assert_eq!(problem["errors"][0]["pointer"], "/message");
    }
    assert!(server.model.prompts().is_empty());
    assert!(ada.settled_messages(&session, 0).await.is_empty());
}

#[tokio::test]
async fn a_strangers_session_is_unknown_and_no_model_is_asked() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let bob = server.user("bob@example.org").await;
    for mode in ["normal", "incognito"] {
        let session = ada.session(mode).await;
        for path in [
            format!("/chat/{session}"),
            format!("/chat/{session}/stream"),
        ] {
            let body = json!({"message": "hello"});
            let problem = bob.post(&path, &body, StatusCode::NOT_FOUND).await;
            assert_eq!(problem["code"], "session_not_found");
        }
    }
    assert!(server.model.prompts().is_empty());
}

#[tokio::test]
async fn a_failing_recall_is_told_and_does_not_fail_the_turn() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let session = ada.session("normal").await;
    server.index.reads.always();
    let events = events(stream(&ada, &session, "hello").await).await;
    assert_eq!(parse(&events[0])["recall"], "failed");
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
}

#[tokio::test]
async fn silence_is_filled_with_heartbeats() {
    let server = start_with(ScriptedChatModel::always(Play::Hang(words(&["Your"]))));
    let ada = server.user("ada@example.org").await;
    let session = ada.session("incognito").await;
    let mut response = stream(&ada, &session, "hello").await;
    let mut seen = String::new();
    while !seen.ends_with(": hb\n\n: hb\n\n") {
        let chunk = response.chunk().await.unwrap().expect("the stream goes on");
        seen.push_str(std::str::from_utf8(&chunk).unwrap());
    }
}

/// Opens a stream by hand and reads until `until` has come; dropping the socket is hanging up.
async fn hold(server: &TestServer, ada: &User<'_>, path: &str, until: &str) -> TcpStream {
    let body = r#"{"message":"hello"}"#;
    let (address, token) = (server.address(), &ada.token);
    let request = format!(
        "POST /api/v1{path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(until) {
        let read = socket.read_buf(&mut seen).await.unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&seen));
    }
    socket
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn hanging_up_in_incognito_stops_the_model() {
    let server = start_with(ScriptedChatModel::always(Play::Hang(words(&["Your"]))));
    let ada = server.user("ada@example.org").await;
    let session = ada.session("incognito").await;
    let socket = hold(&server, &ada, &format!("/chat/{session}/stream"), "Your").await;
    assert_eq!(server.model.running(), 1);
    drop(socket);
    until(|| server.model.running() == 0).await;
}

#[tokio::test]
async fn hanging_up_in_normal_mode_does_not_lose_the_answer() {
    // More than channel and sockets hold: the turn cannot end before its client has left.
    let pieces = vec!["w ".to_owned(); 100_000];
    let say = Play::Say(pieces.clone(), FinishReason::Stop, None);
    let server = start_with(ScriptedChatModel::always(say));
    let ada = server.user("ada@example.org").await;
    let session = ada.session("normal").await;
    let path = format!("/chat/{session}/stream");
    let socket = hold(&server, &ada, &path, "metadata").await;
    assert_eq!(server.model.running(), 1);
    drop(socket);
    let messages = ada.settled_messages(&session, 2).await;
    assert_eq!(messages[1]["content"], pieces.concat());
    assert_eq!(messages[1]["status"], "complete");
}

#[tokio::test]
async fn hanging_up_before_the_first_word_stops_an_incognito_turn_and_no_other() {
    let server = start_with(ScriptedChatModel::always(Play::Hang(Vec::new())));
    let ada = server.user("ada@example.org").await;
    for tail in ["", "/stream"] {
        let before = server.model.running();
        let mut sockets = Vec::new();
        for (n, mode) in ["normal", "incognito"].into_iter().enumerate() {
            let path = format!("/chat/{}{tail}", ada.session(mode).await);
            sockets.push(hold(&server, &ada, &path, "").await);
            until(|| server.model.running() == before + n + 1).await;
        }
        drop(sockets);
        until(|| server.model.running() == before + 1).await;
        ada.get("/sessions").await;
        assert_eq!(server.model.running(), before + 1);
    }
}
