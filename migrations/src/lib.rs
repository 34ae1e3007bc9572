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
//!    in [`Migrator`]. What only Postgres has (roles, policies) asks the manager for its backend.
//! 2. Never edit a change that was released; changes go forward only, so there is no `down`.
//! 3. Run `UPDATE_SCHEMA=1 cargo test -p adapter-sql --test schema` to redraw `schema.sql`, and review its
//!    diff.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

mod m20261123_000001_accounts;
mod m20261123_000002_profiles;
mod m20261123_000003_sessions;
mod m20261123_000004_memories;
mod m20261123_000005_outbox;
mod m20261123_000006_memory_index;
mod m20261123_000020_index_versions;

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
            Box::new(m20261123_000020_index_versions::Migration),
        ]
    }
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

/// Declares the change of a file: its `SQL`, all of it or nothing.
macro_rules! change {
    () => {
        /// This change.
        #[derive(sea_orm_migration::prelude::DeriveMigrationName)]
        pub(crate) struct Migration;

        #[async_trait::async_trait]
        impl sea_orm_migration::MigrationTrait for Migration {
            async fn up(
                &self,
                manager: &sea_orm_migration::SchemaManager,
            ) -> Result<(), sea_orm_migration::DbErr> {
                crate::apply(manager, SQL).await
            }

            fn use_transaction(&self) -> Option<bool> {
                Some(true)
            }
        }
    };
}
pub(crate) use change;
