//! Units of work begin here.

use async_trait::async_trait;
use domain::ids::UserId;
use domain::store::{Store, StoreError, UnitOfWork};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};

use crate::connect::{Pools, SqlConfig, open};
use crate::error::store_error;
use crate::unit_of_work::SqlUnitOfWork;

/// The database: SQLite or Postgres. Clones share its connections.
#[derive(Clone, Debug)]
pub struct SqlStore {
    pub(crate) writer: DatabaseConnection,
    pub(crate) readers: DatabaseConnection,
}

impl SqlStore {
    /// Opens the database; the schema is the caller's business (`migrations::Migrator::up` on
    /// [`connection`](Self::connection)). [`StoreError::Unavailable`] when it cannot be reached.
    pub async fn connect(config: &SqlConfig) -> Result<Self, StoreError> {
        let Pools { writer, readers } = open(config).await?;
        Ok(Self { writer, readers })
    }

    /// The connection that may change the schema.
    pub fn connection(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// Asks the database for a sign of life, without waiting for writers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.readers
            .execute_unprepared("select 1")
            .await
            .map(|_| ())
            .map_err(store_error)
    }

    /// Which database it is: `SQLite` or `Postgres`.
    pub fn engine(&self) -> &'static str {
        if self.is_postgres() {
            "Postgres"
        } else {
            "SQLite"
        }
    }

    /// Finishes what runs and closes all connections.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.readers.close_by_ref().await.map_err(store_error)?;
        self.writer.close_by_ref().await.map_err(store_error)
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.writer.get_database_backend() == DbBackend::Postgres
    }

    /// A transaction that may write. SQLite takes the write lock at once: taking it later would fail
    /// if somebody else had written meanwhile.
    pub(crate) async fn begin_write(&self) -> Result<DatabaseTransaction, StoreError> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.writer
            .begin_with_options(options)
            .await
            .map_err(store_error)
    }

    /// A transaction that sees one moment and cannot write.
    pub(crate) async fn begin_read(&self) -> Result<DatabaseTransaction, StoreError> {
        let tx = self.readers.begin().await.map_err(store_error)?;
        if self.is_postgres() {
            tx.execute_unprepared("set transaction isolation level repeatable read, read only")
                .await
                .map_err(store_error)?;
        }
        Ok(tx)
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn begin(&self, owner: UserId) -> Result<Box<dyn UnitOfWork>, StoreError> {
        Ok(Box::new(SqlUnitOfWork::writing(
            self.begin_write().await?,
            owner,
        )))
    }

    async fn read(&self, owner: UserId) -> Result<Box<dyn UnitOfWork>, StoreError> {
        Ok(Box::new(SqlUnitOfWork::reading(
            self.begin_read().await?,
            owner,
        )))
    }
}
