//! Commits that are cut off or aborted.

use reqwest::StatusCode;
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement, TransactionTrait};
use serde_json::json;
use testkit::cutter::Cut;

use super::{Stage, stored, turns};
use crate::wait::until;

#[tokio::test]
async fn a_commit_that_is_cut_off_counts_once_or_not_at_all() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let ada = stage.server.sign_up("ada").await;
    let session = ada.session("normal").await;
    let path = format!("/api/v1/chat/{session}");
    let message = |n: u32| json!({"message": format!("My lucky number is {n}.")});
    let mut answered = 0;
    // A turn commits twice: the question, then the answer with the work of learning.
    let cuts = [
        (0, Cut::After),
        (1, Cut::Before),
        (1, Cut::After),
        (0, Cut::Before),
    ];
    for (n, (commit, cut)) in (1..).zip(cuts) {
        stage.wire.cut(commit, cut);
        let answer = ada.post(&path, &message(n)).await;
        assert_eq!(stage.wire.cuts(), n, "the wire was cut");
        if (commit, cut) == (0, Cut::Before) {
            // The question was not stored, and the caller knows that it may ask again.
            answer.is_problem(503, "store_unavailable");
            assert!(answer.headers.contains_key("retry-after"));
        } else {
            answer.expect_ok();
            answered += 1;
        }
        assert_eq!(
            stored(&ada, &session).await,
            turns(answered),
            "{commit} {cut:?}"
        );
    }
    let jobs = ada.get("/metrics").await.text;
    assert!(jobs.lines().any(|line| line == "jobs_pending 3"), "{jobs}");
}

#[tokio::test]
async fn a_message_sent_again_after_every_cut_is_answered_once() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let ada = stage.server.sign_up("ada").await;
    let session = ada.session("normal").await;
    let path = format!("/api/v1/chat/{session}");
    for (turn, (commit, cut)) in [(0, Cut::Before), (0, Cut::After), (1, Cut::Before)]
        .into_iter()
        .enumerate()
    {
        let body = json!({"message": format!("My lucky number is {turn}.")});
        let key = format!("turn-{turn}");
        stage.wire.cut(commit, cut);
        let mut answer = ada.post_named(&path, &body, &key).await;
        assert_eq!(stage.wire.cuts() as usize, turn + 1, "the wire was cut");
        // What a careful client does: again until there is an answer, and then once more by mistake.
        while answer.status == StatusCode::SERVICE_UNAVAILABLE {
            answer = ada.post_named(&path, &body, &key).await;
        }
        let answer = answer.expect(StatusCode::OK);
        let again = ada.post_named(&path, &body, &key).await;
        let again = again.expect(StatusCode::OK);
        assert_eq!(answer["assistant_message"], again["assistant_message"]);
        assert_eq!(stored(&ada, &session).await, turns(turn + 1));
    }
    assert_eq!(stage.model.chats().len(), 3, "each was asked once");
    let jobs = ada.get("/metrics").await.text;
    assert!(jobs.lines().any(|line| line == "jobs_pending 3"), "{jobs}");
}

#[tokio::test]
async fn a_request_that_a_deadlock_has_aborted_is_done_again() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let ada = stage.server.sign_up("ada").await;
    let session = ada.session("normal").await;
    let other = Database::connect(stage.postgres.url()).await;
    let other = other.expect("the database").begin().await.expect("begun");
    let run = async |sql: &str| other.execute_unprepared(sql).await.expect("done");
    // The other one locks in the opposite order, and is too patient to be the one that gives way.
    run("set local deadlock_timeout = '1min'; select 1 from mc.memory_profiles for update").await;

    let path = format!("/api/v1/sessions/{session}");
    let body = json!({"privacy_mode": "pause_memories"});
    let asked = ada.patch(&path, &body);
    let crossed = async {
        let waiting = "select exists (select 1 from pg_locks where not granted)";
        let waiting = Statement::from_string(DbBackend::Postgres, waiting);
        until("it waits for a lock", async || {
            let row = other
                .query_one_raw(waiting.clone())
                .await
                .expect("an answer");
            row.expect("a row")
                .try_get_by_index::<bool>(0)
                .expect("a truth value")
        })
        .await;
        run("select 1 from mc.chat_sessions for update; commit").await;
    };
    let (answer, ()) = tokio::join!(asked, crossed);
    let changed = answer.expect(StatusCode::OK);
    assert_eq!(changed["privacy_mode"], "pause_memories");
    let deadlocks = "(select sum(deadlocks) from pg_stat_database)";
    // A session of Postgres tells its counts a moment later, or when it was idle for ten seconds.
    let check = format!(
        "do $$ begin for i in 1..600 loop exit when {deadlocks} > 0; perform pg_sleep(0.05); \
         perform pg_stat_clear_snapshot(); end loop; assert {deadlocks} = 1, {deadlocks}; end $$"
    );
    stage.postgres.run(&check);
}
