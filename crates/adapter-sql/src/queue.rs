//! Jobs as a worker sees them, of all users.

use std::time::Duration;

use async_trait::async_trait;
use domain::jobs::{JobQueue, JobReport, JobState, LeasedJob, QueueDepth};
use domain::store::StoreError;
use sea_orm::sea_query::Expr;
use sea_orm::{EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Statement};
use time::OffsetDateTime;

use crate::entities::job;
use crate::error::store_error;
use crate::outbox::{DEAD, PENDING, job_of, still_held};
use crate::rows::{Table, count, micros};
use crate::store::SqlStore;

const OUTBOX: Table = Table("outbox");

/// One statement, so that it holds the write lock for as short as can be. The state is spelled out
/// because that is what makes the partial index fit.
const CLAIM: &str = "\
    update outbox set attempts = attempts + 1, locked_until = $2 \
    where id in (select id from outbox where state = 'pending' and available_at <= $1 \
                 and (locked_until is null or locked_until <= $1) \
                 order by available_at, id limit $3 {skip_locked}) \
    returning *";

#[async_trait]
impl JobQueue for SqlStore {
    async fn claim(
        &self,
        now: OffsetDateTime,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<LeasedJob>, StoreError> {
        let skip_locked = if self.is_postgres() {
            "for update skip locked"
        } else {
            ""
        };
        let sql = CLAIM.replace("{skip_locked}", skip_locked);
        let values = [
            micros(now).into(),
            micros(now + lease).into(),
            i64::from(limit).into(),
        ];
        let backend = self.writer.get_database_backend();
        let statement = Statement::from_sql_and_values(backend, sql, values);
        let rows = job::Model::find_by_statement(statement)
            .all(&self.writer)
            .await;
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
        job::Entity::update_many()
            .col_expr(job::Column::AvailableAt, Expr::value(micros(at)))
            .col_expr(job::Column::LockedUntil, Expr::value(None::<i64>))
            .col_expr(job::Column::LastError, Expr::value(reason))
            .filter(still_held(lease))
            .exec(&self.writer)
            .await
            .map(|_| ())
            .map_err(store_error)
    }

    async fn bury(&self, lease: &LeasedJob, reason: &str) -> Result<(), StoreError> {
        job::Entity::update_many()
            .col_expr(job::Column::State, Expr::value(DEAD))
            .col_expr(job::Column::LockedUntil, Expr::value(None::<i64>))
            .col_expr(job::Column::LastError, Expr::value(reason))
            .filter(still_held(lease))
            .exec(&self.writer)
            .await
            .map(|_| ())
            .map_err(store_error)
    }

    async fn release(&self) -> Result<u64, StoreError> {
        job::Entity::update_many()
            .col_expr(job::Column::LockedUntil, Expr::value(None::<i64>))
            .filter(Expr::cust("state = 'pending' and locked_until is not null"))
            .exec(&self.writer)
            .await
            .map(|released| released.rows_affected)
            .map_err(store_error)
    }

    async fn depth(&self) -> Result<QueueDepth, StoreError> {
        let groups: Vec<(String, i64)> = job::Entity::find()
            .select_only()
            .column(job::Column::State)
            .expr_as(Expr::cust("count(*)"), "jobs")
            .group_by(job::Column::State)
            .into_tuple()
            .all(&self.readers)
            .await
            .map_err(store_error)?;
        let of = |state| {
            groups
                .iter()
                .find(|group| group.0 == state)
                .map_or(0, |group| count(group.1))
        };
        Ok(QueueDepth {
            pending: of(PENDING),
            dead: of(DEAD),
        })
    }

    async fn dead(&self, limit: u32) -> Result<Vec<JobReport>, StoreError> {
        let rows = job::Entity::find()
            .filter(Expr::cust("state = 'dead'"))
            .order_by_desc(job::Column::Id)
            .limit(u64::from(limit))
            .all(&self.readers)
            .await
            .map_err(store_error)?;
        rows.into_iter().map(report_of).collect()
    }
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
