//! The contract suite.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use adapter_qdrant::{QdrantConfig, QdrantMemoryIndex};
use qdrant_client::Qdrant;
use secrecy::SecretString;
use testkit::contract::memory_index::{self, IndexHarness};
use testkit::fakes::InMemoryStore;
use testkit::qdrant_server::QdrantServer;

/// Collections of each case have a name of their own.
fn fresh_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("memorychat-test-{}-{n}", std::process::id())
}

fn harness(config: QdrantConfig) -> IndexHarness {
    config.check().unwrap();
    let second = QdrantMemoryIndex::new(config.clone()).unwrap();
    IndexHarness {
        index: Arc::new(QdrantMemoryIndex::new(config).unwrap()),
        store: Arc::new(InMemoryStore::new()),
        second: Some(Arc::new(second)),
    }
}

fn on(url: &str) -> QdrantConfig {
    QdrantConfig {
        collection: fresh_name(),
        // The machine that tests is busy, and nobody waits.
        search_patience: std::time::Duration::from_secs(10),
        ..QdrantConfig::new(url)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_keeps_its_contract() {
    let server = QdrantServer::start();
    memory_index::check(async || harness(on(&server.url()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_keeps_its_contract_with_a_key() {
    let server = QdrantServer::with_key(Some("a-key"));
    let keyed = || QdrantConfig {
        api_key: Some(SecretString::from("a-key")),
        ..on(&server.url())
    };
    memory_index::check(async || harness(keyed())).await;
    let refused = harness(on(&server.url()));
    assert!(refused.index.space().await.is_err(), "without its key");
}

/// `TEST_QDRANT_URL` and `TEST_QDRANT_API_KEY` name a server; its collections that begin with
/// `memorychat-test-` are deleted afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn the_index_keeps_its_contract_on_a_real_server() {
    let variable = |name: &str| std::env::var_os(name).and_then(|value| value.into_string().ok());
    let Some(url) = variable("TEST_QDRANT_URL").filter(|url| !url.is_empty()) else {
        println!("left out: TEST_QDRANT_URL names no Qdrant server; the stand-in was tested");
        return;
    };
    let key = variable("TEST_QDRANT_API_KEY");
    let config = || QdrantConfig {
        api_key: key.clone().map(SecretString::from),
        allow_insecure: true,
        ..on(&url)
    };
    memory_index::check(async || harness(config())).await;
    let client = Qdrant::from_url(&url).api_key(key.clone()).build().unwrap();
    for collection in client.list_collections().await.unwrap().collections {
        if collection.name.starts_with("memorychat-test-") {
            client.delete_collection(collection.name).await.unwrap();
        }
    }
}
