//! Replicas that come and go.

use reqwest::{Method, StatusCode};
use sea_orm::{ConnectionTrait, TransactionTrait};
use serde_json::json;

use super::{Installation, at, output};
use crate::harness::command;

#[tokio::test]
async fn one_ends_its_streams_and_stops_while_the_other_serves() {
    let Some(installation) = Installation::start().await else {
        return;
    };
    let (mut one, two) = installation.pair(&[]).await;
    let ada = one.sign_up("ada").await;
    let ada_there = at(&ada, &two);
    let sessions = [ada.session("normal").await, ada.session("normal").await];
    let slow = json!({"message": "[slow] one two three four five six seven eight"});
    let path = format!("/api/v1/chat/{}/stream", sessions[0]);
    let asked = ada.request(Method::POST, &path).json(&slow);
    let stream = asked.send().await.expect("a stream");
    let stopping = tokio::task::spawn_blocking(move || one.stop());
    for _ in 0..3 {
        ada_there.chat(&sessions[1], "Good morning!").await;
    }
    let text = stream.text().await.expect("whole");
    assert!(text.trim_end().ends_with("data: [DONE]"), "{text}");
    assert!(stopping.await.expect("joined"), "it ended well");
    // What was begun there goes on here.
    ada_there.chat(&sessions[0], "And?").await;
    let stored = ada_there.messages(&sessions[0]).await;
    assert_eq!(stored.len(), 4);
    assert!(
        stored.iter().all(|m| m["status"] == "complete"),
        "{stored:?}"
    );
}

#[tokio::test]
async fn health_tells_a_server_that_is_ready_from_one_that_is_not_there() {
    let Some(installation) = Installation::start().await else {
        return;
    };
    let mut server = installation.replica(&[]).await;
    let port = server.base.rsplit(':').next().expect("a port").to_owned();
    let health = |port: &str| {
        let data = tempfile::tempdir().expect("folder");
        let mut health = command(data.path());
        health.arg("health").env("MEMORYCHAT_PORT", port);
        async move {
            let answer = output(health).await;
            drop(data);
            answer
        }
    };
    let (well, text) = health(&port).await;
    assert!(well && text.contains("\"status\":\"ready\""), "{text}");
    server.kill();
    let (well, text) = health(&port).await;
    assert!(!well && text.contains("does not answer"), "{text}");
}

#[tokio::test]
async fn two_that_start_at_once_on_an_empty_database_do_not_collide() {
    let Some(installation) = Installation::start().await else {
        return;
    };
    let (one, two, three) = futures::join!(
        installation.replica(&[]),
        installation.replica(&[]),
        installation.replica(&[]),
    );
    let ada = one.sign_up("ada").await;
    for server in [&two, &three] {
        at(&ada, server).get("/api/v1/auth/me").await.expect_ok();
    }
}

#[tokio::test]
async fn one_that_starts_leaves_the_answers_of_the_other_alone() {
    let Some(installation) = Installation::start().await else {
        return;
    };
    let one = installation.replica(&[]).await;
    let ada = one.sign_up("ada").await;
    let session = ada.session("normal").await;
    let path = format!("/api/v1/chat/{session}/stream");
    let long = json!({"message": format!("[slow] {}", "word ".repeat(1500))});
    let asked = ada.request(Method::POST, &path).json(&long).send();
    let _stream = asked.await.expect("a stream");
    let two = installation.replica(&[]).await;
    let ada_there = at(&ada, &two);
    let stored = ada_there.messages(&session).await;
    assert_eq!(stored[1]["status"], "streaming", "{stored:?}");
    let busy = ada_there.post(&path, &json!({"message": "And?"})).await;
    busy.is_problem(409, "session_busy");
}

#[tokio::test]
async fn one_serves_before_it_has_found_all_that_its_index_lacks() {
    let Some(installation) = Installation::start().await else {
        return;
    };
    let one = installation.replica(&[("MEMORYCHAT_WORKERS", "0")]).await;
    let ada = one.sign_up("ada").await;
    let profile = ada.default_profile().await;
    let path = format!("/api/v1/memory-profiles/{profile}/memories");
    let body = json!({"content": "My dog is called Rex."});
    let made = ada.post(&path, &body).await;
    made.expect(StatusCode::CREATED);
    installation.execute("delete from outbox").await;
    installation
        .execute("update memories set indexed_version = null")
        .await;
    // Whoever is to enqueue the work for her waits.
    let other = installation.database().await.begin().await.expect("begun");
    other
        .execute_unprepared(
            "select pg_advisory_xact_lock(hashtextextended('enqueue ' || id::text, 0)) from users",
        )
        .await
        .expect("held");
    let two = installation.replica(&[("MEMORYCHAT_COMPARE_MINUTES", "0")]);
    let two = two.await;
    let waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted";
    installation.wait_for_count(waiting, 1).await;
    at(&ada, &two).get(&path).await.expect_ok();
    assert_eq!(installation.count(waiting).await, 1, "it still waits");
    other.rollback().await.expect("let go");
    let unindexed = "select count(*) from memories where indexed_version is null";
    installation.wait_for_count(unindexed, 0).await;
}

#[tokio::test]
async fn a_newer_schema_lets_running_replicas_go_on_and_no_old_one_start() {
    let Some(installation) = Installation::start().await else {
        return;
    };
    let server = installation.replica(&[]).await;
    let ada = server.sign_up("ada").await;
    installation
        .execute("insert into seaql_migrations values ('m20991231_000001_the_future', 0)")
        .await;
    let ready = ada.get("/readyz").await.expect(StatusCode::OK);
    let database = ready["checks"]["database"]["detail"].as_str();
    assert!(
        database.is_some_and(|text| text.contains("newer")),
        "{ready}"
    );
    let session = ada.session("normal").await;
    ada.chat(&session, "Good morning!").await;

    let data = tempfile::tempdir().expect("folder");
    let mut old = command(data.path());
    old.arg("serve").envs(installation.with(&[]));
    let (well, text) = output(old).await;
    assert!(!well && text.contains("newer memorychat"), "{text}");
}
