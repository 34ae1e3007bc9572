//! Replicas behind the proxy of `deploy/nginx.conf`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use reqwest::{Client, Method, StatusCode};
use serde_json::json;
use testkit::nginx::Nginx;

use super::Installation;
use crate::harness::{Caller, Server};

fn port(server: &Server) -> u16 {
    let port = server.base.rsplit(':').next().expect("a port");
    port.parse().expect("a number")
}

#[tokio::test]
async fn the_proxy_passes_on_all_but_the_numbers_and_goes_on_with_one_replica() {
    let Some(installation) = Installation::start().await else {
        return;
    };
    let (mut one, two) = installation
        .pair(&[("MEMORYCHAT_TRUSTED_PROXIES", "127.0.0.1")])
        .await;
    let Some(proxy) = Nginx::before(port(&one), port(&two)) else {
        return;
    };
    let ada = Caller {
        base: proxy.base().to_owned(),
        ..one.sign_up("ada").await
    };
    let session = ada.session("normal").await;
    streams_arrive_word_by_word(&ada, &session).await;

    for path in [
        "/metrics",
        "//metrics",
        "/%6detrics",
        "/metrics?x",
        "/./metrics",
    ] {
        let answer = ada.get(path).await;
        assert_eq!(
            answer.status,
            StatusCode::NOT_FOUND,
            "{path}: {}",
            answer.text
        );
    }
    for server in [&one, &two] {
        server.anonymous().get("/metrics").await.expect_ok();
    }
    // Bodies and answers of methods that nginx may not repeat come through.
    let path = format!("/api/v1/sessions/{session}");
    let body = json!({"privacy_mode": "pause_memories"});
    let changed = ada.send(ada.request(Method::PUT, &path).json(&body)).await;
    assert_eq!(
        changed.expect(StatusCode::OK)["privacy_mode"],
        "pause_memories"
    );
    let other = ada.session("normal").await;
    let gone = format!("/api/v1/sessions/{other}");
    ada.delete(&gone).await.expect_ok();
    ada.delete(&gone).await.is_problem(404, "session_not_found");

    one.kill();
    for _ in 0..6 {
        ada.chat(&session, "Are you there?").await;
        ada.get(&path).await.expect_ok();
    }
}

/// An answer of eight words that takes a second comes in more than a few pieces.
async fn streams_arrive_word_by_word(ada: &Caller, session: &str) {
    let slow = json!({"message": "[slow] one two three four five six seven eight"});
    let path = format!("/api/v1/chat/{session}/stream");
    let asked = ada.request(Method::POST, &path).json(&slow);
    let mut stream = asked.send().await.expect("a stream");
    let (mut pieces, mut text) = (0, Vec::new());
    while let Some(piece) = stream.chunk().await.expect("a piece") {
        pieces += 1;
        text.extend_from_slice(&piece);
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(text.trim_end().ends_with("data: [DONE]"), "{text}");
    assert!(pieces >= 5, "{pieces} pieces: {text}");
}

/// A replica that reads each request and breaks off; how many it has read.
fn breaks_off() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let read = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&read);
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            if client.read(&mut [0; 4096]).is_ok_and(|bytes| bytes > 0) {
                count.fetch_add(1, Ordering::SeqCst);
            }
            let _ = client.flush();
            let _ = client.shutdown(Shutdown::Both);
        }
    });
    (port, read)
}

#[tokio::test]
async fn what_may_have_been_done_is_not_sent_again() {
    // Each of them is left alone for a while after two failures, so each method gets a fresh pair.
    for (method, path, sent) in [
        (Method::DELETE, "/api/v1/sessions/1", 1),
        (Method::PUT, "/api/v1/sessions/1", 1),
        (Method::PATCH, "/api/v1/sessions/1", 1),
        (Method::POST, "/api/v1/sessions", 1),
        (Method::POST, "/api/v1/chat/1", 1),
        (Method::GET, "/api/v1/sessions/1", 2),
    ] {
        let ((one, first), (two, second)) = (breaks_off(), breaks_off());
        let Some(proxy) = Nginx::before(one, two) else {
            return;
        };
        let url = format!("{}{path}", proxy.base());
        let request = Client::new().request(method.clone(), url).body("{}");
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY, "{method} {path}");
        let read = first.load(Ordering::SeqCst) + second.load(Ordering::SeqCst);
        assert_eq!(read, sent, "{method} {path}");
    }
}
