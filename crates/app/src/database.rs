//! Opening the database with the schema this program was made for.

use std::path::Path;
use std::time::Duration;

use adapter_sql::{Login, SqlConfig, SqlStore};
use anyhow::{Context, Result, bail};
use migrations::Migrator;
use sea_orm_migration::{DbErr, MigrationStatus, MigratorTrait};
use secrecy::ExposeSecret;
use tracing::warn;

use crate::settings::Settings;

/// How long the database may take to be closed.
const CLOSING: Duration = Duration::from_secs(1);

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
    open_as(settings, schema, config(settings)).await
}

/// The same for a command that goes over everything: nobody waits for it, and it is not to be cut off.
pub async fn open_unhurried(settings: &Settings) -> Result<SqlStore> {
    open_as(settings, Schema::Check, unhurried(settings)).await
}

async fn open_as(settings: &Settings, schema: Schema, config: SqlConfig) -> Result<SqlStore> {
    let store = connect(settings, config).await?;
    let login = store.logged_in_as().await?;
    admit(settings, &login)?;
    match (schema_state(&store).await?, schema) {
        (SchemaState::Current, _) => {}
        (SchemaState::Ahead, _) => {
            bail!("the database was written by a newer memorychat; update this program")
        }
        // SQLite has one kind of user; on Postgres only the owner can change the schema.
        (SchemaState::Behind(_), Schema::Migrate)
            if settings.is_sqlite() || matches!(login, Login::Privileged { .. }) =>
        {
            migrate(settings).await?;
        }
        (SchemaState::Behind(changes), _) => bail!(
            "the database schema is {changes} changes behind; run `memorychat migrate`{}",
            if settings.is_sqlite() {
                ""
            } else {
                " with the owner's DATABASE_URL"
            }
        ),
    }
    if let Login::Stranger { role } = store.logged_in_as().await? {
        bail!(
            "DATABASE_URL logs in as {role}, which may not act for memorychat; use mc_login, or \
             `grant mc_login to {role}`"
        );
    }
    Ok(store)
}

/// Closes the database at the end of the process. One that does not answer does not hold that up.
pub async fn close(store: &SqlStore) {
    match tokio::time::timeout(CLOSING, store.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(%error, "the database was not closed properly"),
        Err(_) => warn!("the database was not closed in time"),
    }
}

/// Brings the schema up to date, as whoever the settings log in.
pub async fn migrate(settings: &Settings) -> Result<SqlStore> {
    let store = connect(settings, unhurried(settings)).await?;
    if schema_state(&store).await? == SchemaState::Ahead {
        bail!("the database was written by a newer memorychat; update this program");
    }
    migrations::up(store.connection())
        .await
        .context("the database schema cannot be changed")?;
    Ok(store)
}

fn config(settings: &Settings) -> SqlConfig {
    let database = &settings.database;
    SqlConfig {
        connections: database.connections,
        worker_connections: database.worker_connections,
        allow_insecure: database.allow_insecure,
        ..SqlConfig::new(database.url.expose_secret())
    }
}

fn unhurried(settings: &Settings) -> SqlConfig {
    SqlConfig {
        statement_timeout: None,
        ..config(settings)
    }
}

async fn connect(settings: &Settings, config: SqlConfig) -> Result<SqlStore> {
    make_private_folder(&settings.data_dir)?;
    SqlStore::connect(&config)
        .await
        .context("the database cannot be opened; look at DATABASE_URL and MEMORYCHAT_DATA_DIR")
}

/// Row level security is no wall for an owner or a superuser: they are let in only when told to.
fn admit(settings: &Settings, login: &Login) -> Result<()> {
    match login {
        Login::Runtime | Login::Stranger { .. } => {}
        Login::Privileged { role } if settings.database.allow_owner => warn!(
            role,
            "DATABASE_ALLOW_OWNER: logged in as an owner; each transaction drops to a role that is not"
        ),
        Login::Privileged { role } => bail!(
            "DATABASE_URL logs in as {role}, which can step over row level security; run \
             `memorychat migrate` with it once and serve as mc_login, or set DATABASE_ALLOW_OWNER=true"
        ),
    }
    Ok(())
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
