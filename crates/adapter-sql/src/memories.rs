//! The owner's memories as rows.

use std::collections::HashMap;

use async_trait::async_trait;
use domain::ids::{MemoryId, ProfileId, SessionId, UserId};
use domain::memory::{
    Indexed, Memory, MemoryContent, MemoryRepository, MemorySource, Origin, Stored,
};
use domain::page::{Cursor, Page, PageRequest};
use domain::privacy::{LearnGrant, MemoryScope, PrivacyMode, RecallGrant};
use domain::session::DrawnFrom;
use domain::store::StoreError;
use sea_orm::sea_query::{Expr, OnConflict, Query};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, ExprTrait, FromQueryResult,
    IntoActiveModel, QueryFilter, QuerySelect, QueryTrait, Select,
};
use uuid::Uuid;

use crate::entities::{memory, message};
use crate::error::store_error;
use crate::rows::{Table, micros, newest_first, uuids};
use crate::unit_of_work::SqlUnitOfWork;

#[derive(FromQueryResult)]
struct SourcedRow {
    #[sea_orm(nested)]
    memory: memory::Model,
    source_session: Option<Uuid>,
}

impl SqlUnitOfWork {
    /// Rows of the owner that lie in the scope: none in a scope of somebody else.
    fn within(&self, scope: MemoryScope) -> Condition {
        Condition::all()
            .add(memory::Column::UserId.eq(self.owner))
            .add(memory::Column::UserId.eq(scope.user.as_uuid()))
            .add(memory::Column::ProfileId.eq(scope.profile.as_uuid()))
    }

    /// The database holds that a source is a `normal` message of the owner; that it lies in the
    /// session it names is looked up here.
    async fn check_source(&self, source: MemorySource) -> Result<(), StoreError> {
        let found = message::Entity::find_by_id(source.message.as_uuid())
            .filter(message::Column::UserId.eq(self.owner))
            .filter(message::Column::SessionId.eq(source.session.as_uuid()))
            .select_only()
            .column(message::Column::Id)
            .into_tuple::<Uuid>()
            .one(&self.tx)
            .await
            .map_err(store_error)?;
        found
            .map(|_| ())
            .ok_or(StoreError::Conflict { what: "reference" })
    }

    async fn known(&self, row: &memory::Model) -> Result<Option<Uuid>, StoreError> {
        memory::Entity::find()
            .filter(memory::Column::UserId.eq(self.owner))
            .filter(memory::Column::ProfileId.eq(row.profile_id))
            .filter(memory::Column::Fingerprint.eq(row.fingerprint))
            .select_only()
            .column(memory::Column::Id)
            .into_tuple()
            .one(&self.tx)
            .await
            .map_err(store_error)
    }

    /// Deletes the owner's memories that meet the condition; where they were.
    async fn delete(&self, these: Condition) -> Result<Vec<(MemoryScope, MemoryId)>, StoreError> {
        let delete = Query::delete()
            .from_table(memory::Entity)
            .cond_where(these.add(memory::Column::UserId.eq(self.owner)))
            .returning(Query::returning().columns([memory::Column::ProfileId, memory::Column::Id]))
            .to_owned();
        let rows = self.tx.query_all(&delete).await.map_err(store_error)?;
        let user = UserId::new(self.owner);
        let mut deleted = Vec::with_capacity(rows.len());
        for row in rows {
            let profile = ProfileId::new(row.try_get_by_index(0).map_err(store_error)?);
            let id = MemoryId::new(row.try_get_by_index(1).map_err(store_error)?);
            deleted.push((MemoryScope { user, profile }, id));
        }
        Ok(deleted)
    }
}

