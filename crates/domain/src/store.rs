//! The database as the use cases see it: one unit of work, bound to one owner.

use async_trait::async_trait;

use crate::account::{ApiKeyRepository, LoginRepository, UserRepository};
use crate::error::{Classify, ErrorKind, Source};
use crate::ids::UserId;
use crate::jobs::JobOutbox;
use crate::memory::MemoryRepository;
use crate::profile::ProfileRepository;
use crate::session::{MessageRepository, SessionRepository};

/// Begins units of work. SQL is the truth: everything else is derived from it.
#[async_trait]
pub trait Store: Send + Sync {
    /// Begins a unit of work that may write. The owner is bound once: every repository reached
    /// through it sees and touches that user's rows only, and another user's rows do not exist for it.
    /// Writers wait for each other where the database has one writer.
    async fn begin(&self, owner: UserId) -> Result<Box<dyn UnitOfWork>, StoreError>;

    /// Begins a unit of work that only reads, from one consistent snapshot. Writing through it fails
    /// with [`StoreError::Unavailable`] or is lost; it never waits for writers.
    async fn read(&self, owner: UserId) -> Result<Box<dyn UnitOfWork>, StoreError>;
}

/// One transaction. Dropping it rolls back. It holds rows and outbox jobs, nothing else, and is never
/// kept open across a call to a model or an index.
///
/// After a [`StoreError::Conflict`] or [`StoreError::Aborted`] the unit of work can only be dropped.
#[async_trait]
pub trait UnitOfWork: Send {
    /// The owner's account.
    fn users(&mut self) -> &mut dyn UserRepository;
    /// The owner's log-ins.
    fn logins(&mut self) -> &mut dyn LoginRepository;
    /// The owner's API keys.
    fn api_keys(&mut self) -> &mut dyn ApiKeyRepository;
    /// The owner's memory profiles.
    fn profiles(&mut self) -> &mut dyn ProfileRepository;
    /// The owner's sessions.
    fn sessions(&mut self) -> &mut dyn SessionRepository;
    /// The messages of the owner's sessions.
    fn messages(&mut self) -> &mut dyn MessageRepository;
    /// The owner's memories.
    fn memories(&mut self) -> &mut dyn MemoryRepository;
    /// Work to be done once this is committed.
    fn jobs(&mut self) -> &mut dyn JobOutbox;

    /// Makes everything durable, at once. An error means that nothing was stored, except
    /// [`StoreError::Unavailable`] on a lost connection, where the outcome is unknown.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

/// A failure of the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A row is in the way: a taken address or name, a second default, a missing parent.
    #[error("conflict on {what}")]
    Conflict {
        /// The rule that was hit: `email`, `profile_name`, `streaming`, `reference`, ...
        what: &'static str,
    },
    /// A row cannot be turned into a value: data damaged from outside.
    #[error("inconsistent data in {table}.{column}")]
    Inconsistent {
        /// Table of the row.
        table: &'static str,
        /// Column of the row.
        column: &'static str,
    },
    /// The pool is empty or a lock is held for too long.
    #[error("the database is busy")]
    Busy(#[source] Source),
    /// The unit of work was given up for the sake of others: a deadlock, a lost race. Nothing of it was
    /// stored, and the whole of it may be repeated at once: see [`repeat_aborted`].
    #[error("the database gave way to others")]
    Aborted(#[source] Source),
    /// The database cannot be reached, or refused the statement.
    #[error("the database is not available")]
    Unavailable(#[source] Source),
}

impl Classify for StoreError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Conflict { .. } => ErrorKind::Conflict,
            Self::Inconsistent { .. } => ErrorKind::Internal,
            Self::Busy(_) | Self::Aborted(_) | Self::Unavailable(_) => ErrorKind::Unavailable,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "conflict",
            Self::Inconsistent { .. } => "inconsistent_data",
            Self::Busy(_) | Self::Aborted(_) => "store_busy",
            Self::Unavailable(_) => "store_unavailable",
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Conflict { .. } => "The change conflicts with what is stored.",
            Self::Inconsistent { .. } => "Stored data is damaged.",
            Self::Busy(_) | Self::Aborted(_) => "The database is busy. Try again in a moment.",
            Self::Unavailable(_) => "The database is not available. Try again in a moment.",
        }
        .to_owned()
    }

    fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            Self::Busy(_) | Self::Aborted(_) | Self::Unavailable(_) => {
                Some(std::time::Duration::from_secs(1))
            }
            Self::Conflict { .. } | Self::Inconsistent { .. } => None,
        }
    }
}

/// An error behind which a unit of work may have been aborted.
pub trait MayBeAborted {
    /// Was it [`StoreError::Aborted`]?
    fn is_aborted(&self) -> bool;
}

impl MayBeAborted for StoreError {
    fn is_aborted(&self) -> bool {
        matches!(self, Self::Aborted(_))
    }
}

/// How often an aborted unit of work is tried in all.
pub const UNIT_TRIES: u32 = 3;

/// Does a unit of work, from its beginning to its commit, and does the whole of it again while the
/// database aborts it, [`UNIT_TRIES`] times in all. Nothing else is repeated, least of all a commit of
/// unknown outcome. What the unit does outside the database must bear being done twice.
pub async fn repeat_aborted<T, E, U>(mut unit: impl FnMut() -> U) -> Result<T, E>
where
    E: MayBeAborted,
    U: Future<Output = Result<T, E>>,
{
    for _ in 1..UNIT_TRIES {
        match unit().await {
            Err(error) if error.is_aborted() => {}
            done => return done,
        }
    }
    unit().await
}
