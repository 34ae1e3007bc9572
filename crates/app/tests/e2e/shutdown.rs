//! SIGTERM: what runs may come to its end, is cut off then, and the process is gone in time.

use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::Server;
use crate::model_server::ModelServer;
use crate::wait::until;

/// Far less than it would take to wait for what runs, and far more than the few seconds that are promised.
pub(crate) const IN_TIME: Duration = Duration::from_secs(20);

/// A question whose answer takes minutes.
fn endless() -> Value {
    json!({"message": format!("[slow] {}", "word ".repeat(1500))})
}

/// A server that lets what runs go on for so many seconds.
async fn with_patience(model: &ModelServer, seconds: &str) -> Server {
    Server::start(&[
        ("OPENAI_BASE_URL", &model.base),
        ("OPENAI_MODEL", "stand-in"),
        ("MEMORYCHAT_DRAIN_SECONDS", seconds),
    ])
    .await
}

#[tokio::test]
async fn fifty_open_streams_are_told_and_what_there_is_of_their_answers_is_stored() {
    let model = ModelServer::start().await;
    let mut server = with_patience(&model, "2").await;
    let mut ada = server.sign_up("ada").await;
    let (mut sessions, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        let session = ada.session("normal").await;
        let path = format!("/api/v1/chat/{session}/stream");
        let asked = ada.request(Method::POST, &path).json(&endless()).send();
        streams.push(asked.await.expect("a stream"));
        sessions.push(session);
    }
    let begun = Instant::now();
    server.terminate();
    for stream in join_all(streams.into_iter().map(reqwest::Response::text)).await {
        let text = stream.expect("a whole body");
        let last = text.trim_end().rsplit("data: ").next().unwrap_or_default();
        let told: Value = serde_json::from_str(last).expect("an event");
        assert_eq!(
            told,
            json!({
                "success": false,
                "type": "error",
                "error": "The service is restarting. Try again in a moment.",
                "error_type": "shutting_down",
            })
        );
    }
    assert!(server.wait(), "it ended well");
    assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());

    let server = server.restart_after_kill().await;
    ada.base.clone_from(&server.base);
    for session in sessions {
        let messages = ada.messages(&session).await;
        assert_eq!(messages[0]["status"], "complete");
        assert_eq!(messages[1]["status"], "interrupted", "{messages:?}");
        let partial = messages[1]["content"].as_str().expect("content");
        assert!(partial.starts_with("You said: [slow] word"), "{partial}");
        // It was stored by who wrote it, not found at the start and marked.
        let finish = &messages[1]["metadata"]["finish_reason"];
        assert_eq!(*finish, "interrupted", "{messages:?}");
    }
}

#[tokio::test]
async fn who_waits_for_the_first_word_is_told_and_keeps_the_question() {
    let model = ModelServer::start().await;
    let mut server = with_patience(&model, "1").await;
    let mut ada = server.sign_up("ada").await;
    let sessions = [ada.session("normal").await, ada.session("normal").await];
    let begun = Instant::now();
    let asked = ["", "/stream"]
        .iter()
        .zip(&sessions)
        .map(|(kind, session)| {
            let path = format!("/api/v1/chat/{session}{kind}");
            let ada = &ada;
            async move { ada.post(&path, &json!({"message": "[mute] Hello?"})).await }
        });
    let stopped = async {
        model.wait_for_chats(sessions.len()).await;
        server.terminate();
    };
    let (answers, ()) = futures::join!(join_all(asked), stopped);
    for answer in answers {
        answer.is_problem(503, "shutting_down");
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert!(server.wait(), "it ended well");
    assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());

    let server = server.restart_after_kill().await;
    ada.base.clone_from(&server.base);
    for session in sessions {
        let messages = ada.messages(&session).await;
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert_eq!(messages[0]["status"], "complete");
    }
}

#[tokio::test]
async fn a_question_whose_end_comes_after_the_signal_is_refused() {
    let model = ModelServer::start().await;
    let mut server = with_patience(&model, "5").await;
    let ada = server.sign_up("ada").await;
    let sessions = [ada.session("normal").await, ada.session("normal").await];
    let path = format!("/api/v1/chat/{}", sessions[0]);
    let running = json!({"message": "[mute] Hello?"});
    let body = json!({"message": "Good morning!"}).to_string();
    let head = format!(
        "POST /api/v1/chat/{} HTTP/1.1\r\nHost: memorychat\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        sessions[1],
        ada.token.as_deref().expect("a token"),
        body.len()
    );
    let late = async {
        model.wait_for_chats(1).await;
        let address = ada.base.trim_start_matches("http://");
        let mut wire = TcpStream::connect(address).await.expect("connected");
        wire.write_all(head.as_bytes()).await.expect("sent");
        let mut go_on = [0; 25];
        wire.read_exact(&mut go_on).await.expect("an answer");
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        server.terminate();
        is_closed(&server).await;
        wire.write_all(body.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        wire.read_to_string(&mut answer).await.expect("an answer");
        answer
    };
    let (_, answer) = futures::join!(ada.post(&path, &running), late);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\"code\":\"shutting_down\""), "{answer}");
    assert!(server.wait(), "it ended well");
    assert_eq!(model.chats().len(), 1, "the model was not asked");
}

/// Waits until nobody new is let in.
async fn is_closed(server: &Server) {
    until("the port is closed", async || {
        let stranger = server.anonymous();
        let answer = stranger.request(Method::GET, "/healthz").send();
        answer.await.is_err()
    })
    .await;
}

#[tokio::test]
async fn a_second_signal_ends_the_server_at_once() {
    let model = ModelServer::start().await;
    let mut server = Server::with_model(&model).await;
    let ada = server.sign_up("ada").await;
    let session = ada.session("normal").await;
    let path = format!("/api/v1/chat/{session}/stream");
    let asked = ada.request(Method::POST, &path).json(&endless()).send();
    let _stream = asked.await.expect("a stream");
    let begun = Instant::now();
    server.terminate();
    is_closed(&server).await;
    assert!(server.is_alive(), "the answer may come to its end");
    server.terminate();
    assert!(!server.wait(), "it was cut short");
    assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
}
