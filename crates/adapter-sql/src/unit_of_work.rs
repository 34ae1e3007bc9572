//! One transaction, bound to one owner. The repositories are its faces, each in a file of its own.

use async_trait::async_trait;
use domain::account::{ApiKeyRepository, LoginRepository, UserRepository};
use domain::ids::{SessionId, UserId};
use domain::jobs::JobOutbox;
use domain::memory::MemoryRepository;
use domain::profile::ProfileRepository;
use domain::session::{MessageRepository, SessionRepository};
use domain::store::{StoreError, UnitOfWork};
use sea_orm::{ConnectionTrait, ExecResult, Statement, Value};
use uuid::Uuid;

use crate::bounded::Transaction;
use crate::error::store_error;

/// A transaction as every repository. Dropped, it rolls back.
pub(crate) struct SqlUnitOfWork {
    pub(crate) tx: Transaction,
    /// Whose rows exist for it.
    pub(crate) owner: Uuid,
    /// Whether what decisions rest on is locked.
    locks: bool,
    /// The session that was locked last.
    pub(crate) locked: Option<SessionId>,
    /// Whether the owner's profiles are locked.
    pub(crate) profiles_settled: bool,
}

impl SqlUnitOfWork {
    pub(crate) fn new(tx: Transaction, owner: UserId, locks: bool) -> Self {
        Self {
            tx,
            owner: owner.into(),
            locks,
            locked: None,
            profiles_settled: false,
        }
    }

    /// Refuses a value of somebody else.
    pub(crate) fn check_owner(&self, user: UserId) -> Result<(), StoreError> {
        if user.as_uuid() == self.owner {
            Ok(())
        } else {
            Err(StoreError::Conflict { what: "reference" })
        }
    }

    /// Does it need locks on rows? A reader has its snapshot, SQLite's one writer is alone anyway, and a
    /// job may change nothing that others decide on.
    pub(crate) fn needs_locks(&self) -> bool {
        self.locks
    }

    /// Runs a statement that no builder can express; `$1`, `$2`, ... in both dialects.
    pub(crate) async fn execute<const N: usize>(
        &self,
        sql: &str,
        values: [Value; N],
    ) -> Result<ExecResult, StoreError> {
        let statement = Statement::from_sql_and_values(self.tx.get_database_backend(), sql, values);
        self.tx.execute_raw(statement).await.map_err(store_error)
    }
}

#[async_trait]
impl UnitOfWork for SqlUnitOfWork {
    fn users(&mut self) -> &mut dyn UserRepository {
        self
    }

    fn logins(&mut self) -> &mut dyn LoginRepository {
        self
    }

    fn api_keys(&mut self) -> &mut dyn ApiKeyRepository {
        self
    }

    fn profiles(&mut self) -> &mut dyn ProfileRepository {
        self
    }

    fn sessions(&mut self) -> &mut dyn SessionRepository {
        self
    }

    fn messages(&mut self) -> &mut dyn MessageRepository {
        self
    }

    fn memories(&mut self) -> &mut dyn MemoryRepository {
        self
    }

    fn jobs(&mut self) -> &mut dyn JobOutbox {
        self
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        self.tx.commit().await
    }
}
