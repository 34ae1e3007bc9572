//! A chat model that does what it is told.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::chat::{ChatModel, ModelError, ModelLimits, Prompt, ReplyEvent, ReplyStream};
use domain::session::{FinishReason, Role, TokenUsage};
use futures::{StreamExt, stream};

use super::lock;

/// What the model does with one call.
#[derive(Debug, Clone)]
pub enum Play {
    /// Says the last words of the person again, word by word.
    Echo,
    /// Says this, piece by piece, and ends.
    Say(Vec<String>, FinishReason, Option<TokenUsage>),
    /// Says this, then breaks off.
    BreakOff(Vec<String>),
    /// Says this, then nothing more, for ever; with no words the call itself hangs.
    Hang(Vec<String>),
    /// Refuses the call.
    Refuse(fn() -> ModelError),
}

impl Play {
    /// Says this in one piece.
    pub fn say(text: &str) -> Self {
        let usage = TokenUsage {
            prompt: 10,
            completion: 2,
        };
        Self::Say(vec![text.to_owned()], FinishReason::Stop, Some(usage))
    }
}

/// A model that follows a list of plays, then a standing one, and remembers what it was asked.
pub struct ScriptedChatModel {
    queue: Mutex<VecDeque<Play>>,
    standing: Play,
    limits: ModelLimits,
    prompts: Mutex<Vec<Prompt>>,
    running: Arc<AtomicUsize>,
}

impl ScriptedChatModel {
    /// The name it answers under.
    pub const NAME: &'static str = "scripted";

    /// A model that repeats what it is asked.
    pub fn echo() -> Self {
        Self::always(Play::Echo)
    }

    /// A model that does this with every call.
    pub fn always(standing: Play) -> Self {
        Self {
            queue: Mutex::default(),
            standing,
            limits: ModelLimits {
                context_tokens: 4096,
                reply_tokens: 512,
            },
            prompts: Mutex::default(),
            running: Arc::default(),
        }
    }

    /// The same model with other limits.
    #[must_use]
    pub fn with_limits(self, limits: ModelLimits) -> Self {
        Self { limits, ..self }
    }

    /// Does this with the next call that nothing is planned for.
    pub fn then(&self, play: Play) {
        lock(&self.queue).push_back(play);
    }

    /// Every prompt so far.
    pub fn prompts(&self) -> Vec<Prompt> {
        lock(&self.prompts).clone()
    }

    /// How many streams are neither at their end nor dropped.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }
}

/// Counts a stream for as long as it lives.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn start(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn echo(prompt: &Prompt) -> Vec<String> {
    let mut said = prompt
        .messages
        .iter()
        .rev()
        .filter(|message| message.role == Role::User);
    let words = said.next().map_or("", |message| message.content.as_str());
    words.split_inclusive(' ').map(str::to_owned).collect()
}

#[async_trait]
impl ChatModel for ScriptedChatModel {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn limits(&self) -> ModelLimits {
        self.limits
    }

    /// Four bytes are a token.
    fn count_tokens(&self, text: &str) -> usize {
        text.len().div_ceil(4)
    }

    async fn stream(&self, prompt: Prompt) -> Result<ReplyStream, ModelError> {
        let planned = lock(&self.queue).pop_front();
        let said = echo(&prompt);
        lock(&self.prompts).push(prompt);
        let running = Running::start(&self.running);
        let finished = |finish, usage| {
            let model = Self::NAME.to_owned();
            Ok(ReplyEvent::Finished {
                model,
                finish,
                usage,
            })
        };
        let (deltas, end) = match planned.unwrap_or_else(|| self.standing.clone()) {
            Play::Echo => (said, Some(finished(FinishReason::Stop, None))),
            Play::Say(deltas, finish, usage) => (deltas, Some(finished(finish, usage))),
            Play::BreakOff(deltas) => (deltas, Some(Err(ModelError::Interrupted))),
            Play::Hang(deltas) if deltas.is_empty() => futures::future::pending().await,
            Play::Hang(deltas) => (deltas, None),
            Play::Refuse(error) => return Err(error()),
        };
        let hangs = end.is_none();
        let words = stream::iter(deltas).map(|delta| Ok(ReplyEvent::Delta(delta)));
        let silence = if hangs {
            stream::pending().boxed()
        } else {
            stream::empty().boxed()
        };
        let events = words.chain(stream::iter(end)).chain(silence);
        Ok(events.inspect(move |_| drop_with_stream(&running)).boxed())
    }
}

/// Ties a guard to a stream: the closure that names it lives as long as the stream.
fn drop_with_stream(_guard: &Running) {}
