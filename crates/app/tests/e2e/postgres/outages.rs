//! A database that dies, comes back, or is replaced by one that fell behind.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement, TransactionTrait};
use serde_json::{Value, json};

use super::{Stage, is_found_again, stored, turns};
use crate::harness::Caller;
use crate::wait::until;

#[tokio::test]
async fn a_database_that_dies_and_comes_back_is_found_again() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let ada = stage.server.sign_up("ada").await;
    let session = ada.session("normal").await;
    let path = format!("/api/v1/chat/{session}");
    let hello = json!({"message": "Hello there"});
    ada.post(&path, &hello).await.expect_ok();

    stage.postgres.crash();
    let begun = Instant::now();
    let calls = (0..6).map(|_| ada.post(&path, &hello));
    for answer in futures::future::join_all(calls).await {
        assert_eq!(
            answer.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "{}",
            answer.text
        );
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "a bounded wait");
    let health = stage.server.anonymous().get("/healthz").await;
    health.expect_ok();

    stage.postgres.restart();
    is_found_again(&ada).await;
    for _ in 0..8 {
        ada.post(&path, &hello).await.expect_ok();
    }
    assert_eq!(
        stored(&ada, &session).await,
        turns(9),
        "nothing lost, nothing halved"
    );
}

#[tokio::test]
async fn a_turn_that_a_fail_over_loses_is_noticed_and_can_be_sent_again() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let ada = stage.server.sign_up("ada").await;
    let session = ada.session("normal").await;
    let path = format!("/api/v1/chat/{session}");
    ada.chat(&session, "My dog is called Rex.").await;
    let standby = stage.postgres.standby();
    standby.crash();
    let second = json!({"message": "My cat is called Tom."});
    let lost = ada.post_named(&path, &second, "second").await;
    let lost = lost.expect(StatusCode::OK);

    stage.postgres.crash();
    standby.restart();
    standby.promote();
    stage.wire.lead_to(standby.port());
    is_found_again(&ada).await;
    assert_eq!(stored(&ada, &session).await, turns(1), "it fell behind");

    // Going on as if nothing were lost is refused, and changes nothing.
    let known = &lost["assistant_message"]["id"];
    let third = json!({"message": "And they are friends.", "last_message_id": known});
    let refused = ada.post_named(&path, &third, "third").await;
    refused.is_problem(409, "history_changed");
    assert_eq!(stored(&ada, &session).await, turns(1));

    // What was lost is said again, and is what it was.
    let again = ada.post_named(&path, &second, "second").await;
    let again = again.expect(StatusCode::OK);
    for message in ["user_message", "assistant_message"] {
        assert_eq!(again[message]["id"], lost[message]["id"]);
    }
    let third = ada.post_named(&path, &third, "third").await;
    third.expect_ok();
    assert_eq!(stored(&ada, &session).await, turns(3));
}

/// Six answers that have begun and take some seconds more.
async fn answers_under_way(ada: &Caller) -> (Vec<String>, Vec<reqwest::Response>) {
    let (mut sessions, mut streams) = (Vec::new(), Vec::new());
    let words = "one two three four five six seven eight nine ten";
    let body = json!({"message": format!("[slow] {words} {words}")});
    for _ in 0..6 {
        let session = ada.session("normal").await;
        let path = format!("/api/v1/chat/{session}/stream");
        let asked = ada.request(Method::POST, &path).json(&body).send();
        streams.push(asked.await.expect("a stream"));
        sessions.push(session);
    }
    (sessions, streams)
}

/// The last events of streams, when all have ended.
async fn ends(streams: Vec<reqwest::Response>) -> Vec<String> {
    let texts = streams.into_iter().map(reqwest::Response::text);
    let last = |text: reqwest::Result<String>| {
        let text = text.expect("a whole body");
        let last = text.trim_end().rsplit("data: ").next();
        last.unwrap_or_default().to_owned()
    };
    let texts = futures::future::join_all(texts).await;
    texts.into_iter().map(last).collect()
}

