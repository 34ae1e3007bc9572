//! Look-ups before it is known who asks: straight from what is committed, one statement each.

use async_trait::async_trait;
use domain::account::{AccountDirectory, ApiKey, Credential, Email, LoginState, PasswordHash};
use domain::ids::{LoginId, UserId};
use domain::store::StoreError;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, Statement};
use uuid::Uuid;

use crate::accounts::{api_key_of, login_of};
use crate::entities::{api_key, login};
use crate::error::store_error;
use crate::store::SqlStore;

#[derive(FromQueryResult)]
struct CredentialRow {
    user_id: Uuid,
    password_hash: String,
    is_active: bool,
}

#[derive(FromQueryResult)]
struct LoginRow {
    #[sea_orm(nested)]
    login: login::Model,
    user_is_active: bool,
}

/// Whether the user of the row at hand may act.
const USER_IS_ACTIVE: &str = "(select u.is_active from users u where u.id = user_id)";

#[async_trait]
impl AccountDirectory for SqlStore {
    async fn credential(&self, email: &Email) -> Result<Option<Credential>, StoreError> {
        let sql = "select u.id as user_id, c.password_hash, u.is_active \
                   from users u join user_credentials c on c.user_id = u.id \
                   where u.email = $1 and u.issuer is null";
        let backend = self.readers.get_database_backend();
        let statement = Statement::from_sql_and_values(backend, sql, [email.as_str().into()]);
        let row = CredentialRow::find_by_statement(statement)
            .one(&self.readers)
            .await;
        Ok(row.map_err(store_error)?.map(|row| Credential {
            user: UserId::new(row.user_id),
            hash: PasswordHash(row.password_hash),
            is_active: row.is_active,
        }))
    }

    async fn login(&self, id: LoginId) -> Result<Option<LoginState>, StoreError> {
        let row = login::Entity::find_by_id(id.as_uuid())
            .expr_as(Expr::cust(USER_IS_ACTIVE), "user_is_active")
            .into_model::<LoginRow>()
            .one(&self.readers)
            .await
            .map_err(store_error)?;
        let state = |row: LoginRow| {
            let login = login_of(&row.login)?;
            Ok(LoginState {
                login,
                user_is_active: row.user_is_active,
            })
        };
        row.map(state).transpose()
    }

    async fn api_key(&self, hash: &str) -> Result<Option<ApiKey>, StoreError> {
        let row = api_key::Entity::find()
            .filter(api_key::Column::Hash.eq(hash))
            .filter(Expr::cust(USER_IS_ACTIVE))
            .one(&self.readers)
            .await
            .map_err(store_error)?;
        row.map(api_key_of).transpose()
    }
}
