//! An empty pool is said soon, the workers' is another one, and no connection waits for ever.

mod common;

use std::time::{Duration, Instant};

use adapter_sql::{SqlConfig, SqlMemoryIndex, SqlStore};
use common::{open, postgres_url};
use domain::memory::MemoryIndex;
use domain::store::{Store, StoreError};
use sea_orm::ConnectionTrait;
use testkit::seed;
use testkit::servers::Postgres;

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_use_up_their_pool_do_not_stop_the_workers() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let url = postgres_url(&server).await;
    let user = seed::user(&open(url.clone()).await).await.id;
    let store = SqlStore::connect(&SqlConfig {
        connections: 2,
        worker_connections: 1,
        ..SqlConfig::new(url)
    })
    .await
    .unwrap();
    let held = [
        store.begin(user).await.unwrap(),
        store.read(user).await.unwrap(),
    ];
    let asked = Instant::now();
    let refused = store.begin(user).await.err();
    assert!(matches!(refused, Some(StoreError::Busy(_))), "{refused:?}");
    assert!(asked.elapsed() < Duration::from_secs(5), "a bounded wait");
    let mut work = store.for_workers().read(user).await.unwrap();
    assert!(work.users().find().await.unwrap().is_some());
    drop(work);
    let index = SqlMemoryIndex::new(&store, 0);
    assert!(index.space().await.is_err());
    let for_workers = index.through(&store.for_workers());
    assert_eq!(for_workers.space().await.unwrap(), None);
    // Nor is the database away for whoever looks.
    store.for_probes().ping().await.unwrap();
    drop(held);
    store.begin(user).await.unwrap().commit().await.unwrap();
}

/// In both pools the server itself ends what takes too long.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_or_transaction_that_takes_too_long_is_ended() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let config = SqlConfig {
        statement_timeout: Some(Duration::from_millis(700)),
        ..SqlConfig::new(postgres_url(&server).await)
    };
    let store = SqlStore::connect(&config).await.unwrap();
    for store in [store.for_workers(), store] {
        let db = store.connection();
        let slow = db.execute_unprepared("select pg_sleep(60)").await;
        let words = slow.unwrap_err().to_string();
        assert!(words.contains("statement timeout"), "{words}");
        // The connection is as good as before.
        store.ping().await.unwrap();
        let check = "do $$ begin assert current_setting('idle_in_transaction_session_timeout') = '30s' \
                     and current_setting('lock_timeout') = '2s'; end $$";
        db.execute_unprepared(check).await.unwrap();
    }
    let endless = SqlConfig {
        statement_timeout: None,
        ..config
    };
    let store = SqlStore::connect(&endless).await.unwrap();
    let check = "do $$ begin assert current_setting('statement_timeout') = '0'; end $$";
    store.connection().execute_unprepared(check).await.unwrap();
}
