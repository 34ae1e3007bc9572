//! A small chat model in this process.

mod config;
mod generate;
mod gguf;
mod missing;
#[cfg(test)]
mod tests;
mod tokens;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use domain::chat::{ChatModel, ModelError, ModelLimits, Prompt, ReplyEvent, ReplyStream};
use futures::stream::{self, StreamExt};
use tokio::sync::mpsc::{self, Receiver};

use crate::error::LoadError;
use crate::weights::{ModelId, Models};
use crate::workers::{Full, Rank, Workers};
pub use config::LocalChatConfig;
use generate::{Generator, Job};
pub use missing::MissingChatModel;

/// Answers that may wait, for each that is being written.
const WAITING_PER_PLACE: usize = 2;

/// A model of the SmolLM2 family, in this process.
///
/// Answers are written on threads of their own, a bounded number at a time; a few more wait, and the
/// rest are told that the model is busy. Dropping an answer's stream stops it.
pub struct LocalChatModel {
    generator: Arc<Generator>,
    workers: Workers<Job>,
}

impl LocalChatModel {
    /// Loads the model: about a second, and a few more the first time. Not for an async thread.
    pub fn open(models: &Models, config: LocalChatConfig) -> Result<Self, LoadError> {
        let (path, name) = locate(models, &config)?;
        let loaded = gguf::load(&path, &name, models.folder())?;
        let context_tokens = loaded.context_tokens.min(config.context_tokens);
        let places = config.concurrent.max(1);
        let generator = Arc::new(Generator {
            context_tokens: usize::try_from(context_tokens).unwrap_or(usize::MAX),
            weights: loaded.weights,
            tokens: loaded.tokens,
            name: name.clone(),
            config,
        });
        let writer = Arc::clone(&generator);
        let run = move |job| writer.run(job);
        let workers = Workers::start("chat", places, places * WAITING_PER_PLACE, run)
            .map_err(|source| LoadError::broken(&name, source))?;
        Ok(Self { generator, workers })
    }
}

/// The file to load, and the model's name.
fn locate(models: &Models, config: &LocalChatConfig) -> Result<(PathBuf, String), LoadError> {
    if let Some(path) = &config.gguf {
        if !path.is_file() {
            return Err(LoadError::Unsupported {
                why: "it is not there".to_owned(),
            });
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        return Ok((path.clone(), stem.into_owned()));
    }
    let model = ModelId::Chat.name().to_owned();
    let files = models.files(ModelId::Chat);
    match files.and_then(|files| files.into_iter().next()) {
        Some(path) => Ok((path, model)),
        None => Err(LoadError::Missing { model }),
    }
}

#[async_trait]
impl ChatModel for LocalChatModel {
    fn name(&self) -> &str {
        &self.generator.name
    }

    fn limits(&self) -> ModelLimits {
        let context_tokens = u32::try_from(self.generator.context_tokens).unwrap_or(u32::MAX);
        // An answer that could fill the window would leave no room for a question.
        let reply_tokens = self.generator.config.max_tokens.min(context_tokens / 2);
        ModelLimits {
            context_tokens,
            reply_tokens,
        }
    }

    fn count_tokens(&self, text: &str) -> usize {
        // The tokenizer knows every byte and cannot fail; the rule of thumb stands in all the same.
        self.generator
            .tokens
            .count(text)
            .unwrap_or_else(|_| text.len().div_ceil(4))
    }

    async fn stream(&self, prompt: Prompt) -> Result<ReplyStream, ModelError> {
        let longest = prompt.max_reply_tokens.min(self.limits().context_tokens);
        // One event per token at most, and the end: the writer never waits for a reader.
        let (listener, events) = mpsc::channel(usize::try_from(longest).unwrap_or(1) + 1);
        let job = Job { prompt, listener };
        self.workers
            .submit(job, Rank::Urgent)
            .map_err(|Full| ModelError::Busy)?;
        started(events).await
    }
}

/// Waits for the first event, and hands on a stream that begins with it.
async fn started(
    mut events: Receiver<Result<ReplyEvent, ModelError>>,
) -> Result<ReplyStream, ModelError> {
    let first = events.recv().await;
    let first = first.ok_or_else(|| ModelError::Unavailable("the chat thread failed".into()))??;
    let over = matches!(first, ReplyEvent::Finished { .. });
    let rest = stream::unfold((events, over), |(mut events, over)| async move {
        if over {
            return None;
        }
        // A channel that closes before the end belongs to an answer that broke off.
        let event = events.recv().await.unwrap_or(Err(ModelError::Interrupted));
        let over = !matches!(event, Ok(ReplyEvent::Delta(_)));
        Some((event, (events, over)))
    });
    Ok(stream::once(async { Ok(first) }).chain(rest).boxed())
}
