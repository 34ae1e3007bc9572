//! Incognito turns in the memory of this process.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use super::{Message, Session, TranscriptCache, TranscriptError};
use crate::clock::Clock;
use crate::ids::{SessionId, UserId};

/// How much may be kept.
#[derive(Debug, Clone, Copy)]
pub struct EphemeralLimits {
    /// Sessions of all users together; one more is refused.
    pub sessions: usize,
    /// Sessions of one user; one more pushes out the one idle for longest.
    pub sessions_per_user: usize,
    /// Bytes of content of one session; older turns fall out.
    pub bytes_per_session: usize,
    /// Time without a turn after which a session is gone.
    pub idle: Duration,
}

impl Default for EphemeralLimits {
    fn default() -> Self {
        Self {
            sessions: 2000,
            sessions_per_user: 20,
            bytes_per_session: 256 * 1024,
            idle: Duration::from_hours(1),
        }
    }
}

struct Entry {
    session: Session,
    turns: VecDeque<Message>,
    bytes: usize,
    last_used: OffsetDateTime,
}

/// [`TranscriptCache`] of one process.
pub struct RamTranscripts {
    entries: Mutex<HashMap<SessionId, Entry>>,
    clock: Arc<dyn Clock>,
    limits: EphemeralLimits,
}

impl RamTranscripts {
    /// An empty cache.
    pub fn new(clock: Arc<dyn Clock>, limits: EphemeralLimits) -> Self {
        Self {
            entries: Mutex::new(HashMap::new()),
            clock,
            limits,
        }
    }

    /// The entries, without those that have been idle for too long.
    fn live(&self) -> MutexGuard<'_, HashMap<SessionId, Entry>> {
        let now = self.clock.now();
        let oldest = now - self.limits.idle;
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| {
            // A clock that was set back must not lengthen a life: it is counted anew from here.
            entry.last_used = entry.last_used.min(now);
            entry.last_used > oldest
        });
        entries
    }

    /// Forgets what has been idle for too long. Every call does so too; a timer that calls this bounds
    /// how long an unused server keeps something.
    pub fn purge(&self) {
        drop(self.live());
    }
}

#[async_trait]
impl TranscriptCache for RamTranscripts {
    async fn put(&self, session: Session) -> Result<(), TranscriptError> {
        let last_used = self.clock.now();
        let mut entries = self.live();
        if let Some(entry) = entries.get_mut(&session.id) {
            if entry.session.user != session.user {
                return Err(TranscriptError::Full);
            }
            entry.session = session;
            entry.last_used = last_used;
            return Ok(());
        }
        let own = entries
            .iter()
            .filter(|(_, e)| e.session.user == session.user);
        if own.clone().count() >= self.limits.sessions_per_user {
            let idlest = own.min_by_key(|(_, e)| e.last_used).map(|(id, _)| *id);
            idlest.and_then(|id| entries.remove(&id));
        }
        if entries.len() >= self.limits.sessions {
            return Err(TranscriptError::Full);
        }
        let entry = Entry {
            turns: VecDeque::new(),
            bytes: 0,
            last_used,
            session,
        };
        entries.insert(entry.session.id, entry);
        Ok(())
    }

    async fn find(&self, user: UserId, id: SessionId) -> Result<Option<Session>, TranscriptError> {
        let entries = self.live();
        let own = entries.get(&id).filter(|e| e.session.user == user);
        Ok(own.map(|e| e.session.clone()))
    }

    async fn recent(
        &self,
        user: UserId,
        id: SessionId,
        limit: u32,
    ) -> Result<Vec<Message>, TranscriptError> {
        let entries = self.live();
        let Some(entry) = entries.get(&id).filter(|e| e.session.user == user) else {
            return Ok(Vec::new());
        };
        let skip = entry.turns.len().saturating_sub(limit as usize);
        Ok(entry.turns.iter().skip(skip).cloned().collect())
    }

    async fn append(
        &self,
        user: UserId,
        id: SessionId,
        turn: Vec<Message>,
    ) -> Result<(), TranscriptError> {
        let now = self.clock.now();
        let mut entries = self.live();
        let Some(entry) = entries.get_mut(&id).filter(|e| e.session.user == user) else {
            return Ok(());
        };
        entry.last_used = now;
        entry.session.updated_at = now;
        entry.bytes += turn.iter().map(|m| m.content.len()).sum::<usize>();
        entry.turns.extend(turn);
        while entry.bytes > self.limits.bytes_per_session {
            let Some(oldest) = entry.turns.pop_front() else {
                break;
            };
            entry.bytes -= oldest.content.len();
        }
        Ok(())
    }

    async fn remove(&self, user: UserId, id: SessionId) -> Result<bool, TranscriptError> {
        let mut entries = self.live();
        let own = entries.get(&id).is_some_and(|e| e.session.user == user);
        Ok(own && entries.remove(&id).is_some())
    }
}
