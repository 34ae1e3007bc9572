//! Units of work begin here.

use async_trait::async_trait;
use domain::ids::UserId;
use domain::store::{Store, StoreError, UnitOfWork};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, SqliteTransactionMode, TransactionOptions,
};

use crate::bounded::{Connections, Transaction};
use crate::connect::{Pools, SqlConfig, open};
use crate::error::store_error;
use crate::postgres::{self, Access, Login, Role};
use crate::unit_of_work::SqlUnitOfWork;

/// The database: SQLite or Postgres. Clones share its connections.
#[derive(Clone, Debug)]
pub struct SqlStore {
    pub(crate) writer: Connections,
    pub(crate) readers: Connections,
    workers: Connections,
    probes: Connections,
    role: Role,
}

impl SqlStore {
    /// Opens the database, for the request path; the schema is the caller's business (`migrations::up`
    /// on [`connection`](Self::connection)). [`StoreError::Unavailable`] when it cannot be reached, or
    /// in no way that is safe.
    pub async fn connect(config: &SqlConfig) -> Result<Self, StoreError> {
        let Pools {
            writer,
            readers,
            workers,
            probes,
        } = open(config).await?;
        Ok(Self {
            writer,
            readers,
            workers,
            probes,
            role: Role::App,
        })
    }

    /// The same database for the workers: with connections and, on Postgres, a role of their own.
    #[must_use]
    pub fn for_workers(&self) -> Self {
        if !self.is_postgres() {
            return self.clone();
        }
        Self {
            writer: self.workers.clone(),
            readers: self.workers.clone(),
            workers: self.workers.clone(),
            probes: self.probes.clone(),
            role: Role::Worker,
        }
    }

    /// The same database by a connection of its own, for looking how it is: a pool that requests have
    /// used up says nothing about the database.
    #[must_use]
    pub fn for_probes(&self) -> Self {
        Self {
            writer: self.probes.clone(),
            readers: self.probes.clone(),
            workers: self.probes.clone(),
            probes: self.probes.clone(),
            role: Role::App,
        }
    }

    /// Whom the database takes this program for; SQLite knows nobody.
    pub async fn logged_in_as(&self) -> Result<Login, StoreError> {
        if self.is_postgres() {
            postgres::check_login(&self.readers).await
        } else {
            Ok(Login::Runtime)
        }
    }

    /// The connection that may change the schema.
    pub fn connection(&self) -> &DatabaseConnection {
        self.writer.pool()
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
        for pool in [&self.readers, &self.workers, &self.probes, &self.writer] {
            pool.pool().close_by_ref().await.map_err(store_error)?;
        }
        Ok(())
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.writer.get_database_backend() == DbBackend::Postgres
    }

    /// A transaction that may write, for this owner. SQLite takes the write lock at once: taking it later
    /// would fail if somebody else had written meanwhile.
    pub(crate) async fn begin_write(
        &self,
        owner: Option<UserId>,
    ) -> Result<Transaction, StoreError> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        if self.is_postgres() {
            return postgres::begin(&self.writer, self.role, owner, Access::Write).await;
        }
        self.writer.begin(options).await
    }

    /// Lets a transaction that writes go on for another owner.
    pub(crate) async fn rebind(&self, tx: &Transaction, owner: UserId) -> Result<(), StoreError> {
        if self.is_postgres() {
            postgres::bind(tx, self.role, Some(owner), Access::Write).await?;
        }
        Ok(())
    }

    /// A transaction that sees one moment and cannot write, for this owner.
    pub(crate) async fn begin_read(
        &self,
        owner: Option<UserId>,
    ) -> Result<Transaction, StoreError> {
        if self.is_postgres() {
            return postgres::begin(&self.readers, self.role, owner, Access::Read).await;
        }
        self.readers.begin(TransactionOptions::default()).await
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn begin(&self, owner: UserId) -> Result<Box<dyn UnitOfWork>, StoreError> {
        let locks = self.is_postgres() && self.role == Role::App;
        let tx = self.begin_write(Some(owner)).await?;
        Ok(Box::new(SqlUnitOfWork::new(tx, owner, locks)))
    }

    async fn read(&self, owner: UserId) -> Result<Box<dyn UnitOfWork>, StoreError> {
        let tx = self.begin_read(Some(owner)).await?;
        Ok(Box::new(SqlUnitOfWork::new(tx, owner, false)))
    }
}
