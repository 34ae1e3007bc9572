//! Jobs as values.

use std::time::Duration;

use time::OffsetDateTime;

use crate::ids::{JobId, MemoryId, MessageId, ProfileId, UserId};

/// What is to be done. Every kind is idempotent: running it twice has the effect of once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Learn from a question, for the profile the session had when it was asked.
    Learn {
        /// The question.
        message: MessageId,
        /// Where to.
        profile: ProfileId,
    },
    /// Bring the index up to date with a memory's row, present or gone.
    Index {
        /// The memory.
        memory: MemoryId,
        /// Its profile.
        profile: ProfileId,
    },
    /// Remove everything of a deleted or emptied profile from the index, but what has a row.
    Sweep {
        /// The profile.
        profile: ProfileId,
    },
}

/// A job as it is put into the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// On whose behalf.
    pub user: UserId,
    /// What.
    pub kind: JobKind,
    /// Not before.
    pub available_at: OffsetDateTime,
}

/// A job that a worker has claimed. Until the lease ends nobody else runs it; `attempt` tells leases
/// of one job apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeasedJob {
    /// The job.
    pub job: Job,
    /// 1 at the first try.
    pub attempt: u32,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Waiting or running.
    Pending,
    /// Given up after too many tries; kept for the operator to see.
    Dead,
}

/// A job as reports show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobReport {
    /// The job.
    pub job: Job,
    /// Where it stands.
    pub state: JobState,
    /// Tries so far.
    pub attempts: u32,
    /// Why the last try failed; holds no content.
    pub last_error: Option<String>,
}

/// How much work there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Jobs waiting or running.
    pub pending: u64,
    /// Jobs given up.
    pub dead: u64,
}

/// No job waits for longer than this, whatever the policy.
pub const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Wait after the first failure; doubled each time.
    pub base: Duration,
    /// Longest wait, up to [`LONGEST_WAIT`].
    pub cap: Duration,
    /// Tries before a job is given up.
    pub max_attempts: u32,
    /// How long a claimed job belongs to its worker: longer than any job takes.
    pub lease: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(2),
            cap: LONGEST_WAIT,
            max_attempts: 10,
            lease: Duration::from_mins(5),
        }
    }
}

impl RetryPolicy {
    /// The wait after this many failed tries; `None` when the job is to be given up.
    pub fn wait(&self, attempts: u32) -> Option<Duration> {
        if attempts >= self.max_attempts {
            return None;
        }
        let doublings = attempts.saturating_sub(1).min(20);
        Some(
            self.base
                .saturating_mul(1 << doublings)
                .min(self.cap)
                .min(LONGEST_WAIT),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_end() {
        let policy = RetryPolicy {
            base: Duration::from_secs(2),
            cap: Duration::from_secs(10),
            max_attempts: 5,
            ..RetryPolicy::default()
        };
        let waits: Vec<_> = (1..=5)
            .map(|n| policy.wait(n).map(|d| d.as_secs()))
            .collect();
        assert_eq!(waits, [Some(2), Some(4), Some(8), Some(10), None]);
    }
}