#[tokio::test]
async fn answers_under_way_outlive_a_database_that_restarts() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let ada = stage.server.sign_up("ada").await;
    let (sessions, streams) = answers_under_way(&ada).await;
    stage.postgres.crash();
    stage.postgres.restart();
    for end in ends(streams).await {
        assert_eq!(end, "[DONE]");
    }
    for session in sessions {
        assert_eq!(stored(&ada, &session).await, turns(1));
    }
}

#[tokio::test]
async fn answers_under_way_fail_with_the_database_and_nothing_is_half() {
    let patience = ("MEMORYCHAT_STALE_AFTER_SECONDS", "2");
    let Some(stage) = Stage::set_with(&[("MEMORYCHAT_WORKERS", "0"), patience]).await else {
        return;
    };
    let ada = stage.server.sign_up("ada").await;
    let (sessions, streams) = answers_under_way(&ada).await;
    stage.postgres.crash();
    for end in ends(streams).await {
        let end: Value = serde_json::from_str(&end).expect("an event");
        assert_eq!(
            (&end["type"], &end["error_type"]),
            (&json!("error"), &json!("store_unavailable")),
            "{end}"
        );
    }
    stage.postgres.restart();
    is_found_again(&ada).await;
    let cut = [("user", "complete"), ("assistant", "interrupted")];
    let cut = cut.map(|(role, status)| (role.to_owned(), status.to_owned()));
    for session in &sessions {
        until("the answer is given up", async || {
            let messages = stored(&ada, session).await;
            messages.iter().all(|(_, status)| status != "streaming")
        })
        .await;
        assert_eq!(stored(&ada, session).await, cut);
        ada.chat(session, "Are you well?").await;
        assert_eq!(
            stored(&ada, session).await,
            [cut.to_vec(), turns(1)].concat()
        );
    }
    let jobs = "(select count(*) from mc.outbox)";
    let check = format!("do $$ begin assert {jobs} = 6, {jobs}; end $$");
    stage.postgres.run(&check);
}

#[tokio::test]
async fn open_transactions_die_with_the_database_and_leave_nothing() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let ada = stage.server.sign_up("ada").await;
    let mut sessions = Vec::new();
    for _ in 0..4 {
        sessions.push(ada.session("normal").await);
    }
    let hello = json!({"message": "Hello there"});
    let ask = async |session: &String| ada.post(&format!("/api/v1/chat/{session}"), &hello).await;
    for session in &sessions {
        ask(session).await.expect_ok();
    }
    // Every question is held in the middle of its transaction: what it wrote waits for a row that
    // somebody else has.
    let other = Database::connect(stage.postgres.url()).await;
    let other = other.expect("the database").begin().await.expect("begun");
    let hold = "select 1 from mc.chat_sessions for no key update";
    other.execute_unprepared(hold).await.expect("held");
    let asked = futures::future::join_all(sessions.iter().map(ask));
    let killed = async {
        let waiting = "select count(distinct pid) from pg_locks where not granted";
        let waiting = Statement::from_string(DbBackend::Postgres, waiting);
        until("all four wait", async || {
            let row = other.query_one_raw(waiting.clone()).await.expect("asked");
            let count = row.expect("a row").try_get_by_index::<i64>(0);
            count.expect("a number") == 4
        })
        .await;
        stage.postgres.crash();
    };
    let (answers, ()) = futures::join!(asked, killed);
    for answer in answers {
        assert_eq!(answer.status, 503, "{}", answer.text);
        assert!(answer.headers.contains_key("retry-after"));
    }
    stage.postgres.restart();
    is_found_again(&ada).await;
    for session in &sessions {
        assert_eq!(stored(&ada, session).await, turns(1));
        ask(session).await.expect_ok();
        assert_eq!(stored(&ada, session).await, turns(2));
    }
}
