//! Sessions and messages as values.

use time::OffsetDateTime;

use crate::ids::{MessageId, ProfileId, SessionId, UserId};
use crate::privacy::{MemoryScope, PrivacyMode};

/// A conversation of one user, with at most one memory profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Its owner.
    pub user: UserId,
    /// The profile it recalls from and learns into; none after that profile was deleted.
    pub profile: Option<ProfileId>,
    /// How it treats memories from the next message on.
    pub mode: PrivacyMode,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was last written to.
    pub updated_at: OffsetDateTime,
}

impl Session {
    /// The wall around the memories it may touch; none without a profile.
    pub fn scope(&self) -> Option<MemoryScope> {
        self.profile.map(|profile| MemoryScope {
            user: self.user,
            profile,
        })
    }
}

/// A session with what is counted about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// The session.
    pub session: Session,
    /// How many messages are stored. Ephemeral ones do not count.
    pub message_count: u64,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The person.
    User,
    /// The model.
    Assistant,
    /// Instructions.
    System,
}

impl Role {
    /// The role's name on the wire and in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::System => "system",
        }
    }

    /// The role of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::User, Self::Assistant, Self::System]
            .into_iter()
            .find(|role| role.as_str() == text)
    }
}

/// How far a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageStatus {
    /// All of it is there.
    Complete,
    /// An answer that is still being written.
    Streaming,
    /// An answer that was cut off; what had come is kept.
    Interrupted,
}

impl MessageStatus {
    /// The status's name on the wire and in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Streaming => "streaming",
            Self::Interrupted => "interrupted",
        }
    }

    /// The status of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Complete, Self::Streaming, Self::Interrupted]
            .into_iter()
            .find(|s| s.as_str() == text)
    }
}

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// It was done.
    Stop,
    /// It reached the limit of tokens.
    Length,
    /// Its own filter stopped it.
    ContentFilter,
    /// It was cut off.
    Interrupted,
}

impl FinishReason {
    /// The reason's name on the wire and in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
            Self::Interrupted => "interrupted",
        }
    }

    /// The reason of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Stop,
            Self::Length,
            Self::ContentFilter,
            Self::Interrupted,
        ]
        .into_iter()
        .find(|reason| reason.as_str() == text)
    }
}

/// Tokens of one model call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenUsage {
    /// Tokens of the prompt.
    pub prompt: u32,
    /// Tokens of the answer.
    pub completion: u32,
}

impl TokenUsage {
    /// Both together.
    pub const fn total(self) -> u32 {
        self.prompt.saturating_add(self.completion)
    }
}

/// How an answer came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyInfo {
    /// The model that gave it.
    pub model: String,
    /// What it took.
    pub usage: TokenUsage,
    /// Why it ended.
    pub finish: FinishReason,
    /// How many memories were in the prompt; none where there was nothing to recall from, for want of a
    /// profile or by the mode.
    pub memories_used: Option<u32>,
}

/// A question or an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// The session it belongs to.
    pub session: SessionId,
    /// Who speaks.
    pub role: Role,
    /// The words.
    pub content: String,
    /// The mode it was sent in; an answer has its question's. It decides for good whether anything may
    /// be learned from it.
    pub stamp: PrivacyMode,
    /// How far it has come.
    pub status: MessageStatus,
    /// For an answer: how it came about.
    pub reply: Option<ReplyInfo>,
    /// When it was accepted.
    pub created_at: OffsetDateTime,
}

/// A session's messages, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionSummary {
    /// Messages of the person.
    pub user_messages: u64,
    /// Messages of the model.
    pub assistant_messages: u64,
    /// Messages of any role.
    pub total_messages: u64,
    /// Time of the oldest.
    pub first_message_at: Option<OffsetDateTime>,
    /// Time of the newest.
    pub last_message_at: Option<OffsetDateTime>,
}
