//! What only Postgres has: how it is opened, who a transaction acts for, and whom it lets in.
//!
//! Row level security does not replace the owner in each statement; it is the wall behind it.

mod connect;
mod login;
mod pooler;
mod tls;

use domain::ids::UserId;
use domain::store::StoreError;
use sea_orm::{ConnectionTrait, TransactionOptions};

pub(crate) use connect::open;
pub use login::Login;
pub(crate) use login::check as check_login;
pub(crate) use tls::{tls_problem, wire_problem};

use crate::bounded::{Connections, Transaction};
use crate::error::store_error;

/// Dead connections that are passed over in one go: more than a pool usually holds.
const MOST_DEAD: u32 = 32;

/// In whose name the database is asked: the role that a transaction takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The request path.
    App,
    /// The jobs.
    Worker,
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::App => "mc_app",
            Self::Worker => "mc_worker",
        }
    }
}

/// What a transaction may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// See one moment.
    Read,
    /// Write.
    Write,
}

/// Begins a transaction. A connection that has died in the pool shows only now, and nothing has been done
/// yet: the next one is taken, until one lives or the pool has to wait for the server.
pub(crate) async fn begin(
    pool: &Connections,
    role: Role,
    owner: Option<UserId>,
    access: Access,
) -> Result<Transaction, StoreError> {
    let attempts = async {
        let mut tries = 0;
        loop {
            let bound = async {
                let tx = pool.begin(TransactionOptions::default()).await?;
                bind(&tx, role, owner, access).await?;
                Ok(tx)
            };
            match bound.await {
                Err(StoreError::Unavailable(_)) if tries < MOST_DEAD => tries += 1,
                done => return done,
            }
        }
    };
    pool.as_one_step(attempts).await
}

/// Binds a transaction that has just begun to its role and owner, until it ends: nothing of it stays on
/// the connection. Without an owner no row of anybody is visible.
pub(crate) async fn bind(
    tx: &Transaction,
    role: Role,
    owner: Option<UserId>,
    access: Access,
) -> Result<(), StoreError> {
    let snapshot = match access {
        Access::Read => "set transaction isolation level repeatable read, read only; ",
        Access::Write => "",
    };
    // One round trip. The two values cannot hold a quote.
    let role = role.as_str();
    let owner = owner.map_or_else(String::new, |owner| owner.as_uuid().to_string());
    let sql = format!(
        "{snapshot}select set_config('role', '{role}', true), set_config('mc.user_id', '{owner}', true)"
    );
    tx.execute_unprepared(&sql)
        .await
        .map(|_| ())
        .map_err(store_error)
}
