//! Data written under an older schema survives the changes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use adapter_sql::{SqlConfig, SqlStore};
use common::{folder, in_dialect, owned_url, postgres_url, sqlite_url};
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
    "update memories set indexed_version = 1 where id = {a6}",
    "insert into index_revisions values ({aa}, {a3}, 1)",
    "insert into memory_vectors values ({a6}, {aa}, {a3}, null, {bytes}, 0, 1)",
    "insert into outbox values ({a7}, {aa}, 'index', {a6}, {a3}, 'pending', 0, 1, null, null)",
];

/// Tables whose rows belong to a user, each with one row in [`OLD`].
const CHILDREN: [&str; 10] = [
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

/// The changes are made by their owner; somebody who sees all rows puts them in and looks at them.
async fn check(owner: &SqlStore, store: &SqlStore) {
    if owner.connection().get_database_backend() == DbBackend::Postgres {
        run(owner, "create schema mc").await;
    }
    Migrator::up(owner.connection(), Some(6)).await.unwrap();
    for sql in OLD {
        run(store, sql).await;
    }
    migrations::up(owner.connection()).await.unwrap();

    let ada = "users where id = {aa} and email = 'a@example.org' and is_active = {yes} \
               and created_at = 1 and updated_at = 2 and issuer is null";
    let bob = "users where id = {bb} and email = 'b@example.org' and is_active = {no}";
    assert_eq!((count(store, ada).await, count(store, bob).await), (1, 1));
    for table in CHILDREN {
        assert_eq!(count(store, table).await, 1, "{table}");
    }
    let ending = "logins where expires_at = 1 + 7776000000000";
    assert_eq!(count(store, ending).await, 1, "no log-in is for ever");
    let current = "memory_vectors where version = 1";
    assert_eq!(count(store, current).await, 1, "an entry of its memory");
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
    run(store, "delete from users where id = {aa}").await;
    for table in CHILDREN {
        assert_eq!(count(store, table).await, 0, "{table}");
    }
}

async fn connect(url: String) -> SqlStore {
    SqlStore::connect(&SqlConfig::new(url)).await.unwrap()
}

#[tokio::test]
async fn sqlite_keeps_what_was_written_before() {
    let folder = folder();
    let store = connect(sqlite_url(&folder)).await;
    check(&store, &store).await;
}

#[tokio::test]
async fn postgres_keeps_what_was_written_before() {
    for server in Postgres::each() {
        // The owner without powers comes first: from version 16 on it may use the roles that it made.
        let url = owned_url(&server).await;
        let admin = connect(url.replace("landlord@", "postgres@")).await;
        check(&connect(url).await, &admin).await;
        let admin = connect(postgres_url(&server).await).await;
        check(&admin, &admin).await;
    }
}
