//! The few things that go over all users.

use async_trait::async_trait;
use domain::ids::{MemoryId, ProfileId, UserId};
use domain::jobs::Maintenance;
use domain::privacy::MemoryScope;
use domain::store::StoreError;
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::store_error;
use crate::rows::{count, micros};
use crate::store::SqlStore;

const INTERRUPT: &str = "update chat_messages set status = 'interrupted' \
    where status = 'streaming' and alive_at < $1";
const PROFILES: &str = "select user_id, id from memory_profiles \
    where $1 is null or (user_id, id) > ($1, $2) order by user_id, id limit $3";
/// Its first condition is spelled as in the partial index, so that it fits.
const UNINDEXED: &str = "select user_id, profile_id, id from memories \
    where (indexed_version is null or indexed_version <> version or not indexed_vector) \
      and ($1 or indexed_version is null or indexed_version <> version) \
      and not exists (select 1 from outbox o where o.user_id = memories.user_id \
          and o.subject_id = memories.id and o.kind = 'index' and o.state = 'pending') \
    order by id limit $2";
const FORGET_SETTLED: &str = "delete from outbox where state = 'dead' and (kind = 'sweep' or kind = 'index' \
    and (not exists (select 1 from memories m where m.user_id = outbox.user_id and m.id = outbox.subject_id \
            and (m.indexed_version is null or m.indexed_version <> m.version or $1 and not m.indexed_vector)) \
        or exists (select 1 from outbox l where l.user_id = outbox.user_id and l.subject_id = outbox.subject_id \
            and l.kind = 'index' and l.state = 'dead' and l.id > outbox.id)))";
const REMOVE_LOGINS: &str = "delete from logins where id in (select id from logins \
    where expires_at < $1 order by expires_at limit $2)";

#[derive(FromQueryResult)]
struct ProfileRow {
    user_id: Uuid,
    id: Uuid,
}

#[derive(FromQueryResult)]
struct MemoryRow {
    user_id: Uuid,
    profile_id: Uuid,
    id: Uuid,
}

impl SqlStore {
    /// Runs a change past owners; how many rows it reached. A door counts them itself.
    pub(crate) async fn changed(&self, change: Statement) -> Result<u64, StoreError> {
        if !self.is_postgres() {
            let changed = self.writer.execute_raw(change).await.map_err(store_error)?;
            return Ok(changed.rows_affected());
        }
        let row = self.writer.query_one_raw(change).await;
        let rows: Option<i64> = match row.map_err(store_error)? {
            Some(row) => row.try_get_by_index(0).map_err(store_error)?,
            None => None,
        };
        Ok(count(rows.unwrap_or(0)))
    }
}

#[async_trait]
impl Maintenance for SqlStore {
    async fn interrupt_stale(&self, before: OffsetDateTime) -> Result<u64, StoreError> {
        let before = micros(before).into();
        let interrupt = self.past_owners(INTERRUPT, "select interrupt_stale($1)", [before]);
        self.changed(interrupt).await
    }

    async fn scopes(
        &self,
        after: Option<MemoryScope>,
        limit: u32,
    ) -> Result<Vec<MemoryScope>, StoreError> {
        let values = [
            after.map(|scope| scope.user.as_uuid()).into(),
            after.map(|scope| scope.profile.as_uuid()).into(),
            i64::from(limit).into(),
        ];
        let door = "select user_id, id from list_profiles($1, $2, $3)";
        let profiles = self.past_owners(PROFILES, door, values);
        let rows = ProfileRow::find_by_statement(profiles)
            .all(&self.readers)
            .await;
        let rows = rows.map_err(store_error)?;
        let scope = |row: ProfileRow| scope_of(row.user_id, row.id);
        Ok(rows.into_iter().map(scope).collect())
    }

    async fn unindexed(
        &self,
        with_vectors: bool,
        limit: u32,
    ) -> Result<Vec<(MemoryScope, MemoryId)>, StoreError> {
        let values = [with_vectors.into(), i64::from(limit).into()];
        let door = "select user_id, profile_id, id from list_unindexed($1, $2)";
        let unindexed = self.past_owners(UNINDEXED, door, values);
        let rows = MemoryRow::find_by_statement(unindexed)
            .all(&self.readers)
            .await;
        let rows = rows.map_err(store_error)?;
        let found = |row: MemoryRow| (scope_of(row.user_id, row.profile_id), MemoryId::new(row.id));
        Ok(rows.into_iter().map(found).collect())
    }

    async fn forget_settled(&self, with_vectors: bool) -> Result<u64, StoreError> {
        let door = "select forget_settled_jobs($1)";
        let forget = self.past_owners(FORGET_SETTLED, door, [with_vectors.into()]);
        self.changed(forget).await
    }

    async fn remove_ended_logins(
        &self,
        before: OffsetDateTime,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let values = [micros(before).into(), i64::from(limit).into()];
        let door = "select remove_ended_logins($1, $2)";
        let remove = self.past_owners(REMOVE_LOGINS, door, values);
        self.changed(remove).await
    }
}

fn scope_of(user: Uuid, profile: Uuid) -> MemoryScope {
    MemoryScope {
        user: UserId::new(user),
        profile: ProfileId::new(profile),
    }
}
