//! Where jobs are kept.

use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use super::{DeadJobs, Job, JobReport, LeasedJob, QueueDepth};
use crate::ids::MemoryId;
use crate::privacy::MemoryScope;
use crate::store::StoreError;

/// Jobs as part of a unit of work: they exist exactly if it is committed.
#[async_trait]
pub trait JobOutbox: Send {
    /// Adds a job of the owner.
    async fn enqueue(&mut self, job: &Job) -> Result<(), StoreError>;
    /// Adds a job of the owner unless one of its kind and subject waits or runs; `false` when one does.
    /// Of many that do so at the same time, in whatever process, one adds it.
    async fn enqueue_once(&mut self, job: &Job) -> Result<bool, StoreError>;
    /// Ends a job together with its effects: `false` when the lease was lost meanwhile, and then the
    /// unit of work must be dropped, because somebody else runs the job.
    async fn complete(&mut self, lease: &LeasedJob) -> Result<bool, StoreError>;
}

/// Jobs as a worker sees them, of all users.
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Claims up to `limit` jobs that are due, oldest first, until `now + lease`. No job is claimed
    /// twice within a lease; when a lease ends without a word, the job is due again.
    ///
    /// A job that is dated further ahead than [`LONGEST_WAIT`](super::LONGEST_WAIT), or leased for longer
    /// than two leases from now, was dated by a clock that has been set back since: it is due. Clocks of
    /// workers may so differ by a lease.
    async fn claim(
        &self,
        now: OffsetDateTime,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<LeasedJob>, StoreError>;
    /// Gives a job back to be tried at `at`; without effect when the lease was lost.
    async fn retry(
        &self,
        lease: &LeasedJob,
        at: OffsetDateTime,
        reason: &str,
    ) -> Result<(), StoreError>;
    /// Gives a job up for good but keeps it visible; without effect when the lease was lost.
    async fn bury(&self, lease: &LeasedJob, reason: &str) -> Result<(), StoreError>;
    /// Ends every lease: for a start at which no other worker can be alive, so that work which a crash
    /// cut off is due at once. Whoever should still hold one has lost it. How many there were.
    async fn release(&self) -> Result<u64, StoreError>;
    /// How much work there is.
    async fn depth(&self) -> Result<QueueDepth, StoreError>;
    /// The jobs given up, newest first.
    async fn dead(&self, limit: u32) -> Result<Vec<JobReport>, StoreError>;
    /// Makes jobs that were given up due at `now`, with all their tries before them; how many.
    async fn revive(&self, which: DeadJobs, now: OffsetDateTime) -> Result<u64, StoreError>;
    /// Removes jobs that were given up; how many.
    async fn forget(&self, which: DeadJobs) -> Result<u64, StoreError>;
}

/// The few things that go over all users, for upkeep and for the operator.
#[async_trait]
pub trait Maintenance: Send + Sync {
    /// Marks as interrupted every answer whose writer gave no sign of life since `before`; how many.
    async fn interrupt_stale(&self, before: OffsetDateTime) -> Result<u64, StoreError>;
    /// Profiles of all users, in a fixed order, those after `after`.
    async fn scopes(
        &self,
        after: Option<MemoryScope>,
        limit: u32,
    ) -> Result<Vec<MemoryScope>, StoreError>;
    /// Memories that are not in the index, or not with their vector where `with_vectors`, and have no
    /// [`Index`](super::JobKind::Index) job pending; at most `limit`.
    async fn unindexed(
        &self,
        with_vectors: bool,
        limit: u32,
    ) -> Result<Vec<(MemoryScope, MemoryId)>, StoreError>;
    /// For when the whole index was just compared with the rows: removes the jobs given up that are
    /// moot now. Those are [`Index`](super::JobKind::Index) jobs of memories that are gone, or that are
    /// in the index (with their vector where `with_vectors`), or that were given up again later; and all
    /// [`Sweep`](super::JobKind::Sweep) jobs. How many there were.
    async fn forget_settled(&self, with_vectors: bool) -> Result<u64, StoreError>;
    /// Removes at most `limit` log-ins that expired before that moment, the oldest first; how many.
    async fn remove_ended_logins(
        &self,
        before: OffsetDateTime,
        limit: u32,
    ) -> Result<u64, StoreError>;
}

/// Wakes the worker of this process, so that work need not wait for its next look.
pub trait WorkSignal: Send + Sync {
    /// There is a new job.
    fn work_added(&self);
}
