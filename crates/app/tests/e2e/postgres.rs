//! Postgres that breaks: what was acknowledged is there, what was not is there once or not at all.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement, TransactionTrait};
use serde_json::{Value, json};
use testkit::cutter::{Cut, Cutter};
use testkit::servers::Postgres;

use crate::harness::{Caller, Server, command};
use crate::model_server::ModelServer;

/// A database, and a server that reaches it through a wire that can be cut. Nobody works on jobs, so that
/// every commit is the request's.
struct Stage {
    postgres: Arc<Postgres>,
    wire: Cutter,
    _model: ModelServer,
    server: Server,
}

impl Stage {
    async fn set() -> Option<Self> {
        let postgres = Postgres::new()?;
        let folder = tempfile::tempdir().expect("folder");
        let migrated = command(folder.path())
            .arg("migrate")
            .env("DATABASE_URL", postgres.url())
            .output()
            .expect("memorychat runs");
        assert!(migrated.status.success(), "{migrated:?}");
        let wire = Cutter::to(postgres.port());
        let url = postgres
            .url()
            .replace("postgres@", "mc_login@")
            .replace(&postgres.port().to_string(), &wire.port().to_string());
        let model = ModelServer::start().await;
        let server = Server::start(&[
            ("DATABASE_URL", &url),
            ("DATABASE_CONNECTIONS", "4"),
            ("OPENAI_BASE_URL", &model.base),
            ("OPENAI_MODEL", "stand-in"),
            ("MEMORYCHAT_WORKERS", "0"),
        ])
        .await;
        Some(Self {
            postgres: Arc::new(postgres),
            wire,
            _model: model,
            server,
        })
    }
}

async fn stored(caller: &Caller, session: &str) -> Vec<(String, String)> {
    let path = format!("/api/v1/sessions/{session}/messages");
    let messages = caller.get(&path).await.expect(StatusCode::OK);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let shape = |message: &Value| (text(&message["role"]), text(&message["status"]));
    messages
        .as_array()
        .expect("array")
        .iter()
        .map(shape)
        .collect()
}

fn turns(count: usize) -> Vec<(String, String)> {
    let turn = ["user", "assistant"].map(|role| (role.to_owned(), "complete".to_owned()));
    std::iter::repeat_n(turn, count).flatten().collect()
}

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

/// Somebody who keeps every session locked for four seconds, from when this returns.
async fn lock(postgres: &Arc<Postgres>) -> JoinHandle<()> {
    let postgres = Arc::clone(postgres);
    let held = std::thread::spawn(move || {
        postgres
            .run("begin; select 1 from mc.chat_sessions for update; select pg_sleep(4); commit");
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    held
}

#[tokio::test]
async fn a_lock_that_is_held_for_long_is_waited_out_by_an_answer_and_told_to_a_question() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let ada = stage.server.sign_up("ada").await;
    let session = ada.session("normal").await;
    let path = format!("/api/v1/chat/{session}");
    // A question says at once that it cannot be taken, and nothing of it is kept.
    let held = lock(&stage.postgres).await;
    let answer = ada.post(&path, &json!({"message": "Hello there"})).await;
    answer.is_problem(503, "store_busy");
    held.join().expect("released");
    assert_eq!(stored(&ada, &session).await, turns(0));

    // An answer that has been written is not lost to a lock.
    let words = "one two three four five six seven eight nine ten eleven twelve";
    let body = json!({"message": format!("[slow] {words}")});
    let asked = ada.send(ada.request(Method::POST, &path).json(&body));
    let locked = async {
        while stored(&ada, &session).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        lock(&stage.postgres).await
    };
    let (answer, held) = tokio::join!(asked, locked);
    answer.expect_ok();
    held.join().expect("released");
    assert_eq!(stored(&ada, &session).await, turns(1));
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
        let is_waiting = async || {
            let row = other
                .query_one_raw(waiting.clone())
                .await
                .expect("an answer");
            row.expect("a row")
                .try_get_by_index::<bool>(0)
                .expect("a truth value")
        };
        while !is_waiting().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        run("select 1 from mc.chat_sessions for update; commit").await;
    };
    let (answer, ()) = tokio::join!(asked, crossed);
    let changed = answer.expect(StatusCode::OK);
    assert_eq!(changed["privacy_mode"], "pause_memories");
    let deadlocks = "(select sum(deadlocks) from pg_stat_database)";
    let check = format!("do $$ begin assert {deadlocks} = 1, {deadlocks}; end $$");
    stage.postgres.run(&check);
}

/// A request's statement may take fifteen seconds.
#[tokio::test]
async fn rebuilding_a_large_index_is_not_cut_off() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let ada = stage.server.sign_up("ada").await;
    let path = format!(
        "/api/v1/memory-profiles/{}/memories",
        ada.default_profile().await
    );
    let tea = json!({"content": "Likes green tea."});
    ada.post(&path, &tea).await.expect(StatusCode::CREATED);
    stage.postgres.run(
        "create function public.slow() returns trigger language plpgsql as \
             $$ begin perform pg_sleep(16); return null; end $$; \
         create trigger slow before insert on mc.index_revisions execute function public.slow()",
    );
    let folder = tempfile::tempdir().expect("folder");
    let rebuilt = command(folder.path())
        .arg("reindex")
        .env(
            "DATABASE_URL",
            stage.postgres.url().replace("postgres@", "mc_login@"),
        )
        .output()
        .expect("memorychat runs");
    assert!(rebuilt.status.success(), "{rebuilt:?}");
}

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
    let back = Instant::now();
    while ada.get("/api/v1/auth/me").await.status != StatusCode::OK {
        assert!(
            back.elapsed() < Duration::from_secs(10),
            "it is found again"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for _ in 0..8 {
        ada.post(&path, &hello).await.expect_ok();
    }
    assert_eq!(
        stored(&ada, &session).await,
        turns(9),
        "nothing lost, nothing halved"
    );
}
