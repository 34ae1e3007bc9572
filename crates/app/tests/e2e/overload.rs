//! More than the server can do, and a log that nobody reads: it goes on, and says no in good time.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::{Caller, Server, command};
use crate::model_server::ModelServer;

/// Much longer than it takes: only what hangs reaches it.
const NEVER: Duration = Duration::from_mins(2);

#[tokio::test]
async fn too_many_questions_are_refused_and_the_server_recovers() {
    let model = ModelServer::start().await;
    let mut server = Server::with_model(&model).await;
    let ada = server.sign_up("ada").await;
    let mut sessions = Vec::new();
    for _ in 0..150 {
        sessions.push(ada.session("normal").await);
    }
    let body = json!({"message": "[slow] one two three four five six"});
    let questions = sessions.iter().map(|session| {
        let path = format!("/api/v1/chat/{session}/stream");
        let request = ada.request(Method::POST, &path).json(&body);
        ada.send(request)
    });
    let answers = tokio::time::timeout(NEVER, futures::future::join_all(questions)).await;
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    for answer in answers.expect("every question gets an answer") {
        *statuses.entry(answer.status.as_u16()).or_default() += 1;
        match answer.status {
            StatusCode::OK => assert!(
                answer.text.trim_end().ends_with("[DONE]"),
                "{}",
                answer.text
            ),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                assert!(
                    answer.headers.contains_key("retry-after"),
                    "{}",
                    answer.text
                );
            }
            other => panic!("{other}: {}", answer.text),
        }
    }
    assert!(statuses[&200] > 0 && statuses.len() > 1, "{statuses:?}");
    ada.chat(&sessions[0], "Are you well?").await;
    assert!(server.is_alive());
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_nobody() {
    let data = tempfile::tempdir().expect("data folder");
    let mut child = command(data.path())
        .env("LOG_LEVEL", "trace")
        .env("MEMORYCHAT_MODELS_PULL", "false")
        .stdout(Stdio::piped())
        // A pipe that is never read: it is full after a few hundred lines.
        .stderr(Stdio::piped())
        .spawn()
        .expect("memorychat starts");
    let out = child.stdout.take().expect("stdout");
    let base = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::new(out).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains(" listens on "));
        line.and_then(|line| line.rsplit(' ').next().map(str::to_owned))
    });
    let base = base.await.expect("joined").expect("it listens");
    let nobody = Caller {
        base,
        token: None,
        client: reqwest::Client::new(),
    };
    // More lines than may wait, until the first is lost and that is told.
    let calls = async {
        while dropped_lines(&nobody).await == 0 {
            let calls = (0..200).map(|_| nobody.get("/api/v1/auth/me"));
            futures::future::join_all(calls).await;
        }
    };
    let answered = tokio::time::timeout(NEVER, calls).await;
    let _ = child.kill();
    let _ = child.wait();
    answered.expect("requests are answered although the log is stuck, and lost lines are counted");
}

/// How many lines the log has lost, as `/metrics` tells.
async fn dropped_lines(caller: &Caller) -> u64 {
    let numbers = caller.get("/metrics").await.text;
    let mut lines = numbers.lines();
    let dropped = lines.find_map(|line| line.strip_prefix("log_lines_dropped "));
    dropped
        .and_then(|number| number.parse().ok())
        .expect("a number")
}
