//! A Postgres that vanishes without a word: whoever waits is told, and the pool comes back.

mod common;

use std::time::Duration;

use adapter_sql::{SqlConfig, SqlStore};
use common::{open, postgres_url};
use domain::account::AccountDirectory;
use domain::ids::LoginId;
use domain::store::{Store, StoreError};
use testkit::cutter::Cutter;
use testkit::fixtures::fresh_id;
use testkit::seed;
use testkit::servers::Postgres;
use tokio::time::timeout;

/// Many times what it takes, and far less than TCP would wait.
const SOON: Duration = Duration::from_mins(1);

fn is_silent<T>(outcome: &Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Unavailable(_)))
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_server_that_is_gone() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let url = postgres_url(&server).await;
    open(url.clone()).await;
    let wire = Cutter::to(server.port());
    let port = |port: u16| format!(":{port}/");
    let store = SqlStore::connect(&SqlConfig {
        connections: 3,
        statement_timeout: Some(Duration::from_secs(3)),
        ..SqlConfig::new(url.replace(&port(server.port()), &port(wire.port())))
    })
    .await
    .unwrap();
    let user = seed::user(&store).await.id;
    let mut asking = store.read(user).await.unwrap();
    let mut changing = store.begin(user).await.unwrap();
    changing.users().find().await.unwrap().unwrap();
    // The third connection is there too, and back in the pool, for whoever asks next.
    store.ping().await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;

    wire.fall_silent();
    let (asked, changed, begun) = timeout(SOON, async {
        tokio::join!(
            asking.users().find(),
            changing.commit(),
            store.login(LoginId::new(fresh_id())),
        )
    })
    .await
    .unwrap();
    assert!(is_silent(&asked), "{asked:?}");
    assert!(is_silent(&changed), "{changed:?}");
    assert!(is_silent(&begun), "{begun:?}");
    drop(asking);

    // Who comes now gets new connections, as many as ever.
    let held = timeout(SOON, async {
        let mut held = Vec::new();
        while held.len() < 3 {
            held.extend(store.begin(user).await);
        }
        held
    });
    for mut work in held.await.unwrap() {
        assert!(work.users().find().await.unwrap().is_some());
        work.commit().await.unwrap();
    }
}
