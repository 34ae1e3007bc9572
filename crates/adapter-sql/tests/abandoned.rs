//! A caller may go away at any moment: what it began is rolled back, and nobody after it suffers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use adapter_sql::SqlStore;
use common::{folder, open, postgres_url, sqlite_url};
use domain::page::PageRequest;
use domain::session::Message;
use domain::store::{Store, StoreError};
use testkit::fixtures::a_message;
use testkit::seed;
use testkit::servers::Postgres;

/// Stores two messages, or none.
async fn a_turn(
    store: &SqlStore,
    owner: domain::ids::UserId,
    pair: &[Message; 2],
) -> Result<(), StoreError> {
    let mut work = store.begin(owner).await?;
    for message in pair {
        work.messages().add(message).await?;
    }
    work.commit().await
}

/// Breaks off turns after longer and longer times, then looks at what is left of them.
async fn abandon(store: &SqlStore) {
    let user = seed::user(store).await;
    let session = seed::session(store, user.id, None).await;
    let mut finished = 0;
    for step in 0..150 {
        let pair = ["question", "answer"].map(|text| a_message(session.id, text));
        let turn = a_turn(store, user.id, &pair);
        if let Ok(outcome) = tokio::time::timeout(Duration::from_micros(step * 40), turn).await {
            outcome.unwrap();
            finished += 1;
        }
    }
    let last = ["question", "answer"].map(|text| a_message(session.id, text));
    a_turn(store, user.id, &last).await.unwrap();

    let mut reader = store.read(user.id).await.unwrap();
    let stored = reader
        .messages()
        .list(session.id, PageRequest::first(1000))
        .await
        .unwrap()
        .items;
    let texts: Vec<_> = stored
        .iter()
        .map(|message| message.content.as_str())
        .collect();
    assert!(
        texts.chunks(2).all(|pair| pair == ["question", "answer"]),
        "half a turn was stored"
    );
    // A turn that was given up while it was being committed may have been stored all the same.
    assert!(
        texts.len() / 2 > finished,
        "a turn that was acknowledged is lost"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_turn_leaves_sqlite_in_order() {
    let folder = folder();
    abandon(&open(sqlite_url(&folder)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_turn_leaves_postgres_in_order() {
    let Some(server) = Postgres::start() else {
        return;
    };
    abandon(&open(postgres_url(&server).await).await).await;
}
