//! Where a server keeps its rows.

use std::path::Path;

use adapter_sql::{SqlConfig, SqlStore};
use anyhow::Result;
use tempfile::TempDir;
use testkit::servers::Postgres;

/// A database of this benchmark's own, thrown away at the end, and the data folder beside it.
pub(super) struct Database {
    folder: TempDir,
    postgres: Option<Postgres>,
}

impl Database {
    /// SQLite, and Postgres where its binaries are on this machine.
    pub(super) async fn all() -> Result<Vec<Self>> {
        let mut all = vec![Self {
            folder: tempfile::tempdir()?,
            postgres: None,
        }];
        if let Some(postgres) = Postgres::new() {
            let database = Self {
                folder: tempfile::tempdir()?,
                postgres: Some(postgres),
            };
            database.owner().await?.close().await?;
            all.push(database);
        }
        Ok(all)
    }

    /// Its name in tables.
    pub(super) fn name(&self) -> &'static str {
        match self.postgres {
            Some(_) => "on Postgres",
            None => "on SQLite",
        }
    }

    /// The data folder.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the server must be told.
    pub(super) fn environment(&self) -> Option<(&'static str, String)> {
        let postgres = self.postgres.as_ref()?;
        let url = postgres.url().replace("postgres@", "mc_login@");
        Some(("DATABASE_URL", url))
    }

    /// The database with its schema, as whoever may do everything.
    pub(super) async fn owner(&self) -> Result<SqlStore> {
        let url = match &self.postgres {
            Some(postgres) => postgres.url().to_owned(),
            None => format!(
                "sqlite://{}",
                self.folder.path().join("memorychat.db").display()
            ),
        };
        let store = SqlStore::connect(&SqlConfig {
            statement_timeout: None,
            ..SqlConfig::new(url)
        })
        .await?;
        migrations::up(store.connection()).await?;
        Ok(store)
    }

    /// Is it Postgres?
    pub(super) fn is_postgres(&self) -> bool {
        self.postgres.is_some()
    }
}
