//! What each role may do, with its own rows, with those of somebody else, and for nobody.

use adapter_sql::SqlStore;
use sea_orm::{ConnectionTrait, TransactionTrait};
use testkit::servers::Postgres;

use crate::attempts::{Attempt, BOTH, REQUESTS, WORKERS};
use crate::rows::{A, B, database, of, outcome, texts};

/// The tables whose rows belong to a user, by `user_id`.
const OWNED: [&str; 10] = [
    "user_credentials",
    "logins",
    "api_keys",
    "memory_profiles",
    "chat_sessions",
    "chat_messages",
    "memories",
    "outbox",
    "index_revisions",
    "memory_vectors",
];

/// What a role may do for whom: every statement in a transaction of its own, undone afterwards.
async fn check(runtime: &SqlStore, role: &str, owner: &str, cases: &[(String, &str)]) {
    for (sql, expected) in cases {
        let tx = runtime.connection().begin().await.unwrap();
        let bind = format!(
            "select set_config('role', '{role}', true), set_config('mc.user_id', '{owner}', true)"
        );
        tx.execute_unprepared(&bind).await.unwrap();
        assert_eq!(
            outcome(&tx, sql).await,
            *expected,
            "{role} for {owner:?}: {sql}"
        );
    }
}

/// For its own rows, for those of somebody else, and without an owner.
async fn check_attempts(runtime: &SqlStore, role: &str, attempts: &[&Attempt]) {
    for (whose, owner) in [('a', A), ('b', A), ('a', "")] {
        let cases = attempts.iter().map(|(sql, own, other)| {
            let expected = if (whose, owner) == ('a', A) {
                own
            } else {
                other
            };
            (of(whose, sql), *expected)
        });
        check(runtime, role, owner, &cases.collect::<Vec<_>>()).await;
    }
}

async fn check_reads(runtime: &SqlStore, role: &str) {
    let hidden = |table: &&str| {
        let unreadable = *table == "user_credentials" || (role, *table) == ("mc_app", "outbox");
        let worker_has_none = role == "mc_worker" && ["logins", "api_keys"].contains(table);
        unreadable || worker_has_none
    };
    let select = |table: &&str| format!("select * from mc.{table}");
    let read = |table: &&str| {
        let seen = match (hidden(table), *table) {
            (true, _) => "42501",
            (false, "chat_messages") => "2",
            (false, _) => "1",
        };
        (select(table), seen)
    };
    let blind = |table: &&str| (select(table), if hidden(table) { "42501" } else { "0" });
    let reads: Vec<_> = OWNED.iter().map(read).collect();
    check(runtime, role, A, &reads).await;
    // Without an owner nobody's rows are visible.
    let blinds: Vec<_> = OWNED.iter().map(blind).collect();
    check(runtime, role, "", &blinds).await;
    let users = [("select email from mc.users".to_owned(), "1")];
    check(runtime, role, A, &users).await;
    let nobody = [("select email from mc.users".to_owned(), "0")];
    check(runtime, role, "", &nobody).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_keeps_to_the_rows_of_its_owner() {
    for server in Postgres::each() {
        let (_, runtime) = database(&server).await;
        for (role, attempts) in [("mc_app", REQUESTS), ("mc_worker", WORKERS)] {
            check_reads(&runtime, role).await;
            let attempts: Vec<_> = attempts.iter().chain(BOTH).collect();
            check_attempts(&runtime, role, &attempts).await;
        }
        // A lease tells the owner; nothing is leased twice.
        let claim = "select user_id::text from claim_jobs(5, 100, 10) order by 1";
        assert_eq!(texts(runtime.connection(), claim).await, [A, B]);
        assert!(texts(runtime.connection(), claim).await.is_empty());
        without_a_role_there_are_only_doors(&runtime).await;
    }
}

/// The one who logs in has no rows: it opens doors or takes on a role.
async fn without_a_role_there_are_only_doors(runtime: &SqlStore) {
    for table in OWNED.iter().chain(&["users", "index_space"]) {
        let tx = runtime.connection().begin().await.unwrap();
        let sql = format!("select * from mc.{table}");
        assert_eq!(outcome(&tx, &sql).await, "42501", "{table}");
    }
    let credential = "select password_hash from find_credential('a@x.org')";
    assert_eq!(texts(runtime.connection(), credential).await, ["hash a"]);
    let tx = runtime.connection().begin().await.unwrap();
    assert_eq!(outcome(&tx, "set role mc_definer").await, "42501");
}
