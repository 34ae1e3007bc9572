//! Databases to test on: SQLite files in a temporary folder, schemas of a Postgres of our own.
#![expect(dead_code, reason = "each test binary uses its part")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use adapter_sql::{SqlConfig, SqlMemoryIndex, SqlStore};
use sea_orm::{ConnectionTrait, DbBackend};
use tempfile::TempDir;
use testkit::contract::memory_index::IndexHarness;
use testkit::contract::store::StoreHarness;
use testkit::servers::Postgres;

/// A folder that is removed when the test ends.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A database file that does not exist yet.
pub(crate) fn sqlite_url(folder: &TempDir) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let file = format!("{}.db", NEXT.fetch_add(1, Ordering::Relaxed));
    format!("sqlite:{}", folder.path().join(file).display())
}

/// An empty database, as its owner sees it.
pub(crate) async fn postgres_url(server: &Postgres) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let database = format!("case_{}_{n}", std::process::id());
    let admin = SqlStore::connect(&SqlConfig::new(server.url()))
        .await
        .unwrap();
    let sql = format!("create database {database}");
    admin.connection().execute_unprepared(&sql).await.unwrap();
    admin.close().await.unwrap();
    server.database_url(&database)
}

/// An empty database as `landlord` sees it, who may make schemas and roles and has no other power: an owner
/// as at a hosting service. Once for a server.
pub(crate) async fn owned_url(server: &Postgres) -> String {
    let url = postgres_url(server).await;
    let admin = SqlStore::connect(&SqlConfig::new(url.as_str()))
        .await
        .unwrap();
    let grant = "create role landlord login createrole; \
                 do $$ begin execute format('grant create on database %I to landlord', current_database()); end $$";
    admin.connection().execute_unprepared(grant).await.unwrap();
    admin.close().await.unwrap();
    url.replace("postgres@", "landlord@")
}

/// The database with its tables, as its owner.
pub(crate) async fn open(url: String) -> SqlStore {
    let store = SqlStore::connect(&SqlConfig::new(url)).await.unwrap();
    migrations::up(store.connection()).await.unwrap();
    store
}

/// An empty database with its tables, as its owner and as the program at run time.
pub(crate) async fn open_postgres(server: &Postgres) -> (SqlStore, SqlStore) {
    let url = postgres_url(server).await;
    let runtime = url.replace("postgres@", "mc_login@");
    let owner = open(url).await;
    let runtime = SqlStore::connect(&SqlConfig::new(runtime)).await.unwrap();
    (owner, runtime)
}

/// Fills in ids, two letters each, truth values and bytes.
pub(crate) fn in_dialect(sql: &str, backend: DbBackend) -> String {
    let postgres = backend == DbBackend::Postgres;
    let mut sql = sql
        .replace("{yes}", if postgres { "true" } else { "1" })
        .replace("{no}", if postgres { "false" } else { "0" })
        .replace("{bytes}", if postgres { "'\\x00'" } else { "x'00'" });
    while let Some(at) = sql.find('{') {
        let id = sql[at + 1..at + 3].repeat(16);
        let literal = if postgres {
            format!("'{id}'::uuid")
        } else {
            format!("x'{id}'")
        };
        sql.replace_range(at..at + 4, &literal);
    }
    sql
}

/// The store as the suites see it.
pub(crate) fn harness(store: SqlStore) -> StoreHarness {
    let store = Arc::new(store);
    StoreHarness {
        workers: Arc::new(store.for_workers()),
        queue: Arc::new(store.for_workers()),
        maintenance: Arc::new(store.for_workers()),
        directory: store.clone(),
        store,
    }
}

/// The memory index as its suite sees it: written by the workers, who may less. The second instance shares the database only: it knows
/// nothing of what the first has in memory.
pub(crate) fn index_harness(store: SqlStore) -> IndexHarness {
    const CACHE_BYTES: u64 = 64 << 20;
    IndexHarness {
        index: Arc::new(SqlMemoryIndex::new(&store.for_workers(), CACHE_BYTES)),
        second: Some(Arc::new(SqlMemoryIndex::new(&store, CACHE_BYTES))),
        store: Arc::new(store),
    }
}
