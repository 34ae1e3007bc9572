//! Nothing that people wrote gets into a log, at any level, or into the text of an error.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::error::Error;
use std::io::Write;
use std::sync::{Arc, Mutex};

use adapter_sql::SqlStore;
use common::{folder, index_harness, open, postgres_url, sqlite_url};
use domain::ids::{MessageId, SessionId};
use domain::memory::{Embedding, EmbeddingSpace, IndexEntry, IndexQuery, Terms};
use domain::privacy::{LearnGrant, PrivacyMode, RecallGrant};
use domain::session::Message;
use domain::store::{Store, StoreError};
use testkit::fixtures::{a_message, a_profile, fresh_id};
use testkit::seed;
use testkit::servers::Postgres;
use tracing_subscriber::fmt::format::FmtSpan;

const CANARY: &str = "canaryzwitschert";

/// Everything that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An error with all its causes, as people and as programmers see them.
fn words_of(error: &StoreError) -> String {
    let mut words = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words} {error} {error:?}");
        cause = error.source();
    }
    words
}

/// Adds, reads, searches, and fails in each way; the texts of the failures.
async fn live(store: &SqlStore) -> String {
    let (user, profile) = seed::user_with_profile(store).await;
    let named = a_profile(user.id, CANARY);
    seed::add_profile(store, &named).await;
    let session = seed::session(store, user.id, Some(profile.id())).await;
    let message = seed::message(store, &session, CANARY).await;
    let memory = seed::memory(store, &profile, CANARY).await;

    let index = index_harness(store.clone()).index;
    let embedding = Embedding::new(vec![1.0, 0.0]);
    index
        .adopt(&EmbeddingSpace {
            model: "logs".to_owned(),
            dimension: 2,
        })
        .await
        .unwrap();
    let terms = Terms::of(CANARY);
    let entry = IndexEntry {
        memory: memory.id,
        version: memory.version,
        terms: terms.clone(),
        embedding: embedding.clone(),
    };
    index
        .upsert(&LearnGrant::by_owner(&profile), vec![entry])
        .await
        .unwrap();
    let grant = RecallGrant::by_owner(&profile);
    let query = IndexQuery {
        terms,
        embedding,
        limit: 5,
    };
    assert_eq!(index.search(&grant, &query).await.unwrap().len(), 1);

    let again = Message {
        id: message.id,
        ..a_message(session.id, CANARY)
    };
    let secret = Message {
        stamp: PrivacyMode::Incognito,
        ..a_message(session.id, CANARY)
    };
    let astray = a_message(SessionId::new(fresh_id()), CANARY);
    let nul = a_message(session.id, &format!("{CANARY}\0"));
    let mut failures = String::new();
    for message in [again, secret, astray, nul] {
        let mut work = store.begin(user.id).await.unwrap();
        if let Err(error) = work.messages().add(&message).await {
            failures += &words_of(&error);
        }
    }
    let mut work = store.begin(user.id).await.unwrap();
    failures += &words_of(
        &work
            .profiles()
            .add(&a_profile(user.id, CANARY))
            .await
            .unwrap_err(),
    );
    let mut reader = store.read(user.id).await.unwrap();
    failures += &words_of(
        &reader
            .messages()
            .add(&a_message(session.id, CANARY))
            .await
            .unwrap_err(),
    );
    let found = store
        .read(user.id)
        .await
        .unwrap()
        .messages()
        .find(MessageId::new(fresh_id()))
        .await;
    assert_eq!(found.unwrap(), None);
    failures
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_write_is_in_no_log_and_in_no_error() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_writer(move || writer.clone())
        .init();
    let folder = folder();
    let mut failures = live(&open(sqlite_url(&folder)).await).await;
    if let Some(server) = Postgres::start() {
        failures += &live(&open(postgres_url(&server).await).await).await;
    }
    assert!(failures.contains("conflict on mode"), "{failures}");
    assert!(!failures.contains(CANARY), "{failures}");

    tracing::trace!("a control: {}", CANARY.to_uppercase());
    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(
        log.contains(&CANARY.to_uppercase()) && log.contains("sea_orm"),
        "nothing was logged"
    );
    let line = log.lines().find(|line| line.contains(CANARY));
    assert_eq!(line, None);
}
