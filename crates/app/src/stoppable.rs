//! A chat model whose answers end when the process does.

use std::sync::Arc;

use async_trait::async_trait;
use domain::chat::{ChatModel, ModelError, ModelLimits, Prompt, ReplyStream};
use futures::{StreamExt, stream};

use crate::stop::Stop;

/// Breaks off the answers of another model with [`ModelError::Stopping`] when they are cut off, so that
/// each turn stores what it has and tells its client.
pub struct StoppableModel {
    model: Arc<dyn ChatModel>,
    stop: Stop,
}

impl StoppableModel {
    /// Answers as `model` does, until then.
    pub fn new(model: Arc<dyn ChatModel>, stop: Stop) -> Self {
        Self { model, stop }
    }
}

#[async_trait]
impl ChatModel for StoppableModel {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn limits(&self) -> ModelLimits {
        self.model.limits()
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.model.count_tokens(text)
    }

    async fn stream(&self, prompt: Prompt) -> Result<ReplyStream, ModelError> {
        let reply = tokio::select! {
            biased;
            () = self.stop.cut() => return Err(ModelError::Stopping),
            reply = self.model.stream(prompt) => reply?,
        };
        let begun = Some((reply, self.stop.clone()));
        let events = stream::unfold(begun, |running| async {
            let (mut reply, stop) = running?;
            tokio::select! {
                biased;
                () = stop.cut() => Some((Err(ModelError::Stopping), None)),
                event = reply.next() => event.map(|event| (event, Some((reply, stop)))),
            }
        });
        Ok(events.boxed())
    }
}
