//! Jobs as a worker sees them, of all users.

use std::time::Duration;

use async_trait::async_trait;
use domain::jobs::{DeadJobs, JobQueue, JobReport, JobState, LeasedJob, QueueDepth};
use domain::store::StoreError;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, Statement, UpdateMany, Value,
};
use time::OffsetDateTime;

use crate::entities::job;
use crate::error::store_error;
use crate::outbox::{DEAD, PENDING, job_of, still_held};
use crate::rows::{Table, count, micros};
use crate::store::SqlStore;

const OUTBOX: Table = Table("outbox");

/// One statement, so that it holds the write lock for as short as can be. The state is spelled out
/// because that is what makes the partial index fit. The number is `LONGEST_WAIT`.
const CLAIM: &str = "\
    update outbox set attempts = attempts + 1, locked_until = $2 \
    where id in (select id from outbox where state = 'pending' \
                 and (available_at <= $1 or available_at > $1 + 600000000) \
                 and (locked_until is null or locked_until <= $1 or locked_until > $2 + $2 - $1) \
                 order by available_at, id limit $3) \
    returning *";
const RELEASE: &str = "update outbox set locked_until = null \
    where state = 'pending' and locked_until is not null";
const DEPTH: &str = "select state, count(*) as jobs from outbox group by state";
const DEAD_JOBS: &str = "select * from outbox where state = 'dead' order by id desc limit $1";
const REVIVE: &str = "update outbox set state = 'pending', attempts = 0, available_at = $3 \
    where state = 'dead' and ($1 is null or id = $1) and ($2 is null or kind = $2)";
const FORGET: &str = "delete from outbox \
    where state = 'dead' and ($1 is null or id = $1) and ($2 is null or kind = $2)";

#[derive(FromQueryResult)]
struct DepthRow {
    state: String,
    jobs: i64,
}

impl SqlStore {
    /// Asks past a single owner: SQLite by a statement, Postgres through a door of the same meaning.
    pub(crate) fn past_owners<const N: usize>(
        &self,
        sqlite: &str,
        postgres: &str,
        values: [Value; N],
    ) -> Statement {
        let sql = if self.is_postgres() { postgres } else { sqlite };
        Statement::from_sql_and_values(self.writer.get_database_backend(), sql, values)
    }

    /// Changes a job that is still held.
    async fn change(
        &self,
        lease: &LeasedJob,
        change: impl FnOnce(UpdateMany<job::Entity>) -> UpdateMany<job::Entity> + Send,
        reason: &str,
    ) -> Result<(), StoreError> {
        let tx = self.begin_write(Some(lease.job.user)).await?;
        change(job::Entity::update_many())
            .col_expr(job::Column::LockedUntil, Expr::value(None::<i64>))
            .col_expr(job::Column::LastError, Expr::value(reason))
            .filter(still_held(lease))
            .exec(&tx)
            .await
            .map_err(store_error)?;
        tx.commit().await
    }
}

#[async_trait]
impl JobQueue for SqlStore {
    async fn claim(
        &self,
        now: OffsetDateTime,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<LeasedJob>, StoreError> {
        let values = [
            micros(now).into(),
            micros(now + lease).into(),
            i64::from(limit).into(),
        ];
        let claim = self.past_owners(CLAIM, "select * from claim_jobs($1, $2, $3)", values);
        let rows = job::Model::find_by_statement(claim).all(&self.writer).await;
        let mut rows = rows.map_err(store_error)?;
        rows.sort_by_key(|row| (row.available_at, row.id));
        rows.iter().map(lease_of).collect()
    }

    async fn retry(
        &self,
        lease: &LeasedJob,
        at: OffsetDateTime,
        reason: &str,
    ) -> Result<(), StoreError> {
        let later = Expr::value(micros(at));
        let change = |job: UpdateMany<_>| job.col_expr(job::Column::AvailableAt, later);
        self.change(lease, change, reason).await
    }

    async fn bury(&self, lease: &LeasedJob, reason: &str) -> Result<(), StoreError> {
        let change = |job: UpdateMany<_>| job.col_expr(job::Column::State, Expr::value(DEAD));
        self.change(lease, change, reason).await
    }

    async fn release(&self) -> Result<u64, StoreError> {
        let release = self.past_owners(RELEASE, "select release_jobs()", []);
        self.changed(release).await
    }

    async fn depth(&self) -> Result<QueueDepth, StoreError> {
        let depth = self.past_owners(DEPTH, "select * from queue_depth()", []);
        let groups = DepthRow::find_by_statement(depth).all(&self.readers).await;
        let groups = groups.map_err(store_error)?;
        let of = |state| {
            groups
                .iter()
                .find(|group| group.state == state)
                .map_or(0, |group| count(group.jobs))
        };
        Ok(QueueDepth {
            pending: of(PENDING),
            dead: of(DEAD),
        })
    }

    async fn dead(&self, limit: u32) -> Result<Vec<JobReport>, StoreError> {
        let limit = i64::from(limit).into();
        let dead = self.past_owners(DEAD_JOBS, "select * from dead_jobs($1)", [limit]);
        let rows = job::Model::find_by_statement(dead).all(&self.readers).await;
        rows.map_err(store_error)?
            .into_iter()
            .map(report_of)
            .collect()
    }

    async fn revive(&self, which: DeadJobs, now: OffsetDateTime) -> Result<u64, StoreError> {
        let [id, kind] = chosen(which);
        let values = [id, kind, micros(now).into()];
        let revive = self.past_owners(REVIVE, "select revive_jobs($1, $2, $3)", values);
        self.changed(revive).await
    }

    async fn forget(&self, which: DeadJobs) -> Result<u64, StoreError> {
        let forget = self.past_owners(FORGET, "select forget_jobs($1, $2)", chosen(which));
        self.changed(forget).await
    }
}

/// The id and the kind that a job must have, null where it does not matter.
fn chosen(which: DeadJobs) -> [Value; 2] {
    let (id, kind) = match which {
        DeadJobs::All => (None, None),
        DeadJobs::Of(name) => (None, Some(name.as_str())),
        DeadJobs::One(id) => (Some(id.as_uuid()), None),
    };
    [id.into(), kind.into()]
}

fn lease_of(row: &job::Model) -> Result<LeasedJob, StoreError> {
    Ok(LeasedJob {
        job: job_of(row)?,
        attempt: OUTBOX.number("attempts", row.attempts)?,
    })
}

fn report_of(row: job::Model) -> Result<JobReport, StoreError> {
    Ok(JobReport {
        job: job_of(&row)?,
        state: JobState::Dead,
        attempts: OUTBOX.number("attempts", row.attempts)?,
        last_error: row.last_error,
    })
}
