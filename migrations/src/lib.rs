//! The database schema, one file per change, the same for SQLite and Postgres.
//!
//! A change is plain SQL with four type words that differ between the two databases:
//!
//! | word      | Postgres  | SQLite    | holds                                               |
//! |-----------|-----------|-----------|-----------------------------------------------------|
//! | `{uuid}`  | `uuid`    | `blob`    | identifiers; both compare them byte by byte         |
//! | `{bytes}` | `bytea`   | `blob`    | vectors and words                                   |
//! | `{int}`   | `bigint`  | `integer` | numbers; times, as microseconds since 1970          |
//! | `{bool}`  | `boolean` | `integer` | yes or no                                           |
//!
//! `{strict}` makes SQLite check types as Postgres always does. Times are numbers because SQLite
//! would keep them as text, whose order and precision depend on how it was written.
//!
//! Every table repeats `user_id`, and foreign keys carry it: a session on someone else's profile, or
//! a memory drawn from a message that must not be learned from, is refused by the database itself.
//! Constraints have names, by which `adapter-sql` tells conflicts apart.
//!
//! # To add a change
//! 1. Add `mYYYYMMDD_NNNNNN_what.rs` with a `const SQL` and an `up` that calls [`apply`], and list it
//!    in [`Migrator`]. What only Postgres has (roles, policies) is a `change!(postgres)`. A new table there
//!    needs grants, policies and forced row level security: a test of the catalogue says what is missing.
//! 2. Never edit a change that was released; changes go forward only, so there is no `down`.
//! 3. Run `UPDATE_SCHEMA=1 cargo test -p adapter-sql --test schema` to redraw `schema.sql`, and review its
//!    diff.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{DatabaseConnection, DbBackend, TransactionTrait};

mod m20261123_000001_accounts;
mod m20261123_000002_profiles;
mod m20261123_000003_sessions;
mod m20261123_000004_memories;
mod m20261123_000005_outbox;
mod m20261123_000006_memory_index;
mod m20261123_000007_issuers;
mod m20261123_000008_row_security;
mod m20261123_000020_index_versions;
mod m20261123_000021_index_owners;
mod m20261123_000022_clock_set_back;
mod m20261126_000001_memories_used;
mod m20261126_000002_memories_used_grant;
mod m20261126_000003_index_versions_again;
mod m20261126_000004_clear_index;
mod m20261126_000010_dead_jobs;
mod m20261126_000011_ended_logins;

/// All changes, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261123_000001_accounts::Migration),
            Box::new(m20261123_000002_profiles::Migration),
            Box::new(m20261123_000003_sessions::Migration),
            Box::new(m20261123_000004_memories::Migration),
            Box::new(m20261123_000005_outbox::Migration),
            Box::new(m20261123_000006_memory_index::Migration),
            Box::new(m20261123_000007_issuers::Migration),
            Box::new(m20261123_000008_row_security::Migration),
            Box::new(m20261123_000020_index_versions::Migration),
            Box::new(m20261123_000021_index_owners::Migration),
            Box::new(m20261123_000022_clock_set_back::Migration),
            Box::new(m20261126_000001_memories_used::Migration),
            Box::new(m20261126_000002_memories_used_grant::Migration),
            Box::new(m20261126_000003_index_versions_again::Migration),
            Box::new(m20261126_000004_clear_index::Migration),
            Box::new(m20261126_000010_dead_jobs::Migration),
            Box::new(m20261126_000011_ended_logins::Migration),
        ]
    }
}

/// Guards the schema changes of one Postgres database; any number that nobody else uses.
const LOCK: i64 = 7_163_320_984_216_305;

/// Makes every change that is still to be made. On Postgres this takes an owner's connection; the
/// tables go into the schema `mc`, which the connection's search path must name, and programs that start
/// at the same time wait for each other.
pub async fn up(db: &DatabaseConnection) -> Result<(), DbErr> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Migrator::up(db, None).await;
    }
    // Held by a connection of its own while the changes are made on others.
    let lock = db.begin().await?;
    lock.execute_unprepared(&format!(
        "set local idle_in_transaction_session_timeout = 0; set local statement_timeout = 0; \
         set local lock_timeout = '5min'; select pg_advisory_xact_lock({LOCK})"
    ))
    .await?;
    db.execute_unprepared("create schema if not exists mc")
        .await?;
    Migrator::up(db, None).await?;
    lock.commit().await
}

/// Runs the statements of a change in the dialect of the database at hand.
async fn apply(manager: &SchemaManager<'_>, sql: &str) -> Result<(), DbErr> {
    let words = match manager.get_database_backend() {
        DbBackend::Postgres => [
            ("{uuid}", "uuid"),
            ("{bytes}", "bytea"),
            ("{int}", "bigint"),
            ("{bool}", "boolean"),
            (" {strict}", ""),
        ],
        DbBackend::Sqlite => [
            ("{uuid}", "blob"),
            ("{bytes}", "blob"),
            ("{int}", "integer"),
            ("{bool}", "integer"),
            ("{strict}", "strict"),
        ],
        _ => {
            return Err(DbErr::Migration(
                "only SQLite and Postgres are supported".to_owned(),
            ));
        }
    };
    let sql = words.iter().fold(sql.to_owned(), |sql, (word, means)| {
        sql.replace(word, means)
    });
    manager
        .get_connection()
        .execute_unprepared(&sql)
        .await
        .map(|_| ())
}

/// Declares the change of a file: its `SQL`, all of it or nothing; for `postgres` alone if it says so.
macro_rules! change {
    () => {
        crate::change!(|_| true);
    };
    (postgres) => {
        crate::change!(|backend| backend == sea_orm_migration::sea_orm::DbBackend::Postgres);
    };
    ($concerns:expr) => {
        /// This change.
        #[derive(sea_orm_migration::prelude::DeriveMigrationName)]
        pub(crate) struct Migration;

        #[async_trait::async_trait]
        impl sea_orm_migration::MigrationTrait for Migration {
            async fn up(
                &self,
                manager: &sea_orm_migration::SchemaManager,
            ) -> Result<(), sea_orm_migration::DbErr> {
                let concerns: fn(sea_orm_migration::sea_orm::DbBackend) -> bool = $concerns;
                if concerns(manager.get_database_backend()) {
                    crate::apply(manager, SQL).await?;
                }
                Ok(())
            }

            fn use_transaction(&self) -> Option<bool> {
                Some(true)
            }
        }
    };
}
pub(crate) use change;
