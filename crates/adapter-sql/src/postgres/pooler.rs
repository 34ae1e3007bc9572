//! Tells a pooler that gives each transaction another session. Through one, statements prepared by one
//! client are answered to another: wrong answers, without an error.

use domain::store::StoreError;
use futures::future::try_join_all;
use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::{Error, Executor, PgPool, Postgres, Row, raw_sql};

use crate::error::{fault, sqlx_error};

/// Connections that look at the same time.
pub(super) const CLIENTS: u32 = 5;
/// How often each looks.
const LOOKS: usize = 20;

/// Fails when the connections of the pool, [`CLIENTS`] at least, are not sessions of their own.
pub(super) async fn refuse(pool: &PgPool) -> Result<(), StoreError> {
    let shared = are_shared(pool, CLIENTS)
        .await
        .map_err(|error| sqlx_error(&error))?;
    if shared {
        return Err(StoreError::Unavailable(fault(
            "a pooler in transaction mode stands before the database and would hand one client's \
             answers to another; use its session mode (port 5432 at Supabase) or the database itself",
        )));
    }
    Ok(())
}

/// A session keeps its process and what is set in it, and shares neither. All in the simple protocol,
/// which prepares nothing.
async fn are_shared(pool: &PgPool, clients: u32) -> Result<bool, Error> {
    let mut connections = try_join_all((0..clients).map(|_| pool.acquire())).await?;
    let found = try_join_all(
        connections
            .iter_mut()
            .enumerate()
            .map(|(client, connection)| sessions_seen(connection, client)),
    )
    .await?;
    let mut all: Vec<i32> = found.iter().flatten().copied().collect();
    all.sort_unstable();
    all.dedup();
    Ok(found.iter().any(|seen| seen.len() != 1) || all.len() != found.len())
}

/// The processes that answered one client, each once.
async fn sessions_seen(
    connection: &mut PoolConnection<Postgres>,
    client: usize,
) -> Result<Vec<i32>, Error> {
    let mut seen = Vec::new();
    for _ in 0..LOOKS {
        // Of different length, so that they cross.
        let look = match client {
            0 => "select pg_backend_pid()",
            1 | 2 => "select pg_backend_pid() from pg_sleep(0.0005)",
            _ => "select pg_backend_pid() from pg_sleep(0.0013)",
        };
        let process = (&mut **connection).fetch_one(raw_sql(look)).await?;
        let process = process.try_get(0)?;
        if !seen.contains(&process) {
            seen.push(process);
        }
    }
    Ok(seen)
}
