//! A database that others keep busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use sea_orm::{ConnectionTrait, Database, TransactionTrait};
use serde_json::json;
use testkit::servers::Postgres;

use super::{Stage, stored, turns};
use crate::harness::{Caller, Server, command};
use crate::wait::until;

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
        until("the question is stored", async || {
            !stored(&ada, &session).await.is_empty()
        })
        .await;
        lock(&stage.postgres).await
    };
    let (answer, held) = tokio::join!(asked, locked);
    answer.expect_ok();
    held.join().expect("released");
    assert_eq!(stored(&ada, &session).await, turns(1));
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
