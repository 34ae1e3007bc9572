//! Ephemeral turns that cannot be reached on demand.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::ids::{SessionId, UserId};
use domain::session::{Message, Session, TranscriptCache, TranscriptError};
use domain::store::Store;

use super::Fault;
use crate::fixtures::fresh_id;

/// A transcript cache that fails on demand.
pub struct FaultyTranscripts {
    inner: Arc<dyn TranscriptCache>,
    /// Strikes at every call.
    pub calls: Fault,
    meanwhile: Mutex<Option<Arc<dyn Store>>>,
}

impl FaultyTranscripts {
    /// Works until told otherwise.
    pub fn new(inner: Arc<dyn TranscriptCache>) -> Self {
        Self {
            inner,
            calls: Fault::default(),
            meanwhile: Mutex::default(),
        }
    }

    /// From now on somebody else writes to this database while turns are asked for or kept, and whoever
    /// holds it meanwhile fails the test. Removing turns is part of what is being written.
    pub fn write_meanwhile(&self, store: Arc<dyn Store>) {
        *self.meanwhile.lock().unwrap() = Some(store);
    }

    async fn called(&self) -> Result<(), TranscriptError> {
        self.calls.check(TranscriptError::Unavailable)?;
        let store = self.meanwhile.lock().unwrap().clone();
        if let Some(store) = store {
            let somebody = UserId::new(fresh_id());
            let begun = tokio::time::timeout(Duration::from_secs(5), store.begin(somebody));
            drop(begun.await.expect("nobody holds the database").unwrap());
        }
        Ok(())
    }
}

#[async_trait]
impl TranscriptCache for FaultyTranscripts {
    async fn put(&self, session: Session) -> Result<(), TranscriptError> {
        self.called().await?;
        self.inner.put(session).await
    }

    async fn find(&self, user: UserId, id: SessionId) -> Result<Option<Session>, TranscriptError> {
        self.called().await?;
        self.inner.find(user, id).await
    }

    async fn recent(
        &self,
        user: UserId,
        id: SessionId,
        limit: u32,
    ) -> Result<Vec<Message>, TranscriptError> {
        self.called().await?;
        self.inner.recent(user, id, limit).await
    }

    async fn append(
        &self,
        user: UserId,
        id: SessionId,
        turn: Vec<Message>,
    ) -> Result<(), TranscriptError> {
        self.called().await?;
        self.inner.append(user, id, turn).await
    }

    async fn remove(&self, user: UserId, id: SessionId) -> Result<bool, TranscriptError> {
        self.calls.check(TranscriptError::Unavailable)?;
        self.inner.remove(user, id).await
    }
}
