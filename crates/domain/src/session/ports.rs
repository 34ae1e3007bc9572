//! Where sessions and messages are kept.

use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use super::{Message, Session, SessionSummary, SessionView};
use crate::error::{Classify, ErrorKind, Source};
use crate::ids::{MessageId, ProfileId, SessionId, UserId};
use crate::page::{Page, PageRequest};
use crate::store::StoreError;

/// Which sessions to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// Only those of this profile.
    pub profile: Option<ProfileId>,
}

/// The owner's stored sessions.
#[async_trait]
pub trait SessionRepository: Send {
    /// The session; `None` when it does not exist or is somebody else's.
    async fn find(&mut self, id: SessionId) -> Result<Option<SessionView>, StoreError>;
    /// The session, kept from changing until this unit of work ends.
    async fn lock(&mut self, id: SessionId) -> Result<Option<Session>, StoreError>;
    /// Sessions, most recently updated first, ties by id, largest first. A cursor's key is the time of
    /// update in microseconds since 1970.
    async fn list(
        &mut self,
        filter: SessionFilter,
        page: PageRequest,
    ) -> Result<Page<SessionView>, StoreError>;
    /// Adds a session. [`StoreError::Conflict`] on `reference` when the profile is not the owner's.
    async fn add(&mut self, session: &Session) -> Result<(), StoreError>;
    /// Stores mode, profile and time of update; `false` when it is gone.
    /// [`StoreError::Conflict`] on `reference` when the profile is not the owner's.
    async fn update(&mut self, session: &Session) -> Result<bool, StoreError>;
    /// Sets the time of update; `false` when it is gone.
    async fn touch(&mut self, id: SessionId, at: OffsetDateTime) -> Result<bool, StoreError>;
    /// Removes a session with its messages. Memories drawn from them stay, without that source.
    /// Idempotent: `false` when it is gone.
    async fn remove(&mut self, id: SessionId) -> Result<bool, StoreError>;
}

/// The stored messages of the owner's sessions, in the order in which they were added.
#[async_trait]
pub trait MessageRepository: Send {
    /// Adds a message at the end of its session. [`StoreError::Conflict`] on `reference` when the
    /// session is not the owner's, on `streaming` when another answer of the session is still being
    /// written, and on `mode` when its stamp does not persist.
    async fn add(&mut self, message: &Message) -> Result<(), StoreError>;
    /// The newest `limit` messages that are not being written, oldest first.
    async fn recent(&mut self, session: SessionId, limit: u32) -> Result<Vec<Message>, StoreError>;
    /// Messages, oldest first. A cursor's key is the message's place in its session.
    async fn list(
        &mut self,
        session: SessionId,
        page: PageRequest,
    ) -> Result<Page<Message>, StoreError>;
    /// The message; `None` when it does not exist or is somebody else's.
    async fn find(&mut self, id: MessageId) -> Result<Option<Message>, StoreError>;
    /// Stores what an answer has come to so far and that its writer is alive at `at`; `false` when it
    /// is no longer being written.
    async fn progress(
        &mut self,
        id: MessageId,
        content: &str,
        at: OffsetDateTime,
    ) -> Result<bool, StoreError>;
    /// Stores content, status and reply of an answer that is not complete yet, also of one that was given
    /// up as dead; `false` when it is gone or complete.
    async fn finish(&mut self, message: &Message) -> Result<bool, StoreError>;
    /// Removes a message. Memories drawn from it stay, without that source. `false` when it is gone.
    async fn remove(&mut self, id: MessageId) -> Result<bool, StoreError>;
    /// The session's messages, counted; all zero for an unknown session.
    async fn summary(&mut self, session: SessionId) -> Result<SessionSummary, StoreError>;
}

/// Where a memory was drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrawnFrom {
    /// Any message of this session.
    Session(SessionId),
    /// This message.
    Message(MessageId),
}

/// Why ephemeral turns can be neither kept nor looked up.
#[derive(Debug, thiserror::Error)]
pub enum TranscriptError {
    /// There is no room for another ephemeral session.
    #[error("no room for ephemeral turns")]
    Full,
    /// The memory that holds them cannot be reached, or may not be used for this.
    #[error("ephemeral turns are not available")]
    Unavailable(#[source] Source),
}

impl Classify for TranscriptError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Full | Self::Unavailable(_) => ErrorKind::Unavailable,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Full => "ephemeral_full",
            Self::Unavailable(_) => "ephemeral_unavailable",
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Full => "There are too many incognito sessions right now.".to_owned(),
            Self::Unavailable(_) => {
                "Incognito is not available right now. Try again in a moment.".to_owned()
            }
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Full => None,
            Self::Unavailable(_) => Some(Duration::from_secs(2)),
        }
    }
}

/// Incognito sessions and their turns: in memory only, bounded in number, size and idle time, gone at
/// restart. Nothing in here may reach a disk or a log. Unknown, expired and foreign ids are `None`.
///
/// It may be shared by several processes; then all of them see each call at once and whole. One that
/// cannot be reached says so by [`TranscriptError::Unavailable`] and is replaced by nothing: a turn that
/// was promised to be shared must not end up where only one process knows of it.
///
/// A stored session that was switched to incognito keeps its row; only its turns since then are here,
/// under a [`Session`] of the same id.
#[async_trait]
pub trait TranscriptCache: Send + Sync {
    /// Opens an ephemeral session, or changes the one with this id and keeps its turns; starts the idle
    /// time anew. One more session of a user than they may have pushes out their idlest; one more of
    /// all users together is [`TranscriptError::Full`], as is an id that somebody else has.
    async fn put(&self, session: Session) -> Result<(), TranscriptError>;
    /// The session.
    async fn find(&self, user: UserId, id: SessionId) -> Result<Option<Session>, TranscriptError>;
    /// The newest `limit` messages, oldest first; none for an unknown session.
    async fn recent(
        &self,
        user: UserId,
        id: SessionId,
        limit: u32,
    ) -> Result<Vec<Message>, TranscriptError>;
    /// Adds a whole turn and starts the idle time anew. The oldest messages fall out when the session's
    /// share is full. Without the session (it was ended meanwhile) nothing is kept.
    async fn append(
        &self,
        user: UserId,
        id: SessionId,
        turn: Vec<Message>,
    ) -> Result<(), TranscriptError>;
    /// Forgets the session and its turns; `false` when there is none.
    async fn remove(&self, user: UserId, id: SessionId) -> Result<bool, TranscriptError>;
}
