//! Data written under an older schema survives the changes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use adapter_sql::{SqlConfig, SqlStore};
use common::{folder, in_dialect, postgres_url, sqlite_url};
use migrations::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use testkit::servers::Postgres;

/// A database as the first six changes made it: two users, one with all that can hang on a user.
const OLD: &[&str] = &[
    "insert into users values ({aa}, 'a@example.org', {yes}, 1, 2), ({bb}, 'b@example.org', {no}, 3, 4)",
    "insert into user_credentials values ({aa}, 'hash', 5)",
    "insert into logins values ({a1}, {aa}, 1, 1, 253370764800000000, null)",
    "insert into api_keys values ({a2}, {aa}, 'key', 'mck_', 'keyhash', 'read', 1, null, null)",
    "insert into memory_profiles values ({a3}, {aa}, 'Default', null, {yes}, 1, 1)",
    "insert into chat_sessions values ({a4}, {aa}, {a3}, 'normal', 1, 1)",
    "insert into chat_messages values ({a5}, {aa}, {a4}, 1, 'normal', 'complete', 'user', 'hello', \
     null, null, null, null, 1, 1)",
    "insert into memories values ({a6}, {aa}, {a3}, 'tea', {a6}, 'extracted', 1, 1, 1, null, {no}, \
     {aa}, {a5}, 'normal')",
    "insert into outbox values ({a7}, {aa}, 'index', {a6}, {a3}, 'pending', 0, 1, null, null)",
];

/// Tables whose rows belong to a user, each with one row in [`OLD`].
const CHILDREN: [&str; 8] = [
    "user_credentials",
    "logins",
    "api_keys",
    "memory_profiles",
    "chat_sessions",
    "chat_messages",
    "memories",
    "outbox",
];

async fn run(store: &SqlStore, sql: &str) {
    let db = store.connection();
    let sql = in_dialect(sql, db.get_database_backend());
    db.execute_unprepared(&sql).await.unwrap();
}

async fn count(store: &SqlStore, from: &str) -> i64 {
    let db = store.connection();
    let sql = in_dialect(
        &format!("select count(*) from {from}"),
        db.get_database_backend(),
    );
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

async fn check(url: String) {
    let store = SqlStore::connect(&SqlConfig::new(url)).await.unwrap();
    if store.connection().get_database_backend() == DbBackend::Postgres {
        run(&store, "create schema mc").await;
    }
    Migrator::up(store.connection(), Some(6)).await.unwrap();
    for sql in OLD {
        run(&store, sql).await;
    }
    migrations::up(store.connection()).await.unwrap();

    let ada = "users where id = {aa} and email = 'a@example.org' and is_active = {yes} \
               and created_at = 1 and updated_at = 2 and issuer is null";
    let bob = "users where id = {bb} and email = 'b@example.org' and is_active = {no}";
    assert_eq!((count(&store, ada).await, count(&store, bob).await), (1, 1));
    for table in CHILDREN {
        assert_eq!(count(&store, table).await, 1, "{table}");
    }
    let ending = "logins where expires_at = 1 + 7776000000000";
    assert_eq!(count(&store, ending).await, 1, "no log-in is for ever");
    // The children still hang on their user.
    let orphan = in_dialect(
        "insert into logins values ({c1}, {cc}, 1, 1, 9, null)",
        store.connection().get_database_backend(),
    );
    assert!(
        store
            .connection()
            .execute_unprepared(&orphan)
            .await
            .is_err()
    );
    run(&store, "delete from users where id = {aa}").await;
    for table in CHILDREN {
        assert_eq!(count(&store, table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn sqlite_keeps_what_was_written_before() {
    let folder = folder();
    check(sqlite_url(&folder)).await;
}

#[tokio::test]
async fn postgres_keeps_what_was_written_before() {
    let Some(server) = Postgres::start() else {
        return;
    };
    check(postgres_url(&server).await).await;
}
