//! What only Postgres has: how it is opened, who a transaction acts for, and whom it lets in.
//!
//! Row level security does not replace the owner in each statement; it is the wall behind it.

mod connect;
mod login;
mod pooler;

use domain::ids::UserId;
use domain::store::StoreError;
use sea_orm::{ConnectionTrait, DatabaseTransaction};

pub(crate) use connect::open;
pub use login::Login;
pub(crate) use login::check as check_login;

use crate::error::store_error;

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

/// Binds a transaction that has just begun to its role and owner, until it ends: nothing of it stays on
/// the connection. Without an owner no row of anybody is visible.
pub(crate) async fn bind(
    tx: &DatabaseTransaction,
    role: Role,
    owner: Option<UserId>,
    read_only: bool,
) -> Result<(), StoreError> {
    let snapshot = if read_only {
        "set transaction isolation level repeatable read, read only; "
    } else {
        ""
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
