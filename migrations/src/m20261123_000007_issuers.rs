//! People who prove elsewhere who they are. Their address is what their issuer says it is: it may
//! change, and may come back under another person, so it is unique among this service's own accounts
//! only.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, Statement};

/// This change.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const POSTGRES: &str = "
alter table users add column issuer text;
alter table users drop constraint users_email;
create unique index users_email on users (email) where issuer is null;
";

/// SQLite cannot drop a constraint: the table is made anew, as its manual describes
/// (lang_altertable, section 7). Dropping the old one would delete every row that points to it, so
/// foreign keys are off meanwhile, which works outside a transaction only.
const SQLITE: &str = "
create table new_users (
    id blob primary key,
    email text not null,
    is_active integer not null,
    created_at integer not null,
    updated_at integer not null,
    issuer text
) strict;
insert into new_users (id, email, is_active, created_at, updated_at)
    select id, email, is_active, created_at, updated_at from users;
drop table users;
alter table new_users rename to users;
create unique index users_email on users (email) where issuer is null;
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        match manager.get_database_backend() {
            DbBackend::Postgres => {
                let connection = manager.get_connection();
                connection.execute_unprepared(POSTGRES).await.map(|_| ())
            }
            _ => rebuild(manager).await,
        }
    }
}

/// All of it or nothing, in a transaction of its own; Postgres is given one by the migrator.
async fn rebuild(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    // The connection that changes the schema is one, so the switch holds for what follows.
    connection
        .execute_unprepared("pragma foreign_keys = off")
        .await?;
    let rebuilt = rebuild_without_foreign_keys(manager).await;
    connection
        .execute_unprepared("pragma foreign_keys = on")
        .await?;
    rebuilt
}

async fn rebuild_without_foreign_keys(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let work = manager.begin().await?;
    if !rows(
        &work,
        "select 1 from pragma_foreign_keys where foreign_keys = 0",
    )
    .await?
    {
        return Err(DbErr::Migration(
            "foreign keys cannot be switched off; nothing was changed".to_owned(),
        ));
    }
    work.get_connection().execute_unprepared(SQLITE).await?;
    if rows(&work, "select 1 from pragma_foreign_key_check").await? {
        return Err(DbErr::Migration(
            "rows would point to nobody; nothing was changed".to_owned(),
        ));
    }
    work.commit().await
}

/// Does the query find anything?
async fn rows(manager: &SchemaManager<'_>, sql: &str) -> Result<bool, DbErr> {
    let statement = Statement::from_string(DbBackend::Sqlite, sql);
    let found = manager.get_connection().query_all_raw(statement).await?;
    Ok(!found.is_empty())
}
