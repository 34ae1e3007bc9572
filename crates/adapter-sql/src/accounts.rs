//! The owner's account, log-ins and API keys.

use async_trait::async_trait;
use domain::account::{
    ApiKey, ApiKeyRepository, Login, LoginRepository, PasswordHash, Scope, User, UserRepository,
};
use domain::ids::{ApiKeyId, LoginId, UserId};
use domain::store::StoreError;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, IntoActiveModel, QueryFilter, QueryOrder};
use time::OffsetDateTime;

use crate::entities::{api_key, credential, login, user};
use crate::error::store_error;
use crate::rows::{Table, micros};
use crate::unit_of_work::SqlUnitOfWork;

impl SqlUnitOfWork {
    async fn add_credential(&self, hash: &PasswordHash, at: i64) -> Result<(), StoreError> {
        let row = credential::Model {
            user_id: self.owner,
            password_hash: hash.0.clone(),
            updated_at: at,
        };
        credential::Entity::insert(row.into_active_model())
            .exec_without_returning(&self.tx)
            .await
            .map(|_| ())
            .map_err(store_error)
    }
}

#[async_trait]
impl UserRepository for SqlUnitOfWork {
    async fn find(&mut self) -> Result<Option<User>, StoreError> {
        let row = user::Entity::find_by_id(self.owner)
            .one(&self.tx)
            .await
            .map_err(store_error)?;
        row.as_ref().map(user_of).transpose()
    }

    async fn add(&mut self, user: &User, hash: Option<&PasswordHash>) -> Result<(), StoreError> {
        self.check_owner(user.id)?;
        let row = user::Model {
            id: self.owner,
            email: user.email.as_str().to_owned(),
            is_active: user.is_active,
            created_at: micros(user.created_at),
            updated_at: micros(user.updated_at),
            issuer: None,
        };
        user::Entity::insert(row.into_active_model())
            .exec_without_returning(&self.tx)
            .await
            .map_err(store_error)?;
        let Some(hash) = hash else { return Ok(()) };
        self.add_credential(hash, micros(user.updated_at)).await
    }

    async fn adopt(&mut self, user: &User, issuer: &str) -> Result<bool, StoreError> {
        self.check_owner(user.id)?;
        let at = micros(user.updated_at);
        let sql = "insert into users (id, email, is_active, created_at, updated_at, issuer) \
                   values ($1, $2, $3, $4, $5, $6) on conflict (id) do nothing";
        let row = [
            self.owner.into(),
            user.email.as_str().into(),
            user.is_active.into(),
            micros(user.created_at).into(),
            at.into(),
            issuer.into(),
        ];
        if self.execute(sql, row).await?.rows_affected() > 0 {
            return Ok(true);
        }
        let sql = "update users set email = $2, updated_at = $3 \
                   where id = $1 and issuer is not null and email <> $2";
        let moved = [self.owner.into(), user.email.as_str().into(), at.into()];
        self.execute(sql, moved).await?;
        Ok(false)
    }

    async fn set_password(
        &mut self,
        hash: &PasswordHash,
        at: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let at = micros(at);
        let touched = user::Entity::update_many()
            .col_expr(user::Column::UpdatedAt, Expr::value(at))
            .filter(user::Column::Id.eq(self.owner))
            .exec(&self.tx)
            .await
            .map_err(store_error)?;
        if touched.rows_affected == 0 {
            return Ok(false);
        }
        let replaced = credential::Entity::update_many()
            .col_expr(
                credential::Column::PasswordHash,
                Expr::value(hash.0.as_str()),
            )
            .col_expr(credential::Column::UpdatedAt, Expr::value(at))
            .filter(credential::Column::UserId.eq(self.owner))
            .exec(&self.tx)
            .await
            .map_err(store_error)?;
        if replaced.rows_affected == 0 {
            self.add_credential(hash, at).await?;
        }
        Ok(true)
    }

    async fn remove(&mut self) -> Result<bool, StoreError> {
        let removed = user::Entity::delete_by_id(self.owner)
            .exec(&self.tx)
            .await
            .map_err(store_error)?;
        Ok(removed.rows_affected > 0)
    }
}

#[async_trait]
impl LoginRepository for SqlUnitOfWork {
    async fn add(&mut self, login: &Login) -> Result<(), StoreError> {
        self.check_owner(login.user)?;
        let row = login::Model {
            id: login.id.into(),
            user_id: self.owner,
            generation: login.generation.into(),
            created_at: micros(login.created_at),
            expires_at: micros(login.expires_at),
            revoked_at: login.revoked_at.map(micros),
        };
        login::Entity::insert(row.into_active_model())
            .exec_without_returning(&self.tx)
            .await
            .map(|_| ())
            .map_err(store_error)
    }