#[async_trait]
impl MemoryRepository for SqlUnitOfWork {
    async fn add(&mut self, grant: &LearnGrant, memory: &Memory) -> Result<Stored, StoreError> {
        self.check_owner(grant.scope().user)?;
        if memory.scope != grant.scope() {
            return Err(StoreError::Conflict { what: "reference" });
        }
        if let Some(source) = memory.source {
            self.check_source(source).await?;
        }
        let row = row_of(memory);
        let statement = [
            memory::Column::UserId,
            memory::Column::ProfileId,
            memory::Column::Fingerprint,
        ];
        let added = memory::Entity::insert(row.clone().into_active_model())
            .on_conflict(OnConflict::columns(statement).do_nothing().to_owned())
            .exec_without_returning(&self.tx)
            .await
            .map_err(store_error)?;
        if added > 0 {
            return Ok(Stored::Added);
        }
        let known = self
            .known(&row)
            .await?
            .ok_or(StoreError::Conflict { what: "memory" })?;
        Ok(Stored::Known(MemoryId::new(known)))
    }

    async fn find(
        &mut self,
        grant: &RecallGrant,
        ids: &[MemoryId],
    ) -> Result<Vec<Memory>, StoreError> {
        let query = memory::Entity::find()
            .filter(self.within(grant.scope()))
            .filter(memory::Column::Id.is_in(uuids(ids)));
        let rows = sourced(query).all(&self.tx).await.map_err(store_error)?;
        let found = rows
            .into_iter()
            .map(memory_of)
            .collect::<Result<Vec<_>, _>>()?;
        let mut by_id: HashMap<_, _> = found
            .into_iter()
            .map(|memory| (memory.id, memory))
            .collect();
        Ok(ids.iter().filter_map(|id| by_id.remove(id)).collect())
    }

    async fn list(
        &mut self,
        grant: &RecallGrant,
        page: PageRequest,
    ) -> Result<Page<Memory>, StoreError> {
        let query = memory::Entity::find().filter(self.within(grant.scope()));
        let query = newest_first(query, memory::Column::CreatedAt, memory::Column::Id, page);
        let rows = sourced(query).all(&self.tx).await.map_err(store_error)?;
        let found = rows.into_iter().map(memory_of).collect::<Result<_, _>>()?;
        Ok(Page::cut(found, page.limit, |memory: &Memory| Cursor {
            key: micros(memory.created_at),
            id: memory.id.into(),
        }))
    }

    async fn update(&mut self, grant: &LearnGrant, memory: &Memory) -> Result<bool, StoreError> {
        let before = i64::from(memory.version) - 1;
        let updated = memory::Entity::update_many()
            .col_expr(
                memory::Column::Content,
                Expr::value(memory.content.as_str()),
            )
            .col_expr(
                memory::Column::Fingerprint,
                Expr::value(memory.content.fingerprint()),
            )
            .col_expr(
                memory::Column::Version,
                Expr::value(i64::from(memory.version)),
            )
            .col_expr(
                memory::Column::UpdatedAt,
                Expr::value(micros(memory.updated_at)),
            )
            .filter(self.within(grant.scope()))
            .filter(memory::Column::Id.eq(memory.id.as_uuid()))
            .filter(memory::Column::Version.eq(before))
            .exec(&self.tx)
            .await
            .map_err(store_error)?;
        Ok(updated.rows_affected > 0)
    }

    async fn remove(
        &mut self,
        scope: MemoryScope,
        ids: Option<&[MemoryId]>,
    ) -> Result<Vec<MemoryId>, StoreError> {
        let mut these = self.within(scope);
        if let Some(ids) = ids {
            these = these.add(memory::Column::Id.is_in(uuids(ids)));
        }
        Ok(self
            .delete(these)
            .await?
            .into_iter()
            .map(|(_, id)| id)
            .collect())
    }

