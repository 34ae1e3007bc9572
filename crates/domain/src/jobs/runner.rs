//! One worker's round.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{Either, pending, select};

use super::{Job, JobKind, JobQueue, LeasedJob, RetryPolicy};
use crate::clock::Clock;
use crate::memory::{Indexer, LearnOutcome, Learner};
use crate::privacy::MemoryScope;
use crate::store::{MayBeAborted, Store, StoreError, UnitOfWork};

/// Why a try failed that gave no answer: its code panicked, which is logged where it happens.
const PANICKED: &str = "a fault of the program ended the work";
/// Likewise: it had not ended when its time was over, or the process was to end.
const OVERDUE: &str = "the work was broken off before its end";
/// Why a job is given up of whose last try nothing was heard: its worker was killed, or could not say so.
const UNHEARD_OF: &str = "its last tries ended without a word";

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

    /// How long one try may take.
    pub fn patience(&self) -> Duration {
        self.policy.patience()
    }

    /// Runs the oldest job that is due, however long it takes; `None` when there is none.
    pub async fn run_next(&self) -> Result<Option<JobOutcome>, StoreError> {
        self.run_next_until(pending()).await
    }

    /// The same, but a job that has not ended when `enough` resolves is broken off, and this try has
    /// failed; so has one that panics. [`Self::patience`] says how long to wait.
    pub async fn run_next_until(
        &self,
        enough: impl Future<Output = ()> + Send,
    ) -> Result<Option<JobOutcome>, StoreError> {
        let claimed = self.queue.claim(self.clock.now(), self.policy.lease, 1);
        let Some(lease) = claimed.await?.into_iter().next() else {
            return Ok(None);
        };
        if lease.attempt > self.policy.max_attempts {
            return self.bury(&lease, UNHEARD_OF.to_owned()).await.map(Some);
        }
        let outcome = match self.run_until(&lease, enough).await {
            Ok(ended) => ended?,
            Err(broken_off) => self.fail(&lease, broken_off.to_owned()).await?,
        };
        Ok(Some(outcome))
    }

    /// `Err` when it was broken off. What it held, such as an open unit of work, is let go then.
    async fn run_until(
        &self,
        lease: &LeasedJob,
        enough: impl Future<Output = ()> + Send,
    ) -> Result<Result<JobOutcome, StoreError>, &'static str> {
        let run = pin!(AssertUnwindSafe(self.run(lease)).catch_unwind());
        match select(run, pin!(enough)).await {
            Either::Left((Ok(ended), _)) => Ok(ended),
            Either::Left((Err(_panic), _)) => Err(PANICKED),
            Either::Right(((), _)) => Err(OVERDUE),
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
        self.bury(lease, reason).await
    }

    async fn bury(&self, lease: &LeasedJob, reason: String) -> Result<JobOutcome, StoreError> {
        self.queue.bury(lease, &reason).await?;
        let job = lease.job;
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
