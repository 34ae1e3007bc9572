//! The few things that go over all users.

use async_trait::async_trait;
use domain::ids::{MemoryId, ProfileId, UserId};
use domain::jobs::Maintenance;
use domain::privacy::MemoryScope;
use domain::session::MessageStatus;
use domain::store::StoreError;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::entities::{memory, message, profile};
use crate::error::store_error;
use crate::rows::micros;
use crate::store::SqlStore;

/// Spelled as in the partial index, so that it fits.
const UNINDEXED: &str =
    "(indexed_version is null or indexed_version <> version or not indexed_vector)";
const OUT_OF_DATE: &str = "(indexed_version is null or indexed_version <> version)";
const NO_JOB: &str = "not exists (select 1 from outbox o where o.user_id = memories.user_id \
                      and o.subject_id = memories.id and o.kind = 'index' and o.state = 'pending')";

#[async_trait]
impl Maintenance for SqlStore {
    async fn interrupt_stale(&self, before: OffsetDateTime) -> Result<u64, StoreError> {
        let interrupted = MessageStatus::Interrupted.as_str();
        let stale = message::Entity::update_many()
            .col_expr(message::Column::Status, Expr::value(interrupted))
            .filter(Expr::cust("status = 'streaming'"))
            .filter(message::Column::AliveAt.lt(micros(before)))
            .exec(&self.writer)
            .await
            .map_err(store_error)?;
        Ok(stale.rows_affected)
    }

    async fn scopes(
        &self,
        after: Option<MemoryScope>,
        limit: u32,
    ) -> Result<Vec<MemoryScope>, StoreError> {
        let (user, id) = (profile::Column::UserId, profile::Column::Id);
        let mut query = profile::Entity::find()
            .select_only()
            .column(user)
            .column(id);
        if let Some(MemoryScope {
            user: last_user,
            profile: last,
        }) = after
        {
            let place = Expr::tuple([user.into_expr(), id.into_expr()]);
            let last = [
                Expr::value(last_user.as_uuid()),
                Expr::value(last.as_uuid()),
            ];
            query = query.filter(place.gt(Expr::tuple(last)));
        }
        let rows: Vec<(Uuid, Uuid)> = query
            .order_by_asc(user)
            .order_by_asc(id)
            .limit(u64::from(limit))
            .into_tuple()
            .all(&self.readers)
            .await
            .map_err(store_error)?;
        Ok(rows.into_iter().map(scope_of).collect())
    }

    async fn unindexed(
        &self,
        with_vectors: bool,
        limit: u32,
    ) -> Result<Vec<(MemoryScope, MemoryId)>, StoreError> {
        let mut query = memory::Entity::find()
            .select_only()
            .column(memory::Column::UserId)
            .column(memory::Column::ProfileId)
            .column(memory::Column::Id)
            .filter(Expr::cust(UNINDEXED))
            .filter(Expr::cust(NO_JOB));
        if !with_vectors {
            query = query.filter(Expr::cust(OUT_OF_DATE));
        }
        let rows: Vec<(Uuid, Uuid, Uuid)> = query
            .order_by_asc(memory::Column::Id)
            .limit(u64::from(limit))
            .into_tuple()
            .all(&self.readers)
            .await
            .map_err(store_error)?;
        let found = |(user, profile, id)| (scope_of((user, profile)), MemoryId::new(id));
        Ok(rows.into_iter().map(found).collect())
    }
}

fn scope_of((user, profile): (Uuid, Uuid)) -> MemoryScope {
    MemoryScope {
        user: UserId::new(user),
        profile: ProfileId::new(profile),
    }
}
