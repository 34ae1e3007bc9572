//! The system's clock jumps by an hour: what was promised by the clock holds by it, and all else goes on.

use std::time::{Duration, SystemTime};

use futures::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tempfile::TempDir;
use testkit::faketime::SetClock;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::harness::{Caller, Server};
use crate::model_server::{Call, ModelServer};
use crate::wait::until;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

/// A server whose clock the test sets.
struct Stage {
    clock: SetClock,
    _folder: TempDir,
    model: ModelServer,
    server: Server,
}

impl Stage {
    async fn set(own: &[(&str, &str)]) -> Option<Self> {
        let folder = tempfile::tempdir().expect("folder");
        let clock = SetClock::new(folder.path())?;
        let model = ModelServer::start().await;
        let mut settings = vec![
            ("OPENAI_BASE_URL", model.base.as_str()),
            ("OPENAI_MODEL", "stand-in"),
            // Looks for dead answers every second.
            ("MEMORYCHAT_STALE_AFTER_SECONDS", "4"),
            ("MEMORYCHAT_WORKERS", "1"),
        ];
        settings.extend(clock.environment());
        settings.extend(own);
        let server = Server::start(&settings).await;
        Some(Self {
            clock,
            _folder: folder,
            model,
            server,
        })
    }

    /// Sets the clock, and waits until the server feels it: its answers are dated by it.
    async fn jump(&self, ahead: i64) {
        self.clock.set(ahead);
        for _ in 0..100 {
            let answer = self.server.anonymous().get("/healthz").await;
            let date = answer.headers["date"].to_str().expect("text");
            let date = OffsetDateTime::parse(date, &Rfc2822).expect("a date");
            let off = date - OffsetDateTime::from(SystemTime::now());
            if (off.whole_seconds() - ahead).abs() < 5 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the server does not feel its clock jump");
    }

    /// One more log-in of a user, and its refresh token.
    async fn log_in(&self, name: &str) -> (Caller, String) {
        let mut caller = self.server.anonymous();
        let body =
            json!({"email": format!("{name}@example.org"), "password": "correct horse battery"});
        let tokens = caller.post("/api/v1/auth/login", &body).await;
        let tokens = tokens.expect(StatusCode::OK);
        caller.token = tokens["access_token"].as_str().map(str::to_owned);
        let refresh = tokens["refresh_token"].as_str().expect("a token");
        (caller, refresh.to_owned())
    }
}

async fn me(caller: &Caller) -> StatusCode {
    caller.get("/api/v1/auth/me").await.status
}

#[tokio::test]
async fn a_jump_forward_logs_nobody_out_before_their_time() {
    let Some(stage) = Stage::set(&[]).await else {
        return;
    };
    stage.server.sign_up("ada").await;
    let (ada, refresh) = stage.log_in("ada").await;
    stage.jump(30 * MINUTE).await;
    assert_eq!(me(&ada).await, StatusCode::OK);
    // Beyond the life of an access token: it ends by the clock, and the log-in goes on.
    stage.jump(HOUR + MINUTE).await;
    assert_eq!(me(&ada).await, StatusCode::UNAUTHORIZED);
    let body = json!({"refresh_token": refresh});
    let tokens = stage
        .server
        .anonymous()
        .post("/api/v1/auth/refresh", &body)
        .await;
    let tokens = tokens.expect(StatusCode::OK);
    let renewed = Caller {
        token: tokens["access_token"].as_str().map(str::to_owned),
        ..ada
    };
    assert_eq!(me(&renewed).await, StatusCode::OK);
}

#[tokio::test]
async fn a_jump_back_ends_no_log_in_and_revives_none() {
    let Some(stage) = Stage::set(&[]).await else {
        return;
    };
    stage.server.sign_up("ada").await;
    let (ada, refresh) = stage.log_in("ada").await;
    let (gone, gone_refresh) = stage.log_in("ada").await;
    gone.post("/api/v1/auth/logout", &json!({})).await;
    assert_eq!(me(&gone).await, StatusCode::UNAUTHORIZED);

    stage.jump(-HOUR).await;
    assert_eq!(me(&ada).await, StatusCode::OK);
    assert_eq!(me(&gone).await, StatusCode::UNAUTHORIZED);
    for (token, status) in [
        (&refresh, StatusCode::OK),
        (&gone_refresh, StatusCode::UNAUTHORIZED),
    ] {
        let body = json!({"refresh_token": token});
        let answer = stage
            .server
            .anonymous()
            .post("/api/v1/auth/refresh", &body)
            .await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
}

#[tokio::test]
async fn limits_neither_open_nor_lock_up() {
    let limits = [
        ("RATE_LIMIT_ENABLED", "true"),
        ("RATE_LIMIT_PER_MINUTE", "30"),
    ];
    let Some(stage) = Stage::set(&limits).await else {
        return;
    };
    let ada = stage.server.sign_up("ada").await;
    let spent = async || {
        for granted in 0..60 {
            let answer = ada.get("/api/v1/auth/me").await;
            if answer.status == StatusCode::TOO_MANY_REQUESTS {
                let wait = answer.headers["retry-after"].to_str().expect("text");
                return (granted, wait.parse::<u64>().expect("seconds"));
            }
            answer.expect_ok();
        }
        panic!("no limit");
    };
    spent().await;
    for ahead in [30 * MINUTE, -HOUR] {
        stage.jump(ahead).await;
        let (granted, wait) = spent().await;
        assert!(granted < 15, "{granted} calls were granted by a jump");
        assert!(wait < 10, "locked up for {wait} seconds");
    }
    let (_, wait) = spent().await;
    tokio::time::sleep(Duration::from_secs(wait)).await;
    assert_eq!(me(&ada).await, StatusCode::OK);
}

#[tokio::test]
async fn a_running_turn_ends_well_whichever_way_the_clock_jumps() {
    let Some(stage) = Stage::set(&[]).await else {
        return;
    };
    let ada = stage.server.sign_up("ada").await;
    for ahead in [30 * MINUTE, -HOUR] {
        let session = ada.session("normal").await;
        let path = format!("/api/v1/chat/{session}/stream");
        let body = json!({"message": "[hush] one two three four five six"});
        let asked = ada.request(Method::POST, &path).json(&body).send().await;
        let mut stream = asked.expect("an answer").bytes_stream();
        let mut received = String::new();
        let mut jumped = false;
        while let Some(bytes) = stream.next().await {
            received.push_str(&String::from_utf8_lossy(&bytes.expect("bytes")));
            if !jumped && received.contains("\"type\":\"content\"") {
                stage.jump(ahead).await;
                jumped = true;
            }
        }
        assert!(received.trim_end().ends_with("[DONE]"), "{received}");
        let messages = ada.messages(&session).await;
        assert_eq!(messages[1]["status"], "complete", "{ahead}: {messages:?}");
    }
}

#[tokio::test]
async fn work_dated_before_a_jump_back_is_done_once_and_soon() {
    let Some(stage) = Stage::set(&[]).await else {
        return;
    };
    let ada = stage.server.sign_up("ada").await;
    let profile = ada.default_profile().await;
    let session = ada.session("normal").await;
    // The only worker is busy with the first while the second waits, both dated by the old clock.
    ada.chat(&session, "My dog is called Rex. [dawdle]").await;
    until("the first is learned from", async || {
        stage.model.calls().iter().any(Call::is_extraction)
    })
    .await;
    ada.chat(&session, "My cat is called Mia.").await;
    stage.jump(-HOUR).await;
    let mut memories = ada.wait_for_memories(&profile, 2).await;
    memories.sort();
    assert_eq!(memories.len(), 2, "{memories:?}");
    until("no job is left", async || {
        let metrics = ada.get("/metrics").await.text;
        metrics.lines().any(|line| line == "jobs_pending 0")
    })
    .await;
    assert_eq!(ada.memories(&profile).await.len(), 2);
    let calls = stage.model.calls();
    let extractions = calls.iter().filter(|call| call.is_extraction()).count();
    assert_eq!(extractions, 2, "each was learned from once");
}
