//! The adapter against a real OpenAI-compatible server: llama.cpp's, with a small chat model.
//!
//! The model is too small to be right, so these tests look at the form of what it says.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use adapter_openai::{
    OpenAi, OpenAiChatModel, OpenAiConfig, OpenAiEmbedder, OpenAiExtractor, OpenAiProbe, Patience,
};
use domain::chat::{ChatModel, ModelError, Prompt, PromptMessage, ReplyEvent, complete};
use domain::health::Probe;
use domain::ids::{MessageId, ProfileId, UserId};
use domain::memory::{Embedder, EmbeddingPurpose, ExtractError, MemoryExtractor, Utterance};
use domain::privacy::{LearnGrant, MemoryScope, PrivacyMode};
use domain::session::{FinishReason, Role};
use futures::StreamExt;
use testkit::fixtures::fresh_id;
use testkit::llama_server::LlamaServer;

/// A connection to the server, when there is one. A busy machine may take long.
fn client() -> Option<OpenAi> {
    client_with_key(LlamaServer::KEY)
}

fn client_with_key(key: &str) -> Option<OpenAi> {
    let long = Duration::from_mins(5);
    let config = OpenAiConfig {
        base_url: LlamaServer::shared()?.base_url().to_owned(),
        api_key: Some(key.into()),
        model: "smollm2".to_owned(),
        temperature: 0.0,
        max_tokens: 64,
        context_tokens: Some(LlamaServer::WINDOW),
        patience: Patience {
            first_token: long,
            idle: long,
            ..Patience::default()
        },
    };
    Some(OpenAi::new(config).unwrap())
}

fn prompt(question: &str, max_reply_tokens: u32) -> Prompt {
    let content = question.to_owned();
    Prompt {
        messages: vec![PromptMessage {
            role: Role::User,
            content,
        }],
        max_reply_tokens,
    }
}

#[tokio::test]
async fn an_answer_streams_and_tells_its_usage() {
    let Some(client) = client() else { return };
    let model = OpenAiChatModel::new(client);
    let mut stream = model
        .stream(prompt("Count from one to twenty.", 8))
        .await
        .unwrap();
    let mut deltas = 0;
    let mut end = None;
    while let Some(event) = stream.next().await {
        match event.unwrap() {
            ReplyEvent::Delta(words) => deltas += usize::from(!words.is_empty()),
            ReplyEvent::Finished { finish, usage, .. } => end = Some((finish, usage.unwrap())),
        }
    }
    let (finish, usage) = end.unwrap();
    assert!(deltas > 1, "the answer came in one piece");
    assert_eq!((finish, usage.completion), (FinishReason::Length, 8));
    assert!(usage.prompt > 5);
}

#[tokio::test]
async fn a_prompt_over_the_window_is_too_long() {
    let Some(client) = client() else { return };
    let long = prompt(&"one two ".repeat(2000), 8);
    let reply = complete(&OpenAiChatModel::new(client), long).await;
    assert!(matches!(reply, Err(ModelError::PromptTooLong)), "{reply:?}");
}

#[tokio::test]
async fn a_wrong_key_is_refused() {
    let Some(client) = client_with_key("wrong") else {
        return;
    };
    let reply = complete(&OpenAiChatModel::new(client.clone()), prompt("Hello", 8)).await;
    assert!(matches!(reply, Err(ModelError::Unauthorized)), "{reply:?}");
}

#[tokio::test]
async fn the_probe_finds_it_well() {
    let Some(client) = client() else { return };
    assert_eq!(
        OpenAiProbe::new(client).check().await,
        Ok("smollm2 at 127.0.0.1".to_owned())
    );
}

#[tokio::test]
async fn texts_become_vectors_and_like_texts_like_vectors() {
    let Some(client) = client() else { return };
    let embedder = OpenAiEmbedder::connect(client, "smollm2".to_owned())
        .await
        .unwrap();
    let texts = ["My dog is called Rex.", "My dog has the name Rex.", ""].map(str::to_owned);
    let vectors = embedder
        .embed(texts.to_vec(), EmbeddingPurpose::Document)
        .await
        .unwrap();
    assert_eq!(vectors.len(), texts.len());
    assert!(
        vectors
            .iter()
            .all(|vector| vector.dimension() == embedder.space().dimension)
    );
    let dot = |a: usize, b: usize| -> f32 {
        vectors[a]
            .values()
            .iter()
            .zip(vectors[b].values())
            .map(|(a, b)| a * b)
            .sum()
    };
    assert!(dot(0, 1) > dot(0, 2), "{} {}", dot(0, 1), dot(0, 2));
}

#[tokio::test]
async fn extraction_follows_the_schema_or_says_that_it_cannot() {
    let Some(client) = client() else { return };
    let scope = MemoryScope {
        user: UserId::new(fresh_id()),
        profile: ProfileId::new(fresh_id()),
    };
    let grant = LearnGrant::from_message(PrivacyMode::Normal, scope).unwrap();
    let utterance = Utterance {
        message: MessageId::new(fresh_id()),
        text: "My dog is called Rex and I live in Berlin.".to_owned(),
        before: vec![(Role::Assistant, "Tell me about yourself.".to_owned())],
    };
    match OpenAiExtractor::new(client)
        .extract(&grant, &utterance)
        .await
    {
        Ok(facts) => {
            assert!(facts.len() <= 10);
            assert!(
                facts
                    .iter()
                    .all(|fact| !fact.text.is_empty() && !fact.quote.is_empty())
            );
        }
        // A model of this size may run on inside a string until its tokens are used up.
        Err(ExtractError::Unusable(why)) => println!("the small model gave no whole answer: {why}"),
        Err(error) => panic!("{error:?}"),
    }
}
