//! The model that answers.

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::ModelError;
use crate::session::{FinishReason, Role, TokenUsage};

/// One message of a prompt.
#[derive(Clone, PartialEq, Eq)]
pub struct PromptMessage {
    /// Who speaks.
    pub role: Role,
    /// The words.
    pub content: String,
}

/// All that a model gets to see.
#[derive(Clone, PartialEq, Eq)]
pub struct Prompt {
    /// System first, then the history, the question last.
    pub messages: Vec<PromptMessage>,
    /// At most this many tokens of answer.
    pub max_reply_tokens: u32,
}

impl std::fmt::Debug for Prompt {
    /// Words stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prompt({} messages)", self.messages.len())
    }
}

/// What a model can take in and give out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelLimits {
    /// Prompt and answer together, in tokens.
    pub context_tokens: u32,
    /// The longest answer wanted, in tokens.
    pub reply_tokens: u32,
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyEvent {
    /// The next words, never empty.
    Delta(String),
    /// The end, exactly once, and the last event.
    Finished {
        /// The model that answered.
        model: String,
        /// Why it ended.
        finish: FinishReason,
        /// What it took; `None` when the service does not say.
        usage: Option<TokenUsage>,
    },
}

/// An answer as it is written. A stream that ends without [`ReplyEvent::Finished`] ends with an error
/// first; after an error nothing follows. Dropping it stops the model.
pub type ReplyStream = BoxStream<'static, Result<ReplyEvent, ModelError>>;

/// A chat model.
#[async_trait]
pub trait ChatModel: Send + Sync {
    /// Its name, as users see it.
    fn name(&self) -> &str;
    /// What it can take in and give out.
    fn limits(&self) -> ModelLimits;
    /// How many tokens the model's own tokenizer makes of a text, without the frame around messages.
    fn count_tokens(&self, text: &str) -> usize;
    /// Starts an answer. It resolves only once the first event is there, so that a refused call is an
    /// error here and not a broken stream. Retries happen in here, before the first event only.
    async fn stream(&self, prompt: Prompt) -> Result<ReplyStream, ModelError>;
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeReply {
    /// All its words.
    pub content: String,
    /// The model that answered.
    pub model: String,
    /// Why it ended.
    pub finish: FinishReason,
    /// What it took.
    pub usage: Option<TokenUsage>,
}

/// Waits for a whole answer.
pub async fn complete(model: &dyn ChatModel, prompt: Prompt) -> Result<WholeReply, ModelError> {
    let mut stream = model.stream(prompt).await?;
    let mut content = String::new();
    while let Some(event) = stream.next().await {
        match event? {
            ReplyEvent::Delta(delta) => content.push_str(&delta),
            ReplyEvent::Finished {
                model,
                finish,
                usage,
            } => {
                return Ok(WholeReply {
                    content,
                    model,
                    finish,
                    usage,
                });
            }
        }
    }
    Err(ModelError::Interrupted)
}
