//! The fakes keep the contracts of their ports.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use async_trait::async_trait;
use domain::account::{LocalIdentity, LocalIdentityConfig, PasswordHasher, TokenAuthority};
use domain::chat::{ChatModel, ModelError};
use domain::memory::Embedder;
use domain::session::RamTranscripts;
use testkit::contract::chat_model::{ModelScript, Refusal, Script};
use testkit::contract::identity_provider::IdentityHarness;
use testkit::contract::memory_index::IndexHarness;
use testkit::contract::store::StoreHarness;
use testkit::contract::transcript_cache::TranscriptHarness;
use testkit::contract::{
    account_directory, chat_model, embedder, identity_provider, job_queue, maintenance,
    memory_index, password_hasher, store, token_authority, transcript_cache,
};
use testkit::fakes::{
    FakeTokens, FixedClock, HashEmbedder, InMemoryMemoryIndex, InMemoryStore, PlainHasher, Play,
    ScriptedChatModel, SequentialIds,
};

async fn a_store() -> StoreHarness {
    let store = Arc::new(InMemoryStore::new());
    StoreHarness {
        store: store.clone(),
        workers: store.clone(),
        directory: store.clone(),
        queue: store.clone(),
        maintenance: store,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_in_memory_is_a_store() {
    store::check(a_store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_in_memory_is_a_directory() {
    account_directory::check(a_store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_in_memory_is_a_queue() {
    job_queue::check(a_store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_in_memory_can_be_maintained() {
    maintenance::check(a_store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_in_memory_is_an_index() {
    memory_index::check(|| async {
        let index = InMemoryMemoryIndex::new();
        IndexHarness {
            store: Arc::new(InMemoryStore::new()),
            second: Some(Arc::new(index.clone())),
            index: Arc::new(index),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hash_embedder_is_an_embedder() {
    embedder::check(|| async { Arc::new(HashEmbedder::new()) as Arc<dyn Embedder> }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plain_hasher_is_a_hasher() {
    let fresh = || async { Arc::new(PlainHasher::default()) as Arc<dyn PasswordHasher> };
    password_hasher::check(fresh).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fake_tokens_are_an_authority() {
    let fresh = || async { Arc::new(FakeTokens::default()) as Arc<dyn TokenAuthority> };
    token_authority::check(fresh).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_of_ones_own_are_an_identity_provider() {
    identity_provider::check(|| async {
        let store = Arc::new(InMemoryStore::new());
        let clock = Arc::new(FixedClock::default());
        let identity = LocalIdentity::new(
            store.clone(),
            store.clone(),
            Arc::new(PlainHasher::default()),
            Arc::new(FakeTokens::default()),
            clock.clone(),
            Arc::new(SequentialIds::default()),
            LocalIdentityConfig::default(),
        );
        IdentityHarness {
            identity: Arc::new(identity),
            store,
            clock,
            keep: Box::new(()),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_transcripts_in_memory_are_a_cache() {
    transcript_cache::check(|| async {
        let clock = Arc::new(FixedClock::default());
        let cache = RamTranscripts::new(clock.clone(), transcript_cache::LIMITS);
        TranscriptHarness {
            cache: Arc::new(cache),
            pass: Box::new(move |time| {
                clock.advance(time);
                Box::pin(async {})
            }),
        }
    })
    .await;
}

#[derive(Default)]
struct Scripted {
    last: std::sync::Mutex<Option<Arc<ScriptedChatModel>>>,
}

fn play(script: Script) -> Play {
    match script {
        Script::Say {
            deltas,
            finish,
            usage,
        } => Play::Say(deltas, finish, usage),
        Script::BreakOff { after } => Play::BreakOff(after),
        Script::Refuse(refusal) => Play::Refuse(match refusal {
            Refusal::RateLimited => || ModelError::RateLimited {
                retry_after: Some(std::time::Duration::from_secs(7)),
            },
            Refusal::Unauthorized => || ModelError::Unauthorized,
            Refusal::PromptTooLong => || ModelError::PromptTooLong,
            Refusal::Unavailable => || ModelError::Unavailable("told to fail".into()),
        }),
    }
}

#[async_trait]
impl ModelScript for Scripted {
    async fn model_that(&self, script: Script) -> Arc<dyn ChatModel> {
        let model = Arc::new(ScriptedChatModel::always(play(script)));
        *self.last.lock().unwrap() = Some(model.clone());
        model
    }

    async fn stopped(&self) {
        let running = self
            .last
            .lock()
            .unwrap()
            .as_ref()
            .map(|model| model.running());
        assert_eq!(running, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scripted_model_is_a_chat_model() {
    chat_model::check(|| async { Box::new(Scripted::default()) as Box<dyn ModelScript> }).await;
}
