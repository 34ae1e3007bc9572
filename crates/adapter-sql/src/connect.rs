//! Opening the database, with everything set that must not be left to a default.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use domain::store::StoreError;
use sea_orm::DatabaseConnection;
use sea_orm::sqlx::pool::PoolOptions;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{ConnectOptions, Connection, Database, Postgres, Sqlite};

use crate::error::{fault, sqlx_error};

/// Where the database is, and how long to wait for it.
#[derive(Clone)]
pub struct SqlConfig {
    /// `sqlite:path/to/file`, made if it is missing, or `postgres://user:password@host/database`.
    pub url: String,
    /// Most connections at a time; with SQLite one of them writes, and the others only read.
    pub connections: u32,
    /// How long to wait for a free connection or a lock before giving up as busy.
    pub patience: Duration,
}

impl SqlConfig {
    /// A database with the settings that suit one machine.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            connections: 8,
            patience: Duration::from_secs(10),
        }
    }
}

impl fmt::Debug for SqlConfig {
    /// The address may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlConfig")
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

/// The two ways into a database; the same pool twice where writers need no queue.
pub(crate) struct Pools {
    pub(crate) writer: DatabaseConnection,
    pub(crate) readers: DatabaseConnection,
}

/// Opens the database that the address names.
pub(crate) async fn open(config: &SqlConfig) -> Result<Pools, StoreError> {
    if config.url.starts_with("sqlite:") {
        open_sqlite(config).await
    } else if config.url.starts_with("postgres:") || config.url.starts_with("postgresql:") {
        open_postgres(config).await
    } else {
        Err(StoreError::Unavailable(fault(
            "the database URL begins neither sqlite: nor postgres:",
        )))
    }
}

async fn open_sqlite(config: &SqlConfig) -> Result<Pools, StoreError> {
    if config.url.contains(":memory:") || config.url.contains("mode=memory") {
        // Each connection would see a database of its own.
        return Err(StoreError::Unavailable(fault(
            "SQLite in memory is not supported; name a file",
        )));
    }
    let options = SqliteConnectOptions::from_str(&config.url)
        .map_err(|error| sqlx_error(&error))?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // What was acknowledged survives a loss of power.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(config.patience)
        // What was deleted is overwritten, and sorting leaves nothing in temporary files.
        .pragma("secure_delete", "ON")
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging();
    let writer = pool::<Sqlite>(config, 1)
        .connect_with(options.clone())
        .await
        .map_err(|error| sqlx_error(&error))?;
    let readers = pool::<Sqlite>(config, config.connections.saturating_sub(1).max(1))
        .connect_with(options.pragma("query_only", "ON"))
        .await
        .map_err(|error| sqlx_error(&error))?;
    Ok(Pools {
        writer: writer.into(),
        readers: readers.into(),
    })
}

async fn open_postgres(config: &SqlConfig) -> Result<Pools, StoreError> {
    let patience = format!("{}ms", config.patience.as_millis());
    let options = PgConnectOptions::from_str(&config.url)
        .map_err(|error| sqlx_error(&error))?
        .application_name("memorychat")
        .options([("lock_timeout", patience)])
        .disable_statement_logging();
    let pool = pool::<Postgres>(config, config.connections)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                // One that was just used is alive; asking it would double the cost of a statement.
                if meta.idle_for > Duration::from_secs(5) {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_with(options)
        .await
        .map_err(|error| sqlx_error(&error))?;
    let pool = DatabaseConnection::from(pool);
    Ok(Pools {
        writer: pool.clone(),
        readers: pool,
    })
}

fn pool<DB: Database>(config: &SqlConfig, connections: u32) -> PoolOptions<DB> {
    PoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(config.patience)
        .test_before_acquire(false)
}
