//! Facts out of what a person says, by one structured-output call.

mod answer;
mod question;

use async_trait::async_trait;
use domain::chat::{ModelError, ReplyEvent, ReplyStream};
use domain::error::Source;
use domain::memory::{Candidate, ExtractError, MemoryExtractor, Utterance};
use domain::privacy::LearnGrant;
use futures::StreamExt;

use crate::chat::{Call, Schema};
use crate::client::OpenAi;

/// Extracts with the chat model of an OpenAI-compatible service. A service that cannot follow a
/// schema is asked for JSON, and one that knows no JSON mode is asked in words; what works is
/// remembered by the client.
#[derive(Debug)]
pub struct OpenAiExtractor {
    client: OpenAi,
    schema: Schema,
}

impl OpenAiExtractor {
    /// Room for the facts of one message, unless the settings allow less.
    const REPLY_TOKENS: u32 = 1024;
    /// The longest answer read, in bytes: a model that runs on is stopped.
    const ANSWER_LIMIT: usize = 64 * 1024;

    /// Over the model that the client's settings name; calls nobody.
    pub fn new(client: OpenAi) -> Self {
        Self {
            client,
            schema: question::schema(),
        }
    }
}

#[async_trait]
impl MemoryExtractor for OpenAiExtractor {
    async fn extract(
        &self,
        _grant: &LearnGrant,
        utterance: &Utterance,
    ) -> Result<Vec<Candidate>, ExtractError> {
        let call = Call {
            messages: &question::messages(utterance),
            max_tokens: Self::REPLY_TOKENS.min(self.client.config().max_tokens),
            // The same words should give the same facts.
            temperature: 0.0,
            schema: Some(&self.schema),
        };
        let text = whole(call.open(&self.client).await?).await?;
        answer::facts(&text).ok_or_else(|| unusable("it holds no list of facts"))
    }
}

async fn whole(mut stream: ReplyStream) -> Result<String, ExtractError> {
    let mut text = String::new();
    while let Some(event) = stream.next().await {
        match event? {
            ReplyEvent::Finished { .. } => return Ok(text),
            ReplyEvent::Delta(words) => text.push_str(&words),
        }
        if text.len() > OpenAiExtractor::ANSWER_LIMIT {
            return Err(unusable("it does not end"));
        }
    }
    Err(ModelError::Interrupted.into())
}

fn unusable(why: &'static str) -> ExtractError {
    ExtractError::Unusable(Source::from(why))
}
