//! The owner's memory profiles.

use async_trait::async_trait;
use domain::ids::{ProfileId, UserId};
use domain::profile::{Profile, ProfileRepository, ProfileView};
use domain::store::StoreError;
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, FromQueryResult, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, Select,
};
use uuid::Uuid;

use crate::entities::{profile, session};
use crate::error::store_error;
use crate::rows::{Table, count, micros};
use crate::unit_of_work::SqlUnitOfWork;

#[derive(FromQueryResult)]
struct ViewRow {
    #[sea_orm(nested)]
    profile: profile::Model,
    memory_count: i64,
}

impl SqlUnitOfWork {
    fn own_profiles(&self) -> Select<profile::Entity> {
        profile::Entity::find().filter(profile::Column::UserId.eq(self.owner))
    }

    /// Keeps the owner's profiles from changing until the end of a unit of work that may write, always
    /// in the same order: what it decides, and what it writes, rests on what it has read. The workers
    /// change no profile.
    async fn settle_profiles(&mut self) -> Result<(), StoreError> {
        if !self.needs_locks() || self.profiles_settled {
            return Ok(());
        }
        self.own_profiles()
            .select_only()
            .column(profile::Column::Id)
            .order_by_asc(profile::Column::Id)
            .lock(LockType::NoKeyUpdate)
            .into_tuple::<Uuid>()
            .all(&self.tx)
            .await
            .map_err(store_error)?;
        self.profiles_settled = true;
        Ok(())
    }

    async fn mark_default(&self, id: Uuid, is_default: bool) -> Result<(), StoreError> {
        let these = if is_default {
            profile::Column::Id.eq(id)
        } else {
            profile::Column::Id
                .ne(id)
                .and(profile::Column::IsDefault.eq(true))
        };
        profile::Entity::update_many()
            .col_expr(profile::Column::IsDefault, Expr::value(is_default))
            .filter(profile::Column::UserId.eq(self.owner))
            .filter(these)
            .exec(&self.tx)
            .await
            .map(|_| ())
            .map_err(store_error)
    }
}

#[async_trait]
impl ProfileRepository for SqlUnitOfWork {
    async fn find(&mut self, id: ProfileId) -> Result<Option<ProfileView>, StoreError> {
        self.settle_profiles().await?;
        let query = self
            .own_profiles()
            .filter(profile::Column::Id.eq(id.as_uuid()));
        let row = with_count(query)
            .into_model::<ViewRow>()
            .one(&self.tx)
            .await;
        row.map_err(store_error)?.map(view_of).transpose()
    }

    async fn list(&mut self) -> Result<Vec<ProfileView>, StoreError> {
        self.settle_profiles().await?;
        let query = self
            .own_profiles()
            .order_by_asc(profile::Column::CreatedAt)
            .order_by_asc(profile::Column::Id);
        let rows = with_count(query)
            .into_model::<ViewRow>()
            .all(&self.tx)
            .await;
        rows.map_err(store_error)?
            .into_iter()
            .map(view_of)
            .collect()
    }

    async fn find_default(&mut self) -> Result<Option<Profile>, StoreError> {
        self.settle_profiles().await?;
        let row = self
            .own_profiles()
            .filter(profile::Column::IsDefault.eq(true))
            .one(&self.tx)
            .await
            .map_err(store_error)?;
        row.map(profile_of).transpose()
    }

    async fn add(&mut self, profile: &Profile) -> Result<(), StoreError> {
        self.check_owner(profile.user())?;
        let row = profile::Model {
            id: profile.id().into(),
            user_id: self.owner,
            name: profile.name().to_owned(),
            description: profile.description().map(str::to_owned),
            is_default: profile.is_default(),
            created_at: micros(profile.created_at()),
            updated_at: micros(profile.updated_at()),
        };
        profile::Entity::insert(row.into_active_model())
            .exec_without_returning(&self.tx)
            .await
            .map(|_| ())
            .map_err(store_error)
    }

    async fn update(&mut self, profile: &Profile) -> Result<bool, StoreError> {
        self.settle_profiles().await?;
        let updated = profile::Entity::update_many()
            .col_expr(profile::Column::Name, Expr::value(profile.name()))
            .col_expr(
                profile::Column::Description,
                Expr::value(profile.description()),
            )
            .col_expr(
                profile::Column::UpdatedAt,
                Expr::value(micros(profile.updated_at())),
            )
            .filter(profile::Column::Id.eq(profile.id().as_uuid()))
            .filter(profile::Column::UserId.eq(self.owner))
            .exec(&self.tx)
            .await
            .map_err(store_error)?;
        Ok(updated.rows_affected > 0)
    }

    async fn set_default(&mut self, id: ProfileId) -> Result<bool, StoreError> {
        if ProfileRepository::find(self, id).await?.is_none() {
            return Ok(false);
        }
        self.mark_default(id.as_uuid(), false).await?;
        self.mark_default(id.as_uuid(), true).await?;
        Ok(true)
    }

    async fn remove(&mut self, id: ProfileId) -> Result<bool, StoreError> {
        self.settle_profiles().await?;
        session::Entity::update_many()
            .col_expr(session::Column::ProfileId, Expr::value(None::<Uuid>))
            .filter(session::Column::UserId.eq(self.owner))
            .filter(session::Column::ProfileId.eq(id.as_uuid()))
            .exec(&self.tx)
            .await
            .map_err(store_error)?;
        let removed = profile::Entity::delete_many()
            .filter(profile::Column::Id.eq(id.as_uuid()))
            .filter(profile::Column::UserId.eq(self.owner))
            .exec(&self.tx)
            .await
            .map_err(store_error)?;
        Ok(removed.rows_affected > 0)
    }
}

fn with_count(query: Select<profile::Entity>) -> Select<profile::Entity> {
    let count = "(select count(*) from memories m \
                  where m.user_id = memory_profiles.user_id and m.profile_id = memory_profiles.id)";
    query.expr_as(Expr::cust(count), "memory_count")
}

fn view_of(row: ViewRow) -> Result<ProfileView, StoreError> {
    Ok(ProfileView {
        profile: profile_of(row.profile)?,
        memory_count: count(row.memory_count),
    })
}

fn profile_of(row: profile::Model) -> Result<Profile, StoreError> {
    const PROFILES: Table = Table("memory_profiles");
    Ok(Profile::from_stored(
        ProfileId::new(row.id),
        UserId::new(row.user_id),
        row.name,
        row.description,
        row.is_default,
        PROFILES.time("created_at", row.created_at)?,
        PROFILES.time("updated_at", row.updated_at)?,
    ))
}
