//! Jobs as rows, and as part of a unit of work.

use async_trait::async_trait;
use domain::ids::{JobId, MemoryId, MessageId, ProfileId, UserId};
use domain::jobs::{Job, JobKind, JobOutbox, LeasedJob};
use domain::store::StoreError;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, IntoActiveModel, QueryFilter,
    Statement,
};
use uuid::Uuid;

use crate::entities::job;
use crate::error::store_error;
use crate::rows::{Table, micros};
use crate::unit_of_work::SqlUnitOfWork;

/// State of a job that waits or runs.
pub(crate) const PENDING: &str = "pending";
/// State of a job that was given up.
pub(crate) const DEAD: &str = "dead";

/// One at a time for each user, until the end of the transaction.
const ENQUEUING: &str = "select pg_advisory_xact_lock(hashtextextended('enqueue ' || $1::text, 0))";

#[async_trait]
impl JobOutbox for SqlUnitOfWork {
    async fn enqueue(&mut self, job: &Job) -> Result<(), StoreError> {
        self.check_owner(job.user)?;
        let (kind, subject_id, profile_id) = words_of(job.kind);
        let row = job::Model {
            id: job.id.into(),
            user_id: self.owner,
            kind: kind.to_owned(),
            subject_id,
            profile_id,
            state: PENDING.to_owned(),
            attempts: 0,
            available_at: micros(job.available_at),
            locked_until: None,
            last_error: None,
        };
        job::Entity::insert(row.into_active_model())
            .exec_without_returning(&self.tx)
            .await
            .map(|_| ())
            .map_err(store_error)
    }

    async fn enqueue_once(&mut self, job: &Job) -> Result<bool, StoreError> {
        self.check_owner(job.user)?;
        let backend = self.tx.get_database_backend();
        if backend == DbBackend::Postgres {
            // Whoever else is about to do the same waits here; SQLite has one writer anyway.
            let lock = Statement::from_sql_and_values(backend, ENQUEUING, [self.owner.into()]);
            self.tx.execute_raw(lock).await.map_err(store_error)?;
        }
        let (kind, subject, _) = words_of(job.kind);
        let waiting = job::Entity::find()
            .filter(job::Column::UserId.eq(self.owner))
            .filter(job::Column::SubjectId.eq(subject))
            .filter(job::Column::Kind.eq(kind))
            .filter(job::Column::State.eq(PENDING))
            .one(&self.tx)
            .await
            .map_err(store_error)?;
        if waiting.is_some() {
            return Ok(false);
        }
        self.enqueue(job).await.map(|()| true)
    }

    async fn complete(&mut self, lease: &LeasedJob) -> Result<bool, StoreError> {
        let completed = job::Entity::delete_many()
            .filter(job::Column::UserId.eq(self.owner))
            .filter(still_held(lease))
            .exec(&self.tx)
            .await
            .map_err(store_error)?;
        Ok(completed.rows_affected > 0)
    }
}

/// The job, if nobody has claimed, returned or buried it since this lease began.
pub(crate) fn still_held(lease: &LeasedJob) -> Condition {
    Condition::all()
        .add(job::Column::Id.eq(lease.job.id.as_uuid()))
        .add(job::Column::UserId.eq(lease.job.user.as_uuid()))
        .add(job::Column::Attempts.eq(i64::from(lease.attempt)))
        .add(job::Column::State.eq(PENDING))
        .add(job::Column::LockedUntil.is_not_null())
}

/// Kind, subject and profile as they are stored.
fn words_of(kind: JobKind) -> (&'static str, Uuid, Uuid) {
    let (subject, profile) = match kind {
        JobKind::Learn { message, profile } => (message.into(), profile),
        JobKind::Index { memory, profile } => (memory.into(), profile),
        JobKind::Sweep { profile } => (profile.into(), profile),
    };
    (kind.name().as_str(), subject, profile.into())
}

/// The job of a row.
pub(crate) fn job_of(row: &job::Model) -> Result<Job, StoreError> {
    const OUTBOX: Table = Table("outbox");
    let profile = ProfileId::new(row.profile_id);
    let kind = match row.kind.as_str() {
        "learn" => Some(JobKind::Learn {
            message: MessageId::new(row.subject_id),
            profile,
        }),
        "index" => Some(JobKind::Index {
            memory: MemoryId::new(row.subject_id),
            profile,
        }),
        "sweep" => Some(JobKind::Sweep { profile }),
        _ => None,
    };
    Ok(Job {
        id: JobId::new(row.id),
        user: UserId::new(row.user_id),
        kind: OUTBOX.value("kind", kind)?,
        available_at: OUTBOX.time("available_at", row.available_at)?,
    })
}
