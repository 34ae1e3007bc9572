//! The outbox of a unit of work, and the queue that a worker sees.

use std::time::Duration;

use async_trait::async_trait;
use domain::jobs::{
    Job, JobOutbox, JobQueue, JobReport, JobState, LONGEST_WAIT, LeasedJob, QueueDepth,
};
use domain::store::StoreError;
use time::OffsetDateTime;

use super::state::{JobRow, State, remove_rows};
use super::{InMemoryStore, Unit};

#[async_trait]
impl JobOutbox for Unit {
    async fn enqueue(&mut self, job: &Job) -> Result<(), StoreError> {
        if job.user != self.owner {
            return self.conflict("reference");
        }
        self.state.jobs.push(JobRow {
            job: *job,
            state: JobState::Pending,
            attempts: 0,
            leased_until: None,
            last_error: None,
        });
        Ok(())
    }

    async fn complete(&mut self, lease: &LeasedJob) -> Result<bool, StoreError> {
        let owner = self.owner;
        let fits = |row: &JobRow| row.job.user == owner && row.is_held_by(lease);
        Ok(remove_rows(&mut self.state.jobs, fits))
    }
}

impl State {
    fn held(&mut self, lease: &LeasedJob) -> Option<&mut JobRow> {
        self.jobs.iter_mut().find(|row| row.is_held_by(lease))
    }

    fn claim(&mut self, now: OffsetDateTime, lease: Duration, limit: u32) -> Vec<LeasedJob> {
        let until = now + lease;
        let is_over = |end: OffsetDateTime, farthest: Duration| end <= now || end > now + farthest;
        let mut due: Vec<_> = self
            .jobs
            .iter_mut()
            .filter(|row| row.state == JobState::Pending)
            .filter(|row| is_over(row.job.available_at, LONGEST_WAIT))
            .filter(|row| row.leased_until.is_none_or(|end| is_over(end, lease * 2)))
            .collect();
        due.sort_by_key(|row| (row.job.available_at, row.job.id));
        let claimed = due.into_iter().take(limit as usize);
        let lease = |row: &mut JobRow| {
            row.attempts += 1;
            row.leased_until = Some(until);
            LeasedJob {
                job: row.job,
                attempt: row.attempts,
            }
        };
        claimed.map(lease).collect()
    }
}

#[async_trait]
impl JobQueue for InMemoryStore {
    async fn claim(
        &self,
        now: OffsetDateTime,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<LeasedJob>, StoreError> {
        Ok(self.change(|state| state.claim(now, lease, limit)).await)
    }

    async fn retry(
        &self,
        lease: &LeasedJob,
        at: OffsetDateTime,
        reason: &str,
    ) -> Result<(), StoreError> {
        self.change(|state| {
            if let Some(row) = state.held(lease) {
                row.job.available_at = at;
                row.leased_until = None;
                row.last_error = Some(reason.to_owned());
            }
        })
        .await;
        Ok(())
    }

    async fn bury(&self, lease: &LeasedJob, reason: &str) -> Result<(), StoreError> {
        self.change(|state| {
            if let Some(row) = state.held(lease) {
                row.state = JobState::Dead;
                row.last_error = Some(reason.to_owned());
            }
        })
        .await;
        Ok(())
    }

    async fn release(&self) -> Result<u64, StoreError> {
        let release = |state: &mut State| {
            let leased = state
                .jobs
                .iter_mut()
                .filter(|row| row.leased_until.is_some());
            let released = leased.map(|row| {
                row.leased_until = None;
                row.attempts += 1;
            });
            released.count() as u64
        };
        Ok(self.change(release).await)
    }

    async fn depth(&self) -> Result<QueueDepth, StoreError> {
        let count = |wanted: JobState| {
            self.look(|state| state.jobs.iter().filter(|row| row.state == wanted).count() as u64)
        };
        Ok(QueueDepth {
            pending: count(JobState::Pending),
            dead: count(JobState::Dead),
        })
    }

    async fn dead(&self, limit: u32) -> Result<Vec<JobReport>, StoreError> {
        let mut dead: Vec<_> = self.look(|state| {
            state
                .jobs
                .iter()
                .filter(|row| row.state == JobState::Dead)
                .map(report)
                .collect()
        });
        dead.sort_by_key(|report| std::cmp::Reverse((report.job.available_at, report.job.id)));
        dead.truncate(limit as usize);
        Ok(dead)
    }
}

fn report(row: &JobRow) -> JobReport {
    JobReport {
        job: row.job,
        state: row.state,
        attempts: row.attempts,
        last_error: row.last_error.clone(),
    }
}
