//! A turn as it happens.

use futures::stream::BoxStream;
use uuid::Uuid;

use super::ChatError;
use crate::ids::{MessageId, SessionId};
use crate::memory::Recalled;
use crate::privacy::PrivacyMode;
use crate::session::{FinishReason, Message, Role, TokenUsage};

/// A checked question.
#[derive(Clone, PartialEq, Eq)]
pub struct Question {
    text: String,
    pub(super) key: Option<IdempotencyKey>,
    pub(super) after: Option<MessageId>,
}

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
            Ok(Self {
                text,
                key: None,
                after: None,
            })
        }
    }

    /// Names the question, so that asking it again asks nothing twice.
    #[must_use]
    pub fn named(self, key: Option<IdempotencyKey>) -> Self {
        Self { key, ..self }
    }

    /// Names the newest message of the session that the asker knows: where it is not the newest, the
    /// question is refused, since it was written without what came since.
    #[must_use]
    pub fn after(self, message: Option<MessageId>) -> Self {
        Self {
            after: message,
            ..self
        }
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// A name that whoever asks gives to one question of one session, and gives again when in doubt whether
/// it arrived. The messages of its turn have ids that are made of it, so a second question of that name
/// cannot be stored, wherever and whenever it comes.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Longest key, in characters.
    pub const MAX_CHARS: usize = 255;

    /// 1 to 255 visible ASCII characters.
    pub fn new(text: &str) -> Result<Self, ChatError> {
        let fits = (1..=Self::MAX_CHARS).contains(&text.len());
        if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ChatError::MalformedKey)
        }
    }

    /// The id of the question or the answer of that name in a session: a UUIDv5 in the session's
    /// namespace. Nothing else is kept of the key.
    pub fn message_id(&self, session: SessionId, role: Role) -> MessageId {
        let name = format!("{} {}", role.as_str(), self.0);
        MessageId::new(Uuid::new_v5(&session.as_uuid(), name.as_bytes()))
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
    /// The answer was given before. How recalling went then is not kept, only how many memories it gave.
    Replayed,
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
    /// How many memories are in the prompt.
    pub memories_used: usize,
    /// These memories, best first; none where the answer was given before.
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
