//! Postgres that breaks: what was acknowledged is there, what was not is there once or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    model: ModelServer,
    server: Server,
}

impl Stage {
    async fn set() -> Option<Self> {
        Self::set_with(&[("MEMORYCHAT_WORKERS", "0")]).await
    }

    async fn set_with(own: &[(&str, &str)]) -> Option<Self> {
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
        let shared = [
            ("DATABASE_URL", url.as_str()),
            ("DATABASE_CONNECTIONS", "4"),
            ("OPENAI_BASE_URL", &model.base),
            ("OPENAI_MODEL", "stand-in"),
        ];
        let server = Server::start(&[&shared, own].concat()).await;
        Some(Self {
            postgres: Arc::new(postgres),
            wire,
            model,
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
    // A session of Postgres tells its counts a moment later, or when it was idle for ten seconds.
    let check = format!(
        "do $$ begin for i in 1..600 loop exit when {deadlocks} > 0; perform pg_sleep(0.05); \
         perform pg_stat_clear_snapshot(); end loop; assert {deadlocks} = 1, {deadlocks}; end $$"
    );
    stage.postgres.run(&check);
}

/// Thirty-two callers change a session that is locked, again and again: whoever has a connection waits
/// with it, and all others wait for one.
async fn flood(ada: &Caller, session: &str, done: &AtomicBool) {
    let path = format!("/api/v1/sessions/{session}");
    let body = json!({"privacy_mode": "pause_memories"});
    let caller = async || {
        while !done.load(Ordering::SeqCst) {
            let asked = Instant::now();
            let answer = ada.patch(&path, &body).await;
            answer.is_problem(503, "store_busy");
            assert!(answer.headers.contains_key("retry-after"));
            // Two seconds for each connection that it needs, and for the lock.
            assert!(asked.elapsed() < Duration::from_secs(12), "a bounded wait");
        }
    };
    futures::future::join_all((0..32).map(|_| caller())).await;
}

#[tokio::test]
async fn a_server_whose_connections_are_all_in_use_says_so_stays_up_and_works_on() {
    let Some(stage) = Stage::set_with(&[("MEMORYCHAT_WORKERS", "1")]).await else {
        return;
    };
    let ada = stage.server.sign_up("ada").await;
    let session = ada.session("normal").await;
    // Another server, on the same database, gives the workers of the first one something to do.
    let url = stage.postgres.url().replace("postgres@", "mc_login@");
    let other = Server::start(&[
        ("DATABASE_URL", &url),
        ("OPENAI_BASE_URL", &stage.model.base),
        ("OPENAI_MODEL", "stand-in"),
        ("MEMORYCHAT_WORKERS", "0"),
    ])
    .await;
    let bob = other.sign_up("bob").await;
    let (profile, his) = (bob.default_profile().await, bob.session("normal").await);

    let lock = Database::connect(stage.postgres.url()).await;
    let lock = lock.expect("the database").begin().await.expect("begun");
    let sql = format!("select 1 from mc.chat_sessions where id = '{session}' for update");
    lock.execute_unprepared(&sql).await.expect("locked");
    let done = AtomicBool::new(false);
    let meanwhile = async {
        bob.chat(&his, "My dog is called Rex.").await;
        bob.wait_for_memories(&profile, 1).await;
        // Indexed too: nothing is left to be done.
        let nothing_left = async {
            while !bob
                .get("/metrics")
                .await
                .text
                .contains("\njobs_pending 0\n")
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let indexed = tokio::time::timeout(Duration::from_mins(1), nothing_left).await;
        indexed.expect("the workers go on");
        let nobody = stage.server.anonymous();
        // Eight looks or more.
        for _ in 0..20 {
            nobody.get("/healthz").await.expect_ok();
            let ready = nobody.get("/readyz").await.expect(StatusCode::OK);
            for part in ["database", "memory_index"] {
                assert_eq!(ready["checks"][part]["ok"], true, "{ready}");
            }
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        done.store(true, Ordering::SeqCst);
    };
    tokio::join!(flood(&ada, &session, &done), meanwhile);
    let log = String::from_utf8_lossy(&stage.server.log()).into_owned();
    assert!(log.contains("no free connection"), "{log}");

    lock.commit().await.expect("released");
    let body = json!({"privacy_mode": "pause_memories"});
    let changed = ada
        .patch(&format!("/api/v1/sessions/{session}"), &body)
        .await;
    changed.expect_ok();
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

async fn is_found_again(ada: &Caller) {
    let back = Instant::now();
    while ada.get("/api/v1/auth/me").await.status != StatusCode::OK {
        assert!(
            back.elapsed() < Duration::from_secs(10),
            "it is found again"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
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
