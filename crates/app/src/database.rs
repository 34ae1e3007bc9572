//! Opening the database with the schema this program was made for.

use std::path::Path;

use adapter_sql::{SqlConfig, SqlStore};
use anyhow::{Context, Result, bail};
use migrations::Migrator;
use sea_orm_migration::{DbErr, MigrationStatus, MigratorTrait};
use secrecy::ExposeSecret;

use crate::settings::Settings;

/// What is to happen when the schema is older than this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// Bring it up to date.
    Migrate,
    /// Refuse, and say how.
    Check,
}

/// How a database's schema compares with this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// Made for each other.
    Current,
    /// This many changes are still to be made.
    Behind(usize),
    /// A newer program has changed it.
    Ahead,
}

/// Opens the database; makes the data folder if it is missing.
pub async fn open(settings: &Settings, schema: Schema) -> Result<SqlStore> {
    make_private_folder(&settings.data_dir)?;
    let config = SqlConfig::new(settings.database_url.expose_secret());
    let store = SqlStore::connect(&config)
        .await
        .context("the database cannot be opened; look at DATABASE_URL and MEMORYCHAT_DATA_DIR")?;
    match (schema_state(&store).await?, schema) {
        (SchemaState::Current, _) => {}
        (SchemaState::Ahead, _) => {
            bail!("the database was written by a newer memorychat; update this program")
        }
        (SchemaState::Behind(_), Schema::Migrate) => {
            Migrator::up(store.connection(), None)
                .await
                .context("the database schema cannot be changed")?;
        }
        (SchemaState::Behind(changes), Schema::Check) => {
            bail!("the database schema is {changes} changes behind; run `memorychat migrate`")
        }
    }
    Ok(store)
}

/// Compares the schema with this program, without changing anything.
pub async fn schema_state(store: &SqlStore) -> Result<SchemaState> {
    match Migrator::get_migration_with_status_read_only(store.connection()).await {
        Ok(changes) => {
            let pending = changes
                .iter()
                .filter(|c| c.status() == MigrationStatus::Pending)
                .count();
            Ok(if pending == 0 {
                SchemaState::Current
            } else {
                SchemaState::Behind(pending)
            })
        }
        // The library says with it that a change was made which this program does not know.
        Err(DbErr::Custom(_)) => Ok(SchemaState::Ahead),
        Err(error) => Err(error).context("the database does not tell its schema"),
    }
}

/// Only this account may look into a folder that holds what people said.
fn make_private_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(folder).with_context(|| {
        format!(
            "the data folder {} cannot be made; set MEMORYCHAT_DATA_DIR",
            folder.display()
        )
    })?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let _ = std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700));
    }
    Ok(())
}
