//! Look-ups before it is known who asks: straight from what is committed, one statement each. On
//! Postgres row level security shows nothing to nobody, so a door answers.

use async_trait::async_trait;
use domain::account::{AccountDirectory, ApiKey, Credential, Email, LoginState, PasswordHash};
use domain::ids::{LoginId, UserId};
use domain::store::StoreError;
use sea_orm::{ConnectionTrait, FromQueryResult, Statement, Value};
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

/// One question, as SQLite is asked and as the door of Postgres is.
struct Question {
    sqlite: &'static str,
    postgres: &'static str,
}

const CREDENTIAL: Question = Question {
    sqlite: "select u.id as user_id, c.password_hash, u.is_active \
             from users u join user_credentials c on c.user_id = u.id \
             where u.email = $1 and u.issuer is null",
    postgres: "select * from find_credential($1)",
};
const LOGIN: Question = Question {
    sqlite: "select l.*, u.is_active as user_is_active \
             from logins l join users u on u.id = l.user_id where l.id = $1",
    postgres: "select * from find_login($1)",
};
const API_KEY: Question = Question {
    sqlite: "select k.* from api_keys k join users u on u.id = k.user_id \
             where k.hash = $1 and u.is_active",
    postgres: "select * from find_api_key($1)",
};

impl SqlStore {
    async fn look_up<R: FromQueryResult>(
        &self,
        question: &Question,
        key: Value,
    ) -> Result<Option<R>, StoreError> {
        let sql = if self.is_postgres() {
            question.postgres
        } else {
            question.sqlite
        };
        let backend = self.readers.get_database_backend();
        R::find_by_statement(Statement::from_sql_and_values(backend, sql, [key]))
            .one(&self.readers)
            .await
            .map_err(store_error)
    }
}

#[async_trait]
impl AccountDirectory for SqlStore {
    async fn credential(&self, email: &Email) -> Result<Option<Credential>, StoreError> {
        let row = self.look_up(&CREDENTIAL, email.as_str().into()).await?;
        Ok(row.map(|row: CredentialRow| Credential {
            user: UserId::new(row.user_id),
            hash: PasswordHash(row.password_hash),
            is_active: row.is_active,
        }))
    }

    async fn login(&self, id: LoginId) -> Result<Option<LoginState>, StoreError> {
        let row: Option<LoginRow> = self.look_up(&LOGIN, id.as_uuid().into()).await?;
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
        let row: Option<api_key::Model> = self.look_up(&API_KEY, hash.into()).await?;
        row.map(api_key_of).transpose()
    }
}
