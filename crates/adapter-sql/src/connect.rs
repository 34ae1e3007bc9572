//! Opening the database, with everything set that must not be left to a default.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use domain::store::StoreError;
use sea_orm::sqlx::pool::PoolOptions;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{ConnectOptions, Database, Sqlite};

use crate::bounded::{Bounded, Connections};
use crate::error::{fault, sqlx_error};
use crate::postgres;

/// Where the database is, and how long to wait for it.
#[derive(Clone)]
pub struct SqlConfig {
    /// `sqlite:path/to/file`, made if it is missing, or `postgres://user:password@host/database`.
    pub url: String,
    /// Most connections of the request path at a time; with SQLite one of them writes, and the others
    /// only read.
    pub connections: u32,
    /// Most connections of the workers, which must not wait for requests nor make them wait. SQLite
    /// has one writer anyway: there the workers share the connections of the request path.
    pub worker_connections: u32,
    /// How long to wait for a free connection or a lock before giving up as busy.
    pub patience: Duration,
    /// The longest that Postgres works on one statement; `None` for as long as it takes.
    pub statement_timeout: Option<Duration>,
    /// Take a connection to another machine that is not encrypted and verified.
    pub allow_insecure: bool,
}

impl SqlConfig {
    /// A database with the settings that suit one machine.
    pub fn new(url: impl Into<String>) -> Self {
        let url = url.into();
        // Writers of SQLite queue up for one lock; a pool of Postgres that is empty should say so soon.
        let patience = if is_postgres(&url) { 2 } else { 10 };
        Self {
            url,
            connections: 8,
            worker_connections: 4,
            patience: Duration::from_secs(patience),
            statement_timeout: Some(Duration::from_secs(15)),
            allow_insecure: false,
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

/// The ways into a database; the same pool where one need not wait for another.
pub(crate) struct Pools {
    pub(crate) writer: Connections,
    pub(crate) readers: Connections,
    pub(crate) workers: Connections,
    /// One connection, for looking how the database is.
    pub(crate) probes: Connections,
}

/// Opens the database that the address names.
pub(crate) async fn open(config: &SqlConfig) -> Result<Pools, StoreError> {
    if config.url.starts_with("sqlite:") {
        open_sqlite(config).await
    } else if is_postgres(&config.url) {
        postgres::open(config).await
    } else {
        Err(StoreError::Unavailable(fault(
            "the database URL begins neither sqlite: nor postgres:",
        )))
    }
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres:") || url.starts_with("postgresql:")
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
        // Rows are handed between threads in pieces; a profile that is loaded has many.
        .row_buffer_size(1024)
        .disable_statement_logging();
    let writer = pool::<Sqlite>(config, 1)
        .connect_with(options.clone())
        .await
        .map_err(|error| sqlx_error(&error))?;
    let reading = options.pragma("query_only", "ON");
    let readers = pool::<Sqlite>(config, config.connections.saturating_sub(1).max(1))
        .connect_with(reading.clone())
        .await
        .map_err(|error| sqlx_error(&error))?;
    let probes = pool::<Sqlite>(config, 1).connect_lazy_with(reading);
    // It is a file: nobody falls silent.
    let writer = Bounded::new(writer.into(), None);
    Ok(Pools {
        writer: writer.clone(),
        readers: Bounded::new(readers.into(), None),
        workers: writer,
        probes: Bounded::new(probes.into(), None),
    })
}

/// A pool that waits as long as it is told to.
pub(crate) fn pool<DB: Database>(config: &SqlConfig, connections: u32) -> PoolOptions<DB> {
    PoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(config.patience)
        .test_before_acquire(false)
}
