//! Ephemeral turns that cannot be reached on demand.

use std::sync::Arc;

use async_trait::async_trait;
use domain::ids::{SessionId, UserId};
use domain::session::{Message, Session, TranscriptCache, TranscriptError};

use super::Fault;

/// A transcript cache that fails on demand.
pub struct FaultyTranscripts {
    inner: Arc<dyn TranscriptCache>,
    /// Strikes at every call.
    pub calls: Fault,
}

impl FaultyTranscripts {
    /// Works until told otherwise.
    pub fn new(inner: Arc<dyn TranscriptCache>) -> Self {
        Self {
            inner,
            calls: Fault::default(),
        }
    }
}

#[async_trait]
impl TranscriptCache for FaultyTranscripts {
    async fn put(&self, session: Session) -> Result<(), TranscriptError> {
        self.calls.check(TranscriptError::Unavailable)?;
        self.inner.put(session).await
    }

    async fn find(&self, user: UserId, id: SessionId) -> Result<Option<Session>, TranscriptError> {
        self.calls.check(TranscriptError::Unavailable)?;
        self.inner.find(user, id).await
    }

    async fn recent(
        &self,
        user: UserId,
        id: SessionId,
        limit: u32,
    ) -> Result<Vec<Message>, TranscriptError> {
        self.calls.check(TranscriptError::Unavailable)?;
        self.inner.recent(user, id, limit).await
    }

    async fn append(
        &self,
        user: UserId,
        id: SessionId,
        turn: Vec<Message>,
    ) -> Result<(), TranscriptError> {
        self.calls.check(TranscriptError::Unavailable)?;
        self.inner.append(user, id, turn).await
    }

    async fn remove(&self, user: UserId, id: SessionId) -> Result<bool, TranscriptError> {
        self.calls.check(TranscriptError::Unavailable)?;
        self.inner.remove(user, id).await
    }
}
