//! What each role may do, with its own rows, with those of somebody else, and for nobody.

use adapter_sql::SqlStore;
use sea_orm::{ConnectionTrait, TransactionTrait};
use testkit::servers::Postgres;

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

/// A statement, and what comes of it for one's own rows and for those of somebody else.
type Attempt = (&'static str, &'static str, &'static str);

const REQUESTS: &[Attempt] = &[
    (
        "update mc.users set updated_at = 2 where id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "delete from mc.users where id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "update mc.user_credentials set password_hash = 'y' where user_id = '{A}' returning user_id",
        "1",
        "0",
    ),
    (
        "select password_hash from mc.user_credentials where user_id = '{A}'",
        "42501",
        "42501",
    ),
    (
        "update mc.logins set revoked_at = 2 where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "update mc.api_keys set revoked_at = 2 where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "update mc.memory_profiles set name = 'y' where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "update mc.chat_sessions set updated_at = 2 where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "delete from mc.chat_sessions where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "update mc.chat_messages set content = 'y' where id = '00000000-0000-0000-0005-00000000000{a}' returning 1",
        "1",
        "0",
    ),
    (
        "delete from mc.chat_messages where id = '00000000-0000-0000-0005-00000000000{a}' returning 1",
        "1",
        "0",
    ),
    (
        "update mc.memories set content = 'y' where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "delete from mc.memories where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "delete from mc.memory_vectors where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "insert into mc.memory_profiles values (gen_random_uuid(), '{A}', 'new', null, false, 1, 1) returning 1",
        "1",
        "42501",
    ),
    (
        "insert into mc.logins values (gen_random_uuid(), '{A}', 1, 1, 9) returning 1",
        "1",
        "42501",
    ),
    (
        "insert into mc.outbox (id, user_id, kind, subject_id, profile_id, state, attempts, available_at) \
          values (gen_random_uuid(), '{A}', 'index', '{A}', '{A}', 'pending', 0, 1)",
        "0",
        "42501",
    ),
    // Columns that say whose a row is, or what was decided about it, are not to be changed.
    (
        "update mc.users set is_active = false where id = '{A}'",
        "42501",
        "42501",
    ),
    (
        "update mc.chat_sessions set user_id = '{A}'",
        "42501",
        "42501",
    ),
    (
        "update mc.chat_messages set memory_mode = 'normal' where user_id = '{A}'",
        "42501",
        "42501",
    ),
    (
        "update mc.memories set profile_id = '00000000-0000-0000-0003-00000000000{a}'",
        "42501",
        "42501",
    ),
    (
        "update mc.api_keys set scopes = 'all' where user_id = '{A}'",
        "42501",
        "42501",
    ),
    ("update mc.outbox set attempts = 0", "42501", "42501"),
    ("delete from mc.index_space", "42501", "42501"),
    ("truncate mc.memories", "42501", "42501"),
    ("drop table mc.memories", "42501", "42501"),
    // Doors belong to the one who logged in, and jobs to the workers.
    ("select * from mc.claim_jobs(5, 9, 9)", "42501", "42501"),
    // What is no row at all, whoever asks.
    (
        "insert into mc.chat_messages (id, user_id, session_id, seq, memory_mode, status, role, content, alive_at, created_at) \
          values (gen_random_uuid(), '{A}', '00000000-0000-0000-0004-00000000000{a}', 9, 'incognito', 'complete', 'user', 'x', 1, 1)",
        "23514",
        "42501",
    ),
    (
        "insert into mc.memories (id, user_id, profile_id, content, fingerprint, origin, version, created_at, updated_at, \
          indexed_vector, source_user_id, source_message_id, source_mode) \
          values (gen_random_uuid(), '{A}', '00000000-0000-0000-0003-00000000000a', 'x', gen_random_uuid(), 'extracted', 1, 1, 1, \
          false, '{A}', '00000000-0000-0000-0005-00000000000c', 'normal')",
        "23503",
        "42501",
    ),
    (
        "insert into mc.chat_sessions values (gen_random_uuid(), '{A}', '00000000-0000-0000-0003-00000000000b', 'normal', 1, 1)",
        "23503",
        "42501",
    ),
    (
        "insert into mc.memories (id, user_id, profile_id, content, fingerprint, origin, version, created_at, updated_at, indexed_vector) \
          values (gen_random_uuid(), '{A}', '00000000-0000-0000-0003-00000000000b', 'x', gen_random_uuid(), 'manual', 1, 1, 1, false)",
        "23503",
        "42501",
    ),
];

const WORKERS: &[Attempt] = &[
    (
        "insert into mc.memories (id, user_id, profile_id, content, fingerprint, origin, version, created_at, updated_at, indexed_vector) \
          values (gen_random_uuid(), '{A}', '00000000-0000-0000-0003-00000000000{a}', 'x', gen_random_uuid(), 'manual', 1, 1, 1, false) returning 1",
        "1",
        "42501",
    ),
    (
        "update mc.outbox set state = 'dead' where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "delete from mc.outbox where user_id = '{A}' returning 1",
        "1",
        "0",
    ),
    (
        "update mc.outbox set subject_id = '{A}' where user_id = '{A}'",
        "42501",
        "42501",
    ),
    (
        "insert into mc.chat_messages (id, user_id, session_id, seq, memory_mode, status, role, content, alive_at, created_at) \
          values (gen_random_uuid(), '{A}', '00000000-0000-0000-0004-00000000000{a}', 9, 'normal', 'complete', 'user', 'x', 1, 1)",
        "42501",
        "42501",
    ),
    (
        "update mc.chat_messages set content = 'y'",
        "42501",
        "42501",
    ),
    ("delete from mc.chat_sessions", "42501", "42501"),
    ("delete from mc.users", "42501", "42501"),
    ("select * from mc.logins", "42501", "42501"),
    (
        "select * from mc.find_credential('a@x.org')",
        "42501",
        "42501",
    ),
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

#[tokio::test(flavor = "multi_thread")]
async fn every_role_keeps_to_the_rows_of_its_owner() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let (_, runtime) = database(&server).await;
    for role in ["mc_app", "mc_worker"] {
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
        check(&runtime, role, A, &reads).await;
        // Without an owner nobody's rows are visible.
        let blinds: Vec<_> = OWNED.iter().map(blind).collect();
        check(&runtime, role, "", &blinds).await;
        let users = [("select email from mc.users".to_owned(), "1")];
        check(&runtime, role, A, &users).await;
        let nobody = [("select email from mc.users".to_owned(), "0")];
        check(&runtime, role, "", &nobody).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_change_what_is_theirs_and_nothing_else() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let (_, runtime) = database(&server).await;
    let own: Vec<_> = REQUESTS
        .iter()
        .map(|(sql, own, _)| (of('a', sql), *own))
        .collect();
    check(&runtime, "mc_app", A, &own).await;
    let foreign: Vec<_> = REQUESTS
        .iter()
        .map(|(sql, _, other)| (of('b', sql), *other))
        .collect();
    check(&runtime, "mc_app", A, &foreign).await;
    let nobody: Vec<_> = REQUESTS
        .iter()
        .map(|(sql, own, other)| (of('a', sql), if own.len() == 1 { *other } else { "42501" }))
        .filter(|(_, expected)| *expected == "0")
        .collect();
    check(&runtime, "mc_app", "", &nobody).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_act_for_the_owner_of_their_job() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let (_, runtime) = database(&server).await;
    let own: Vec<_> = WORKERS
        .iter()
        .map(|(sql, own, _)| (of('a', sql), *own))
        .collect();
    check(&runtime, "mc_worker", A, &own).await;
    let foreign: Vec<_> = WORKERS
        .iter()
        .map(|(sql, _, other)| (of('b', sql), *other))
        .collect();
    check(&runtime, "mc_worker", A, &foreign).await;

    // A lease tells the owner; nothing is leased twice.
    let claim = "select user_id::text from claim_jobs(5, 100, 10) order by 1";
    assert_eq!(texts(runtime.connection(), claim).await, [A, B]);
    assert!(texts(runtime.connection(), claim).await.is_empty());
}

/// The one who logs in has no rows: it opens doors or takes on a role.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_role_there_are_only_doors() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let (_, runtime) = database(&server).await;
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
