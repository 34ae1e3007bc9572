//! One worker's round.

use std::sync::Arc;

use super::{Job, JobKind, JobQueue, LeasedJob, RetryPolicy};
use crate::clock::Clock;
use crate::memory::{Indexer, LearnOutcome, Learner};
use crate::privacy::MemoryScope;
use crate::store::{MayBeAborted, Store, StoreError, UnitOfWork};

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobOutcome {
    /// Done, with its effects.
    Done {
        /// The job.
        job: Job,
        /// For a learning job: what came of it.
        learned: Option<LearnOutcome>,
    },
    /// Failed; it will be tried again.
    Retry {
        /// The job.
        job: Job,
        /// Tries so far.
        attempt: u32,
        /// Why; holds no content.
        reason: String,
    },
    /// Failed too often; it stays visible.
    Dead {
        /// The job.
        job: Job,
        /// Why; holds no content.
        reason: String,
    },
    /// The lease ended before the work did; somebody else has the job.
    Lost {
        /// The job.
        job: Job,
    },
}

/// Runs jobs. A crash between any two steps loses nothing (the lease ends, the job runs again) and
/// doubles nothing (its effects are idempotent, or commit together with its end).
pub struct JobRunner {
    queue: Arc<dyn JobQueue>,
    store: Arc<dyn Store>,
    learner: Learner,
    indexer: Arc<Indexer>,
    clock: Arc<dyn Clock>,
    policy: RetryPolicy,
}

impl JobRunner {
    /// Wires the worker.
    pub fn new(
        queue: Arc<dyn JobQueue>,
        store: Arc<dyn Store>,
        learner: Learner,
        indexer: Arc<Indexer>,
        clock: Arc<dyn Clock>,
        policy: RetryPolicy,
    ) -> Self {
        Self {
            queue,
            store,
            learner,
            indexer,
            clock,
            policy,
        }
    }

    /// Runs the oldest job that is due; `None` when there is none.
    pub async fn run_next(&self) -> Result<Option<JobOutcome>, StoreError> {
        let claimed = self.queue.claim(self.clock.now(), self.policy.lease, 1);
        let claimed = claimed.await?;
        match claimed.into_iter().next() {
            Some(lease) => Ok(Some(self.run(&lease).await?)),
            None => Ok(None),
        }
    }

    async fn run(&self, lease: &LeasedJob) -> Result<JobOutcome, StoreError> {
        let job = lease.job;
        let (work, learned) = match self.work(lease).await {
            Ok(done) => done,
            Err(reason) => return self.fail(lease, reason).await,
        };
        match end(work, lease).await {
            Ok(true) => Ok(JobOutcome::Done { job, learned }),
            Ok(false) => Ok(JobOutcome::Lost { job }),
            // Nothing was stored, so the next try need not wait for the end of the lease.
            Err(error) if error.is_aborted() => self.fail(lease, error.to_string()).await,
            Err(error) => Err(error),
        }
    }

    /// Does the work, up to a unit of work that only needs the end of the job and a commit.
    async fn work(
        &self,
        lease: &LeasedJob,
    ) -> Result<(Box<dyn UnitOfWork>, Option<LearnOutcome>), String> {
        let user = lease.job.user;
        match lease.job.kind {
            JobKind::Learn { message, profile } => {
                let last_try = self.policy.wait(lease.attempt).is_none();
                let learned = self.learner.learn(user, message, profile, last_try).await;
                learned
                    .map(|(work, outcome)| (work, Some(outcome)))
                    .map_err(|e| e.to_string())
            }
            JobKind::Index { memory, profile } => {
                let synced = self
                    .indexer
                    .sync(MemoryScope { user, profile }, memory)
                    .await;
                synced.map(|work| (work, None)).map_err(|e| e.to_string())
            }
            JobKind::Sweep { profile } => {
                let swept = self.indexer.sweep(MemoryScope { user, profile }).await;
                swept.map_err(|e| e.to_string())?;
                let work = self.store.begin(user).await.map_err(|e| e.to_string())?;
                Ok((work, None))
            }
        }
    }

    async fn fail(&self, lease: &LeasedJob, reason: String) -> Result<JobOutcome, StoreError> {
        let (job, attempt) = (lease.job, lease.attempt);
        if let Some(wait) = self.policy.wait(attempt) {
            self.queue
                .retry(lease, self.clock.now() + wait, &reason)
                .await?;
            return Ok(JobOutcome::Retry {
                job,
                attempt,
                reason,
            });
        }
        self.queue.bury(lease, &reason).await?;
        Ok(JobOutcome::Dead { job, reason })
    }
}

/// Ends a job together with its effects; `false` when its lease was lost.
async fn end(mut work: Box<dyn UnitOfWork>, lease: &LeasedJob) -> Result<bool, StoreError> {
    let held = work.jobs().complete(lease).await?;
    if held {
        work.commit().await?;
    }
    Ok(held)
}
