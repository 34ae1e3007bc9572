//! The rows.

use std::collections::HashSet;

use domain::account::{ApiKey, Login, PasswordHash, User};
use domain::ids::{MemoryId, MessageId, ProfileId, SessionId, UserId};
use domain::jobs::{DeadJobs, Job, JobState, LeasedJob};
use domain::memory::Memory;
use domain::profile::Profile;
use domain::session::{Message, Session};
use time::OffsetDateTime;

/// All that is stored.
#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) users: Vec<(User, Option<PasswordHash>)>,
    /// Users whom another issuer vouches for.
    pub(super) foreign: HashSet<UserId>,
    pub(super) logins: Vec<Login>,
    pub(super) api_keys: Vec<(ApiKey, String)>,
    pub(super) profiles: Vec<Profile>,
    pub(super) sessions: Vec<Session>,
    pub(super) messages: Vec<MessageRow>,
    pub(super) memories: Vec<MemoryRow>,
    pub(super) jobs: Vec<JobRow>,
    /// Places given to messages so far; a place is never given again.
    pub(super) places: i64,
}

#[derive(Clone)]
pub(super) struct MessageRow {
    pub(super) owner: UserId,
    /// Where it stands among all messages.
    pub(super) place: i64,
    /// Last sign of life of its writer.
    pub(super) alive_at: OffsetDateTime,
    pub(super) message: Message,
}

#[derive(Clone)]
pub(super) struct MemoryRow {
    pub(super) memory: Memory,
    /// The version that the index holds, and whether with its vector.
    pub(super) indexed: Option<(u32, bool)>,
}

impl MemoryRow {
    /// Does the index hold it as it is, and with its vector where that matters?
    pub(super) fn is_indexed(&self, with_vectors: bool) -> bool {
        self.indexed.is_some_and(|(version, with_vector)| {
            version == self.memory.version && (with_vector || !with_vectors)
        })
    }
}

#[derive(Clone)]
pub(super) struct JobRow {
    pub(super) job: Job,
    pub(super) state: JobState,
    pub(super) attempts: u32,
    pub(super) leased_until: Option<OffsetDateTime>,
    pub(super) last_error: Option<String>,
}

impl JobRow {
    /// Is this the lease in force?
    pub(super) fn is_held_by(&self, lease: &LeasedJob) -> bool {
        self.job.id == lease.job.id
            && self.state == JobState::Pending
            && self.attempts == lease.attempt
            && self.leased_until.is_some()
    }

    /// Is this one of those that were given up?
    pub(super) fn is_dead(&self, which: DeadJobs) -> bool {
        self.state == JobState::Dead && which.include(&self.job)
    }
}

impl State {
    pub(super) fn owns_profile(&self, owner: UserId, id: ProfileId) -> bool {
        self.profiles
            .iter()
            .any(|p| p.user() == owner && p.id() == id)
    }

    pub(super) fn session(&self, owner: UserId, id: SessionId) -> Option<&Session> {
        self.sessions.iter().find(|s| s.user == owner && s.id == id)
    }

    pub(super) fn session_mut(&mut self, owner: UserId, id: SessionId) -> Option<&mut Session> {
        self.sessions
            .iter_mut()
            .find(|s| s.user == owner && s.id == id)
    }

    pub(super) fn message(&self, owner: UserId, id: MessageId) -> Option<&Message> {
        self.messages
            .iter()
            .find(|r| r.owner == owner && r.message.id == id)
            .map(|r| &r.message)
    }

    pub(super) fn memory(&self, owner: UserId, id: MemoryId) -> Option<&Memory> {
        let mut memories = self.memories.iter().map(|r| &r.memory);
        memories.find(|m| m.scope.user == owner && m.id == id)
    }

    /// Removes the messages that fit, and takes them out of the memories drawn from them.
    pub(super) fn remove_messages(&mut self, fits: impl Fn(&MessageRow) -> bool) -> bool {
        let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.messages)
            .into_iter()
            .partition(fits);
        self.messages = kept;
        for row in &mut self.memories {
            let source = row.memory.source;
            if source.is_some_and(|s| gone.iter().any(|g| g.message.id == s.message)) {
                row.memory.source = None;
            }
        }
        !gone.is_empty()
    }

    /// Removes the memories that fit and answers with them.
    pub(super) fn remove_memories(&mut self, fits: impl Fn(&Memory) -> bool) -> Vec<Memory> {
        let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.memories)
            .into_iter()
            .partition(|row| fits(&row.memory));
        self.memories = kept;
        gone.into_iter().map(|row| row.memory).collect()
    }
}

/// Keeps what does not fit; was there anything that did?
pub(super) fn remove_rows<T>(rows: &mut Vec<T>, fits: impl Fn(&T) -> bool) -> bool {
    count_removed(rows, fits) > 0
}

/// Keeps what does not fit; how much did?
pub(super) fn count_removed<T>(rows: &mut Vec<T>, fits: impl Fn(&T) -> bool) -> u64 {
    let before = rows.len();
    rows.retain(|row| !fits(row));
    (before - rows.len()) as u64
}
