//! Chat completions.

use async_trait::async_trait;
use domain::chat::{ChatModel, ModelError, ModelLimits, Prompt, PromptMessage, ReplyStream};
use futures::{StreamExt, future, stream};
use reqwest::header::CONTENT_TYPE;
use serde::Serialize;
use serde_json::{Value, json};

use crate::client::{Begun, OpenAi};
use crate::dialect::{Dialect, Feature};
use crate::failure::Failure;
use crate::reply;
use crate::tokens::TokenCounter;

/// A chat model of an OpenAI-compatible service.
#[derive(Debug)]
pub struct OpenAiChatModel {
    client: OpenAi,
    tokens: TokenCounter,
}

impl OpenAiChatModel {
    /// The model that the client's settings name; calls nobody.
    pub fn new(client: OpenAi) -> Self {
        let tokens = TokenCounter::new(&client.config().model);
        Self { client, tokens }
    }
}

#[async_trait]
impl ChatModel for OpenAiChatModel {
    fn name(&self) -> &str {
        &self.client.config().model
    }

    fn limits(&self) -> ModelLimits {
        let config = self.client.config();
        ModelLimits {
            context_tokens: config.window(),
            reply_tokens: config.max_tokens,
        }
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.tokens.count(text)
    }

    async fn stream(&self, prompt: Prompt) -> Result<ReplyStream, ModelError> {
        let call = Call {
            messages: &prompt.messages,
            max_tokens: prompt.max_reply_tokens,
            temperature: self.client.config().temperature,
            schema: None,
        };
        call.open(&self.client).await
    }
}

/// A shape that an answer must have.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) name: &'static str,
    pub(crate) schema: Value,
}

/// One call of a chat model.
pub(crate) struct Call<'a> {
    pub(crate) messages: &'a [PromptMessage],
    pub(crate) max_tokens: u32,
    pub(crate) temperature: f32,
    pub(crate) schema: Option<&'a Schema>,
}

impl Call<'_> {
    /// Resolves with the first event of the answer, or why there is none.
    pub(crate) async fn open(&self, client: &OpenAi) -> Result<ReplyStream, ModelError> {
        let begun = self.begin(client).await?;
        if !may_be_events(&begun) {
            return Err(Failure::Malformed("something that is no event stream").into());
        }
        let mut events = reply::read(begun, client.config().model.clone());
        let first = events.next().await.ok_or(ModelError::Interrupted)??;
        Ok(stream::once(future::ready(Ok(first))).chain(events).boxed())
    }

    /// Calls, and gives up one by one the features that the service does not take. What it had to do
    /// without is remembered when that helped.
    async fn begin(&self, client: &OpenAi) -> Result<Begun, Failure> {
        let mut dialect = client.dialect().get();
        loop {
            match client
                .post("chat/completions", &self.body(client, dialect))
                .await
            {
                Ok(begun) => {
                    client.dialect().learn(dialect);
                    return Ok(begun);
                }
                Err(failure) => {
                    dialect = self.simpler(dialect, &failure).ok_or(failure)?;
                }
            }
        }
    }

    /// The next dialect to try. Servers that know no schemas refuse them in many words, so a refusal
    /// of unknown meaning counts as one.
    fn simpler(&self, dialect: Dialect, failure: &Failure) -> Option<Dialect> {
        let Failure::Refused(refusal) = failure else {
            return None;
        };
        let format = Feature::JsonSchema.param();
        let named = refusal
            .param()
            .filter(|param| self.schema.is_some() || *param != format);
        let guess = || (self.schema.is_some() && refusal.is_about_the_form()).then_some(format);
        dialect.without(named.or_else(guess)?)
    }

    fn body<'b>(&'b self, client: &'b OpenAi, dialect: Dialect) -> Body<'b> {
        let named = |feature| dialect.speaks(feature).then_some(self.max_tokens);
        let max_tokens = named(Feature::MaxTokens);
        Body {
            model: &client.config().model,
            messages: self.messages.iter().map(Message::from).collect(),
            stream: true,
            stream_options: dialect
                .speaks(Feature::Usage)
                .then(|| json!({ "include_usage": true })),
            max_tokens,
            max_completion_tokens: max_tokens.is_none().then_some(self.max_tokens),
            temperature: dialect
                .speaks(Feature::Temperature)
                .then_some(self.temperature),
            response_format: self
                .schema
                .and_then(|schema| response_format(schema, dialect)),
        }
    }
}

fn response_format(Schema { name, schema }: &Schema, dialect: Dialect) -> Option<Value> {
    if dialect.speaks(Feature::JsonSchema) {
        let json_schema = json!({ "name": name, "strict": true, "schema": schema });
        Some(json!({ "type": "json_schema", "json_schema": json_schema }))
    } else {
        dialect
            .speaks(Feature::JsonObject)
            .then(|| json!({ "type": "json_object" }))
    }
}

/// Many services leave the type out or call it something odd; a page or an object is no stream.
fn may_be_events(begun: &Begun) -> bool {
    let kind = begun
        .response
        .headers()
        .get(CONTENT_TYPE)
        .map(reqwest::header::HeaderValue::as_bytes);
    !kind
        .is_some_and(|kind| kind.starts_with(b"text/html") || kind.starts_with(b"application/json"))
}

/// The request. It names no user, asks for nothing to be kept, and sets no cache key.
#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Value>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

impl<'a> From<&'a PromptMessage> for Message<'a> {
    fn from(message: &'a PromptMessage) -> Self {
        Self {
            role: message.role.as_str(),
            content: &message.content,
        }
    }
}
