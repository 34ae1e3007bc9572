//! More than the server can do, and a log that nobody reads: it goes on, and says no in good time.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::{Caller, Server, command};
use crate::model_server::ModelServer;
use crate::wait::until;

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

/// How many turns the server of the next test answers at once.
const PLACES: usize = 10;

/// Every user asks in every session at once, half of them for a stream. How many were answered.
async fn wave(users: &[(Caller, Vec<String>)]) -> usize {
    let body = json!({"message": "[slow] one two three four five six"});
    let questions = users.iter().flat_map(|(user, sessions)| {
        let body = &body;
        sessions.iter().enumerate().map(move |(n, session)| {
            let kind = if n % 2 == 0 { "/stream" } else { "" };
            let path = format!("/api/v1/chat/{session}{kind}");
            async move { user.post(&path, body).await }
        })
    });
    let answers = tokio::time::timeout(NEVER, futures::future::join_all(questions)).await;
    let mut answered = 0;
    for answer in answers.expect("every question gets an answer") {
        if answer.status == StatusCode::OK {
            let whole = answer.text.contains("\"success\":true");
            let streamed = answer.text.trim_end().ends_with("[DONE]");
            assert!(whole || streamed, "{}", answer.text);
            answered += 1;
        } else {
            answer.is_problem(503, "overloaded");
            assert!(answer.headers.contains_key("retry-after"));
        }
    }
    answered
}

#[tokio::test]
async fn ten_times_the_turns_that_fit_are_told_so_at_once_and_cost_nothing() {
    let model = ModelServer::start().await;
    let places = PLACES.to_string();
    let mut server = Server::start(&[
        ("OPENAI_BASE_URL", &model.base),
        ("OPENAI_MODEL", "stand-in"),
        ("MEMORYCHAT_MAX_TURNS", &places),
        // No question is to fail for want of a connection.
        ("DATABASE_CONNECTIONS", "32"),
    ])
    .await;
    let mut users = Vec::new();
    for n in 0..PLACES {
        let user = server.sign_up(&format!("user{n}")).await;
        let sessions = futures::future::join_all((0..10).map(|_| user.session("normal"))).await;
        users.push((user, sessions));
    }
    let mut before = None;
    for round in 0..4 {
        let asked = model.chats().len();
        let answered = wave(&users).await;
        assert!((PLACES..10 * PLACES).contains(&answered), "{answered}");
        // Told early: the model never heard of the others.
        assert_eq!(model.chats().len() - asked, answered);
        all_places_are_free(&users[0].0).await;
        if round == 0 {
            before = server.memory();
        }
    }
    if let (Some(before), Some(after)) = (before, server.memory()) {
        assert!(after < before + 64 * 1024, "{before} KiB, then {after} KiB");
    }
    // As many as there are places, and nobody is refused any more.
    let calm = users
        .iter()
        .map(|(user, sessions)| user.chat(&sessions[0], "Are you well?"));
    futures::future::join_all(calm).await;
    assert!(server.is_alive());
}

/// A place is free a moment after its answer has ended.
async fn all_places_are_free(caller: &Caller) {
    until("every place is given back", async || {
        let metrics = caller.get("/metrics").await.text;
        metrics.contains("\nturns_running 0\n")
    })
    .await;
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_nobody() {
    let data = tempfile::tempdir().expect("data folder");
    let mut child = command(data.path())
        .env("LOG_LEVEL", "trace")
        .env("MEMORYCHAT_MODELS_PULL", "false")
        // So that it looks for lost lines once a second.
        .env("MEMORYCHAT_STALE_AFTER_SECONDS", "4")
        .stdout(Stdio::piped())
        // A pipe that nobody reads for now: it is full after a few hundred lines.
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
    // Whoever reads on is told that something is missing.
    let log = child.stderr.take().expect("stderr");
    let told = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::new(log).lines().map_while(Result::ok);
        lines.any(|line| line.contains("lines were not logged"))
    });
    let told = tokio::time::timeout(NEVER, told).await;
    let _ = child.kill();
    let _ = child.wait();
    answered.expect("requests are answered although the log is stuck, and lost lines are counted");
    assert!(told.expect("a line in time").expect("joined"));
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
