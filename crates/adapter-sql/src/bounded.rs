//! An end to waiting for Postgres. A server that vanishes without a word, by a loss of power or behind a
//! firewall, takes its own time limits with it, and TCP waits for a quarter of an hour.

use std::time::Duration;

use async_trait::async_trait;
use domain::store::StoreError;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult,
    QueryResult, RuntimeErr, Statement, TransactionOptions, TransactionTrait,
};
use tokio::time::timeout;

use crate::error::store_error;

/// A pool, or a transaction of one, each of whose steps takes no longer than a limit, if there is one. After
/// that the outcome is unknown, and the pool throws the connection away.
#[derive(Debug, Clone)]
pub(crate) struct Bounded<C> {
    inner: C,
    limit: Option<Duration>,
}

/// A pool of connections.
pub(crate) type Connections = Bounded<DatabaseConnection>;
/// A transaction on one of them.
pub(crate) type Transaction = Bounded<DatabaseTransaction>;

impl<C> Bounded<C> {
    pub(crate) fn new(inner: C, limit: Option<Duration>) -> Self {
        Self { inner, limit }
    }

    async fn step<T>(&self, step: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        within(self.limit, step).await
    }
}

async fn within<T>(
    limit: Option<Duration>,
    step: impl Future<Output = Result<T, DbErr>>,
) -> Result<T, DbErr> {
    let Some(limit) = limit else {
        return step.await;
    };
    timeout(limit, step).await.unwrap_or_else(|_| {
        let silent = "the database has fallen silent".to_owned();
        Err(DbErr::Conn(RuntimeErr::Internal(silent)))
    })
}

impl Connections {
    /// The pool itself.
    pub(crate) fn pool(&self) -> &DatabaseConnection {
        &self.inner
    }

    pub(crate) async fn begin(
        &self,
        options: TransactionOptions,
    ) -> Result<Transaction, StoreError> {
        let begun = self.step(self.inner.begin_with_options(options)).await;
        let begun = begun.map_err(store_error)?;
        Ok(Bounded::new(begun, self.limit))
    }

    /// Several steps that take no longer than one may.
    pub(crate) async fn as_one_step<T>(
        &self,
        steps: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.step(async { Ok(steps.await) })
            .await
            .map_err(store_error)?
    }
}

impl Transaction {
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        within(self.limit, self.inner.commit())
            .await
            .map_err(store_error)
    }
}

#[async_trait]
impl<C: ConnectionTrait> ConnectionTrait for Bounded<C> {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.step(self.inner.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.step(self.inner.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.step(self.inner.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.step(self.inner.query_all_raw(statement)).await
    }
}
