//! An empty pool is said soon, and the workers' is another one.

mod common;

use std::time::{Duration, Instant};

use adapter_sql::{SqlConfig, SqlMemoryIndex, SqlStore};
use common::{open, postgres_url};
use domain::memory::MemoryIndex;
use domain::store::{Store, StoreError};
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