    async fn remove_drawn(
        &mut self,
        from: DrawnFrom,
    ) -> Result<Vec<(MemoryScope, MemoryId)>, StoreError> {
        let these = match from {
            DrawnFrom::Message(id) => message::Column::Id.eq(id.as_uuid()),
            DrawnFrom::Session(id) => message::Column::SessionId.eq(id.as_uuid()),
        };
        let sources = message::Entity::find()
            .select_only()
            .column(message::Column::Id)
            .filter(message::Column::UserId.eq(self.owner))
            .filter(these);
        if self.needs_locks() {
            // Whoever is storing a memory of theirs holds them too: that is waited for, and seen.
            let locked = sources.clone().lock_exclusive().into_tuple::<Uuid>();
            locked.all(&self.tx).await.map_err(store_error)?;
        }
        let drawn = memory::Column::SourceMessageId.in_subquery(sources.into_query());
        let by_source = memory::Column::SourceUserId.eq(self.owner);
        self.delete(Condition::all().add(by_source).add(drawn))
            .await
    }

    async fn find_for_index(&mut self, id: MemoryId) -> Result<Option<Memory>, StoreError> {
        let query =
            memory::Entity::find_by_id(id.as_uuid()).filter(memory::Column::UserId.eq(self.owner));
        let row = sourced(query).one(&self.tx).await.map_err(store_error)?;
        row.map(memory_of).transpose()
    }

    async fn mark_indexed(&mut self, memory: &Memory, held: Indexed) -> Result<(), StoreError> {
        let version = i64::from(memory.version);
        let indexed = (held != Indexed::Nothing).then_some(version);
        // A late job must not undo the mark of a newer version.
        let not_newer = memory::Column::IndexedVersion
            .is_null()
            .or(memory::Column::IndexedVersion.lte(version));
        memory::Entity::update_many()
            .col_expr(memory::Column::IndexedVersion, Expr::value(indexed))
            .col_expr(
                memory::Column::IndexedVector,
                Expr::value(held == Indexed::Vector),
            )
            .filter(self.within(memory.scope))
            .filter(memory::Column::Id.eq(memory.id.as_uuid()))
            .filter(not_newer)
            .exec(&self.tx)
            .await
            .map(|_| ())
            .map_err(store_error)
    }
}

/// The query, with the session of each source.
fn sourced(query: Select<memory::Entity>) -> sea_orm::Selector<sea_orm::SelectModel<SourcedRow>> {
    let session = "(select m.session_id from chat_messages m where m.id = source_message_id)";
    query
        .expr_as(Expr::cust(session), "source_session")
        .into_model::<SourcedRow>()
}

fn row_of(memory: &Memory) -> memory::Model {
    let user_id = memory.scope.user.as_uuid();
    memory::Model {
        id: memory.id.into(),
        user_id,
        profile_id: memory.scope.profile.into(),
        content: memory.content.as_str().to_owned(),
        fingerprint: memory.content.fingerprint(),
        origin: memory.origin.as_str().to_owned(),
        version: memory.version.into(),
        created_at: micros(memory.created_at),
        updated_at: micros(memory.updated_at),
        indexed_version: None,
        indexed_vector: false,
        source_user_id: memory.source.map(|_| user_id),
        source_message_id: memory.source.map(|source| source.message.into()),
        source_mode: memory
            .source
            .map(|_| PrivacyMode::Normal.as_str().to_owned()),
    }
}

fn memory_of(row: SourcedRow) -> Result<Memory, StoreError> {
    const MEMORIES: Table = Table("memories");
    let SourcedRow {
        memory: row,
        source_session,
    } = row;
    let source = row
        .source_message_id
        .zip(source_session)
        .map(|(message, session)| MemorySource {
            session: SessionId::new(session),
            message: domain::ids::MessageId::new(message),
        });
    Ok(Memory {
        id: MemoryId::new(row.id),
        scope: MemoryScope {
            user: UserId::new(row.user_id),
            profile: ProfileId::new(row.profile_id),
        },
        content: MEMORIES.value("content", MemoryContent::new(&row.content).ok())?,
        origin: MEMORIES.value("origin", Origin::parse(&row.origin))?,
        source,
        version: MEMORIES.number("version", row.version)?,
        created_at: MEMORIES.time("created_at", row.created_at)?,
        updated_at: MEMORIES.time("updated_at", row.updated_at)?,
    })
}
