//! The contracts of the ports, over scripted services.

use std::sync::Arc;
use std::time::Duration;

use adapter_openai::{OpenAi, OpenAiChatModel, OpenAiConfig, Patience};
use async_trait::async_trait;
use domain::chat::ChatModel;
use domain::memory::{Embedder, EmbeddingPurpose};
use domain::session::{FinishReason, TokenUsage};
use futures::FutureExt;
use serde_json::{Value, json};
use testkit::contract;
use testkit::contract::chat_model::{ModelScript, Refusal, Script};
use testkit::fakes::HashEmbedder;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::embed::embedder;
use crate::raw::{RawService, Then};
use crate::script::*;

/// A service that does what the script says, at every call.
struct ScriptedService {
    server: MockServer,
}

#[async_trait]
impl ModelScript for ScriptedService {
    async fn model_that(&self, script: Script) -> Arc<dyn ChatModel> {
        let answer = match script {
            Script::Say {
                deltas,
                finish,
                usage,
            } => stream(&chunks(&deltas, finish, usage)),
            Script::Refuse(refusal) => refused(refusal),
            Script::BreakOff { after } => {
                let words: Vec<_> = after.iter().map(|delta| words(delta)).collect();
                let service = RawService::start(vec![open_sse(&words).into_bytes()], Then::Cut);
                return impatient(&service.base_url);
            }
        };
        self.server.reset().await;
        Mock::given(wiremock::matchers::any())
            .respond_with(answer)
            .mount(&self.server)
            .await;
        impatient(&self.server.uri())
    }
}

/// Waits for nobody who asks for seconds.
fn impatient(base_url: &str) -> Arc<dyn ChatModel> {
    let patience = Patience {
        longest_pause: Duration::ZERO,
        ..patience()
    };
    let config = OpenAiConfig {
        patience,
        ..config(base_url)
    };
    Arc::new(OpenAiChatModel::new(OpenAi::new(config).unwrap()))
}

fn chunks(deltas: &[String], reason: FinishReason, tokens: Option<TokenUsage>) -> Vec<Value> {
    let mut chunks: Vec<_> = deltas.iter().map(|delta| words(delta)).collect();
    chunks.push(finish(reason.as_str()));
    chunks.extend(tokens.map(|tokens| usage(tokens.prompt, tokens.completion)));
    chunks
}

fn refused(by: Refusal) -> ResponseTemplate {
    match by {
        Refusal::RateLimited => ResponseTemplate::new(429).insert_header("retry-after", "7"),
        Refusal::Unauthorized => ResponseTemplate::new(401),
        Refusal::PromptTooLong => refusal(400, "context_length_exceeded", ""),
        Refusal::Unavailable => ResponseTemplate::new(503),
    }
}

#[tokio::test]
async fn the_model_keeps_the_contract_of_chat_models() {
    let fresh = || async {
        Box::new(ScriptedService {
            server: MockServer::start().await,
        }) as Box<dyn ModelScript>
    };
    contract::chat_model::check(fresh).await;
}

/// A service over the embedder that the fakes have, with a window of its own.
fn hashes(request: &Request) -> ResponseTemplate {
    let mut body: Value = serde_json::from_slice(&request.body).unwrap();
    let texts: Vec<String> = serde_json::from_value(body["input"].take()).unwrap();
    if texts.iter().any(|text| text.len() > 2000) {
        return refusal(400, "context_length_exceeded", "");
    }
    let fake = HashEmbedder::new();
    let vectors = fake
        .embed(texts, EmbeddingPurpose::Document)
        .now_or_never()
        .unwrap()
        .unwrap();
    let item = |(i, vector): (usize, &domain::memory::Embedding)| json!({ "index": i, "embedding": vector.values() });
    let data: Vec<_> = vectors.iter().enumerate().map(item).collect();
    ResponseTemplate::new(200).set_body_json(json!({ "data": data }))
}

#[tokio::test]
async fn the_embedder_keeps_the_contract_of_embedders() {
    let server = MockServer::start().await;
    Mock::given(wiremock::matchers::any())
        .respond_with(hashes)
        .mount(&server)
        .await;
    let embedder: Arc<dyn Embedder> = Arc::new(embedder(&server).await.unwrap());
    contract::embedder::check(|| async { embedder.clone() }).await;
}