    async fn advance(&mut self, id: LoginId, generation: u32) -> Result<bool, StoreError> {
        let generation = i64::from(generation);
        let moved = login::Entity::update_many()
            .col_expr(login::Column::Generation, Expr::value(generation + 1))
            .filter(login::Column::Id.eq(id.as_uuid()))
            .filter(login::Column::UserId.eq(self.owner))
            .filter(login::Column::Generation.eq(generation))
            .filter(login::Column::RevokedAt.is_null())
            .exec(&self.tx)
            .await
            .map_err(store_error)?;
        Ok(moved.rows_affected > 0)
    }

    async fn extend(&mut self, id: LoginId, until: OffsetDateTime) -> Result<(), StoreError> {
        let until = micros(until);
        login::Entity::update_many()
            .col_expr(login::Column::ExpiresAt, Expr::value(until))
            .filter(login::Column::Id.eq(id.as_uuid()))
            .filter(login::Column::UserId.eq(self.owner))
            .filter(login::Column::ExpiresAt.lt(until))
            .exec(&self.tx)
            .await
            .map(|_| ())
            .map_err(store_error)
    }

    async fn revoke(&mut self, id: LoginId, at: OffsetDateTime) -> Result<(), StoreError> {
        login::Entity::update_many()
            .col_expr(login::Column::RevokedAt, Expr::value(micros(at)))
            .filter(login::Column::Id.eq(id.as_uuid()))
            .filter(login::Column::UserId.eq(self.owner))
            .filter(login::Column::RevokedAt.is_null())
            .exec(&self.tx)
            .await
            .map(|_| ())
            .map_err(store_error)
    }
}

#[async_trait]
impl ApiKeyRepository for SqlUnitOfWork {
    async fn add(&mut self, key: &ApiKey, hash: &str) -> Result<(), StoreError> {
        self.check_owner(key.user)?;
        let row = api_key::Model {
            id: key.id.into(),
            user_id: self.owner,
            name: key.name.clone(),
            prefix: key.prefix.clone(),
            hash: hash.to_owned(),
            scopes: key
                .scopes
                .iter()
                .map(|scope| scope.as_str())
                .collect::<Vec<_>>()
                .join(" "),
            created_at: micros(key.created_at),
            expires_at: key.expires_at.map(micros),
            revoked_at: key.revoked_at.map(micros),
        };
        api_key::Entity::insert(row.into_active_model())
            .exec_without_returning(&self.tx)
            .await
            .map(|_| ())
            .map_err(store_error)
    }

    async fn list(&mut self) -> Result<Vec<ApiKey>, StoreError> {
        let rows = api_key::Entity::find()
            .filter(api_key::Column::UserId.eq(self.owner))
            .order_by_desc(api_key::Column::CreatedAt)
            .order_by_desc(api_key::Column::Id)
            .all(&self.tx)
            .await
            .map_err(store_error)?;
        rows.into_iter().map(api_key_of).collect()
    }

    async fn revoke(&mut self, id: ApiKeyId, at: OffsetDateTime) -> Result<bool, StoreError> {
        let first_time = Expr::col(api_key::Column::RevokedAt).if_null(micros(at));
        let revoked = api_key::Entity::update_many()
            .col_expr(api_key::Column::RevokedAt, first_time)
            .filter(api_key::Column::Id.eq(id.as_uuid()))
            .filter(api_key::Column::UserId.eq(self.owner))
            .exec(&self.tx)
            .await
            .map_err(store_error)?;
        Ok(revoked.rows_affected > 0)
    }
}

fn user_of(row: &user::Model) -> Result<User, StoreError> {
    const USERS: Table = Table("users");
    Ok(User {
        id: UserId::new(row.id),
        email: USERS.value("email", row.email.parse().ok())?,
        is_active: row.is_active,
        created_at: USERS.time("created_at", row.created_at)?,
        updated_at: USERS.time("updated_at", row.updated_at)?,
    })
}

pub(crate) fn login_of(row: &login::Model) -> Result<Login, StoreError> {
    const LOGINS: Table = Table("logins");
    Ok(Login {
        id: LoginId::new(row.id),
        user: UserId::new(row.user_id),
        generation: LOGINS.number("generation", row.generation)?,
        created_at: LOGINS.time("created_at", row.created_at)?,
        expires_at: LOGINS.time("expires_at", row.expires_at)?,
        revoked_at: LOGINS.time_opt("revoked_at", row.revoked_at)?,
    })
}

pub(crate) fn api_key_of(row: api_key::Model) -> Result<ApiKey, StoreError> {
    const API_KEYS: Table = Table("api_keys");
    let scopes = row
        .scopes
        .split_whitespace()
        .map(Scope::parse)
        .collect::<Option<Vec<_>>>();
    Ok(ApiKey {
        id: ApiKeyId::new(row.id),
        user: UserId::new(row.user_id),
        name: row.name,
        prefix: row.prefix,
        scopes: API_KEYS.value("scopes", scopes)?,
        created_at: API_KEYS.time("created_at", row.created_at)?,
        expires_at: API_KEYS.time_opt("expires_at", row.expires_at)?,
        revoked_at: API_KEYS.time_opt("revoked_at", row.revoked_at)?,
    })
}
