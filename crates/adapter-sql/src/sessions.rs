//! The owner's stored sessions.

use async_trait::async_trait;
use domain::ids::{ProfileId, SessionId, UserId};
use domain::page::{Cursor, Page, PageRequest};
use domain::session::{Session, SessionFilter, SessionRepository, SessionView};
use domain::store::StoreError;
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{
    ColumnTrait, EntityTrait, FromQueryResult, IntoActiveModel, QueryFilter, QuerySelect, Select,
};
use time::OffsetDateTime;

use crate::entities::session;
use crate::error::store_error;
use crate::rows::{Table, count, micros, newest_first};
use crate::unit_of_work::SqlUnitOfWork;

#[derive(FromQueryResult)]
struct ViewRow {
    #[sea_orm(nested)]
    session: session::Model,
    message_count: i64,
}

impl SqlUnitOfWork {
    fn own_sessions(&self) -> Select<session::Entity> {
        session::Entity::find().filter(session::Column::UserId.eq(self.owner))
    }
}

#[async_trait]
impl SessionRepository for SqlUnitOfWork {
    async fn find(&mut self, id: SessionId) -> Result<Option<SessionView>, StoreError> {
        let query = self
            .own_sessions()
            .filter(session::Column::Id.eq(id.as_uuid()));
        let row = with_count(query)
            .into_model::<ViewRow>()
            .one(&self.tx)
            .await;
        row.map_err(store_error)?.as_ref().map(view_of).transpose()
    }

    async fn lock(&mut self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let row = self
            .own_sessions()
            .filter(session::Column::Id.eq(id.as_uuid()))
            .lock(LockType::NoKeyUpdate)
            .one(&self.tx)
            .await
            .map_err(store_error)?;
        self.locked = row.as_ref().map(|row| SessionId::new(row.id));
        row.as_ref().map(session_of).transpose()
    }

    async fn list(
        &mut self,
        filter: SessionFilter,
        page: PageRequest,
    ) -> Result<Page<SessionView>, StoreError> {
        let mut query = self.own_sessions();
        if let Some(profile) = filter.profile {
            query = query.filter(session::Column::ProfileId.eq(profile.as_uuid()));
        }
        let query = newest_first(query, session::Column::UpdatedAt, session::Column::Id, page);
        let rows = with_count(query)
            .into_model::<ViewRow>()
            .all(&self.tx)
            .await;
        let rows = rows.map_err(store_error)?;
        let views = rows.iter().map(view_of).collect::<Result<_, _>>()?;
        Ok(Page::cut(views, page.limit, |view: &SessionView| Cursor {
            key: micros(view.session.updated_at),
            id: view.session.id.into(),
        }))
    }

    async fn add(&mut self, session: &Session) -> Result<(), StoreError> {
        self.check_owner(session.user)?;
        let row = session::Model {
            id: session.id.into(),
            user_id: self.owner,
            profile_id: session.profile.map(ProfileId::as_uuid),
            privacy_mode: session.mode.as_str().to_owned(),
            created_at: micros(session.created_at),
            updated_at: micros(session.updated_at),
        };
        session::Entity::insert(row.into_active_model())
            .exec_without_returning(&self.tx)
            .await
            .map(|_| ())
            .map_err(store_error)
    }

    async fn update(&mut self, session: &Session) -> Result<bool, StoreError> {
        let profile = session.profile.map(ProfileId::as_uuid);
        let updated = session::Entity::update_many()
            .col_expr(
                session::Column::PrivacyMode,
                Expr::value(session.mode.as_str()),
            )
            .col_expr(session::Column::ProfileId, Expr::value(profile))
            .col_expr(
                session::Column::UpdatedAt,
                Expr::value(micros(session.updated_at)),
            )
            .filter(session::Column::Id.eq(session.id.as_uuid()))
            .filter(session::Column::UserId.eq(self.owner))
            .exec(&self.tx)
            .await
            .map_err(store_error)?;
        Ok(updated.rows_affected > 0)
    }

    async fn touch(&mut self, id: SessionId, at: OffsetDateTime) -> Result<bool, StoreError> {
        let touched = session::Entity::update_many()
            .col_expr(session::Column::UpdatedAt, Expr::value(micros(at)))
            .filter(session::Column::Id.eq(id.as_uuid()))
            .filter(session::Column::UserId.eq(self.owner))
            .exec(&self.tx)
            .await
            .map_err(store_error)?;
        Ok(touched.rows_affected > 0)
    }

    async fn remove(&mut self, id: SessionId) -> Result<bool, StoreError> {
        let removed = session::Entity::delete_many()
            .filter(session::Column::Id.eq(id.as_uuid()))
            .filter(session::Column::UserId.eq(self.owner))
            .exec(&self.tx)
            .await
            .map_err(store_error)?;
        Ok(removed.rows_affected > 0)
    }
}

fn with_count(query: Select<session::Entity>) -> Select<session::Entity> {
    let count = "(select count(*) from chat_messages m \
                  where m.user_id = chat_sessions.user_id and m.session_id = chat_sessions.id)";
    query.expr_as(Expr::cust(count), "message_count")
}

fn view_of(row: &ViewRow) -> Result<SessionView, StoreError> {
    Ok(SessionView {
        session: session_of(&row.session)?,
        message_count: count(row.message_count),
    })
}

fn session_of(row: &session::Model) -> Result<Session, StoreError> {
    const SESSIONS: Table = Table("chat_sessions");
    Ok(Session {
        id: SessionId::new(row.id),
        user: UserId::new(row.user_id),
        profile: row.profile_id.map(ProfileId::new),
        mode: SESSIONS.value("privacy_mode", row.privacy_mode.parse().ok())?,
        created_at: SESSIONS.time("created_at", row.created_at)?,
        updated_at: SESSIONS.time("updated_at", row.updated_at)?,
    })
}
