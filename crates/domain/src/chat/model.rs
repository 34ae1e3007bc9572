//! A turn as it happens.

use futures::stream::BoxStream;

use super::ChatError;
use crate::ids::SessionId;
use crate::memory::Recalled;
use crate::privacy::PrivacyMode;
use crate::session::{FinishReason, Message, TokenUsage};

/// A checked question.
#[derive(Clone, PartialEq, Eq)]
pub struct Question(String);

impl Question {
    /// Longest question, in characters.
    pub const MAX_CHARS: usize = 10_000;

    /// 1 to 10,000 characters that are not all white space, and no NUL. The text is kept as it is.
    pub fn new(text: String) -> Result<Self, ChatError> {
        if text.trim().is_empty() {
            Err(ChatError::Empty)
        } else if text.chars().count() > Self::MAX_CHARS {
            Err(ChatError::TooLong)
        } else if text.contains('\0') {
            Err(ChatError::Nul)
        } else {
            Ok(Self(text))
        }
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How recalling went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecallNote {
    /// The mode does not recall, or the session has no profile.
    Off,
    /// It worked.
    Done,
    /// The words were searched, the meaning was not: no embedding model answered.
    WordsOnly,
    /// It failed; the turn goes on without memories.
    Failed,
}

/// What is known when the answer begins.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnStart {
    /// The session.
    pub session: SessionId,
    /// The mode this turn runs in.
    pub mode: PrivacyMode,
    /// The question as it was stored, or kept in memory only.
    pub question: Message,
    /// The memories in the prompt, best first. The list is complete.
    pub memories: Vec<Recalled>,
    /// How recalling went.
    pub recall: RecallNote,
}

/// What is known when the answer is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnOutcome {
    /// The answer.
    pub answer: Message,
    /// Is extraction of this turn durably stored as work to be done?
    pub learning: bool,
    /// What the model took.
    pub usage: TokenUsage,
    /// Why it ended.
    pub finish: FinishReason,
}

/// What happens in a turn: one `Started`, any number of `Delta`, then `Completed` or `Failed`, and
/// nothing after that. `Completed` comes once everything is durable.
#[derive(Debug)]
pub enum TurnEvent {
    /// The model has begun to answer.
    Started(Box<TurnStart>),
    /// The next words.
    Delta(String),
    /// The answer is whole and stored.
    Completed(Box<TurnOutcome>),
    /// The turn failed after it had started; what had come is stored as interrupted.
    Failed(ChatError),
}

/// A turn that has started. Nothing happens unless it is polled, so whoever drives it decides what a
/// lost client means: it knows by [`survives_hangup`](Self::survives_hangup).
pub struct TurnStream {
    /// What happens.
    pub events: BoxStream<'static, TurnEvent>,
    /// Must the turn be driven to its end when nobody listens any more? True where the answer is
    /// stored; an incognito turn stops.
    pub survives_hangup: bool,
}
