//! The schema: its picture is current, and its constraints refuse what no repository would ask for.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::PathBuf;

use adapter_sql::{SqlConfig, SqlStore};
use common::{folder, in_dialect, open, postgres_url, sqlite_url};
use domain::store::StoreError;
use migrations::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use testkit::servers::Postgres;

async fn texts(store: &SqlStore, sql: &str) -> Vec<String> {
    let statement = Statement::from_string(DbBackend::Sqlite, sql);
    let rows = store.connection().query_all_raw(statement).await.unwrap();
    rows.iter()
        .map(|row| row.try_get_by_index(0).unwrap())
        .collect()
}

#[tokio::test]
async fn the_picture_of_the_schema_is_current() {
    let folder = folder();
    let store = open(sqlite_url(&folder)).await;
    let sql = "select sql || ';' from sqlite_master \
               where sql is not null and name <> 'seaql_migrations' order by rowid";
    let head = "-- The SQLite schema, drawn from the migrations by a test of adapter-sql. Do not edit:\n\
                -- UPDATE_SCHEMA=1 cargo test -p adapter-sql --test schema\n";
    let drawn = format!("{head}\n{}\n", texts(&store, sql).await.join("\n\n"));
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../migrations/schema.sql");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&file, &drawn).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == drawn,
        "migrations/schema.sql is out of date; its first lines say how to redraw it"
    );
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let folder = folder();
    let url = sqlite_url(&folder);
    let store = open(url.clone()).await;
    let tables = "select name from sqlite_master order by name";
    let before = texts(&store, tables).await;
    store.close().await.unwrap();
    let store = open(url).await;
    assert_eq!(texts(&store, tables).await, before);
    assert!(
        Migrator::get_pending_migrations(store.connection())
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn an_empty_database_says_what_is_pending() {
    let folder = folder();
    let store = SqlStore::connect(&SqlConfig::new(sqlite_url(&folder)))
        .await
        .unwrap();
    let pending = Migrator::get_pending_migrations(store.connection())
        .await
        .unwrap();
    assert_eq!(pending.len(), Migrator::migrations().len());
}

#[tokio::test]
async fn sqlite_runs_as_it_must() {
    let folder = folder();
    let store = open(sqlite_url(&folder)).await;
    for (pragma, expected) in [
        ("journal_mode", "wal"),
        ("synchronous", "2"),
        ("foreign_keys", "1"),
        ("busy_timeout", "10000"),
        ("secure_delete", "1"),
    ] {
        let sql = format!("select cast({pragma} as text) from pragma_{pragma}");
        let sql = sql.replace("cast(busy_timeout", "cast(timeout");
        assert_eq!(texts(&store, &sql).await, [expected], "{pragma}");
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_is_unavailable() {
    for url in [
        "mysql://localhost/x",
        "sqlite::memory:",
        "sqlite:/nowhere/at/all.db",
    ] {
        let outcome = SqlStore::connect(&SqlConfig::new(url)).await;
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{url}");
    }
}

/// Two users, `aa` and `bb`, each with a profile and a session; `aa` has one message of each stamp.
const ROWS: &[&str] = &[
    "insert into users values ({aa}, 'a@example.org', {yes}, 1, 1, null), \
     ({bb}, 'b@example.org', {yes}, 1, 1, null)",
    "insert into memory_profiles values ({a1}, {aa}, 'Default', null, {yes}, 1, 1), \
     ({b1}, {bb}, 'Default', null, {yes}, 1, 1)",
    "insert into chat_sessions values ({a2}, {aa}, {a1}, 'normal', 1, 1), \
     ({b2}, {bb}, {b1}, 'normal', 1, 1)",
    "insert into chat_messages values \
     ({a3}, {aa}, {a2}, 1, 'normal', 'complete', 'user', 'x', null, null, null, null, 1, 1, null), \
     ({a4}, {aa}, {a2}, 2, 'pause_memories', 'complete', 'user', 'x', null, null, null, null, 1, 1, null)",
];

/// A good memory of `aa`, drawn from a normal message.
const MEMORY: &str = "insert into memories values ({a5}, {aa}, {a1}, 'x', {a5}, 'extracted', 1, 1, 1, \
                      null, {no}, {aa}, {a3}, 'normal')";

/// What the database itself must refuse, whatever the code above it does.
const REFUSED: &[(&str, &str)] = &[
    (
        "a session on someone else's profile",
        "insert into chat_sessions values ({c1}, {aa}, {b1}, 'normal', 1, 1)",
    ),
    (
        "a session moved to someone else's profile",
        "update chat_sessions set profile_id = {b1} where id = {a2}",
    ),
    (
        "a message in someone else's session",
        "insert into chat_messages values ({c1}, {aa}, {b2}, 1, 'normal', 'complete', 'user', 'x', \
         null, null, null, null, 1, 1, null)",
    ),
    (
        "a message stamped incognito",
        "insert into chat_messages values ({c1}, {aa}, {a2}, 9, 'incognito', 'complete', 'user', 'x', \
         null, null, null, null, 1, 1, null)",
    ),
    (
        "a message stamped incognito afterwards",
        "update chat_messages set memory_mode = 'incognito' where id = {a4}",
    ),
    (
        "a session in no known mode",
        "update chat_sessions set privacy_mode = 'off' where id = {a2}",
    ),
    (
        "a memory drawn from a paused message",
        "insert into memories values ({c1}, {aa}, {a1}, 'x', {c1}, 'extracted', 1, 1, 1, null, {no}, \
         {aa}, {a4}, 'pause_memories')",
    ),
    (
        "a memory that lies about a paused message",
        "insert into memories values ({c1}, {aa}, {a1}, 'x', {c1}, 'extracted', 1, 1, 1, null, {no}, \
         {aa}, {a4}, 'normal')",
    ),
    (
        "a memory that names a message but no mode",
        "insert into memories values ({c1}, {aa}, {a1}, 'x', {c1}, 'extracted', 1, 1, 1, null, {no}, \
         {aa}, {a4}, null)",
    ),
    (
        "a memory drawn from someone else's message",
        "insert into memories values ({c1}, {bb}, {b1}, 'x', {c1}, 'extracted', 1, 1, 1, null, {no}, \
         {aa}, {a3}, 'normal')",
    ),
    (
        "a memory in someone else's profile",
        "insert into memories values ({c1}, {aa}, {b1}, 'x', {c1}, 'manual', 1, 1, 1, null, {no}, \
         null, null, null)",
    ),
    (
        "an entry of the index in another scope than its memory",
        "insert into memory_vectors (memory_id, user_id, profile_id, vector, terms, length, revision) values ({a5}, {bb}, {b1}, null, {bytes}, 0, 1)",
    ),
    (
        "a second default profile",
        "insert into memory_profiles values ({c1}, {aa}, 'Second', null, {yes}, 1, 1)",
    ),
    (
        "a profile deleted under its sessions",
        "delete from memory_profiles where id = {a1}",
    ),
];

async fn run(store: &SqlStore, sql: &str) -> Result<u64, DbErr> {
    let db = store.connection();
    let sql = in_dialect(sql, db.get_database_backend());
    db.execute_unprepared(&sql)
        .await
        .map(|done| done.rows_affected())
}

async fn check_constraints(store: &SqlStore) {
    for sql in ROWS.iter().chain([&MEMORY]) {
        run(store, sql).await.unwrap();
    }
    for (what, sql) in REFUSED {
        match run(store, sql).await {
            Ok(_) => panic!("the database accepts {what}"),
            Err(error) => {
                let words = error.to_string().to_lowercase();
                assert!(
                    words.contains("constraint"),
                    "{what} fails otherwise: {words}"
                );
            }
        }
    }
    // A memory outlives its source and forgets it.
    run(store, "delete from chat_messages where id = {a3}")
        .await
        .unwrap();
    let orphans = "update memories set version = 2 where id = {a5} and source_message_id is null \
                   and source_user_id is null and source_mode is null";
    assert_eq!(run(store, orphans).await.unwrap(), 1);
    // Everything goes with its user.
    run(store, "delete from users where id = {aa}")
        .await
        .unwrap();
    assert_eq!(
        run(store, "delete from memories where user_id = {aa}")
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        run(store, "delete from chat_sessions where user_id = {aa}")
            .await
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn sqlite_refuses_what_must_not_be() {
    let folder = folder();
    check_constraints(&open(sqlite_url(&folder)).await).await;
}

#[tokio::test]
async fn postgres_refuses_what_must_not_be() {
    let Some(server) = Postgres::start() else {
        return;
    };
    check_constraints(&open(postgres_url(&server).await).await).await;
}
