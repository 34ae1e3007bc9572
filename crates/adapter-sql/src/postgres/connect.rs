//! The address and the connections of Postgres.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use domain::store::StoreError;
use sea_orm::sqlx::pool::PoolOptions;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgSslMode};
use sea_orm::sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, Postgres};
use tokio::time::timeout;

use super::pooler;
use crate::bounded::Bounded;
use crate::connect::{Pools, SqlConfig, pool};
use crate::error::{fault, sqlx_error};

/// Port of Supabase's transaction pooler.
const TRANSACTION_POOLER: u16 = 6543;

/// A transaction that its client has forgotten is ended after this long.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(30);

/// How much longer than the server takes at most its answer may be under way.
fn margin(statement_timeout: Duration) -> Duration {
    statement_timeout / 3
}

/// Opens the pools, and makes sure that a connection is one session of the server.
pub(crate) async fn open(config: &SqlConfig) -> Result<Pools, StoreError> {
    let options = options(config)?;
    let requests = sessions(config, config.connections)
        .connect_with(options.clone())
        .await
        .map_err(|error| sqlx_error(&error))?;
    if config.connections < pooler::CLIENTS {
        // Too few of them to meet: others are opened for the look.
        let looking = sessions(config, pooler::CLIENTS)
            .connect_with(options.clone())
            .await
            .map_err(|error| sqlx_error(&error))?;
        let refused = pooler::refuse(&looking).await;
        looking.close().await;
        refused?;
    } else {
        pooler::refuse(&requests).await?;
    }
    let workers = sessions(config, config.worker_connections).connect_lazy_with(options.clone());
    let probes = sessions(config, 1).connect_lazy_with(options);
    let limit = config.statement_timeout.map(|time| time + margin(time));
    let requests = Bounded::new(requests.into(), limit);
    Ok(Pools {
        writer: requests.clone(),
        readers: requests,
        workers: Bounded::new(workers.into(), limit),
        probes: Bounded::new(probes.into(), limit),
    })
}

/// Connections that find the tables, and give up in time. Said by a statement and not in the first
/// packet, which session poolers do not hand on.
fn sessions(config: &SqlConfig, connections: u32) -> PoolOptions<Postgres> {
    let milliseconds = |time: Duration| time.as_millis();
    let settings = format!(
        "set search_path = mc, pg_temp; set lock_timeout = {}; set statement_timeout = {}; \
         set idle_in_transaction_session_timeout = {}",
        milliseconds(config.patience),
        config.statement_timeout.map_or(0, milliseconds),
        milliseconds(IDLE_IN_TRANSACTION),
    );
    let patience = config.statement_timeout.map(margin);
    pool(config, connections)
        .after_connect(move |connection: &mut PgConnection, _| {
            let settings = AssertSqlSafe(settings.clone());
            Box::pin(async move { connection.execute(settings).await.map(|_| ()) })
        })
        .before_acquire(|connection: &mut PgConnection, meta| {
            Box::pin(async move {
                // One that was just used is alive; asking it would double the cost of a statement.
                if meta.idle_for > Duration::from_secs(5) {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_release(move |connection: &mut PgConnection, _| {
            Box::pin(async move {
                // What was abandoned ends here, or its place in the pool would wait as long as TCP does.
                // (sqlx asks the connection once more after this, for which it knows no limit.)
                if let Some(patience) = patience {
                    let settled = timeout(patience, connection.flush()).await;
                    settled.map_err(std::io::Error::from)??;
                }
                Ok(true)
            })
        })
}

/// The address, with what it must not leave open.
fn options(config: &SqlConfig) -> Result<PgConnectOptions, StoreError> {
    let options = PgConnectOptions::from_str(&config.url)
        .map_err(|error| sqlx_error(&error))?
        .application_name("memorychat")
        .disable_statement_logging();
    if options.get_port() == TRANSACTION_POOLER {
        return Err(refused(
            "port 6543 is a transaction pooler, which hands one client's answers to another; \
             use port 5432: the session pooler or the database itself",
        ));
    }
    if is_local(&options) || config.allow_insecure {
        return Ok(options);
    }
    match options.get_ssl_mode() {
        PgSslMode::VerifyFull => Ok(options),
        // What holds when the address says nothing.
        PgSslMode::Prefer => Ok(options.ssl_mode(PgSslMode::VerifyFull)),
        PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Require | PgSslMode::VerifyCa => {
            Err(refused(
                "the database is on another machine, and its sslmode does not prove which; use \
                 sslmode=verify-full, with sslrootcert=FILE for an authority of your own, or set \
                 DATABASE_ALLOW_INSECURE=true in a network that you trust",
            ))
        }
    }
}

/// Does the connection stay on this machine?
fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

fn refused(line: &str) -> StoreError {
    StoreError::Unavailable(fault(line))
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    fn outcome(url: &str, allow_insecure: bool) -> Result<PgSslMode, String> {
        let config = SqlConfig {
            allow_insecure,
            ..SqlConfig::new(url)
        };
        options(&config)
            .map(|options| options.get_ssl_mode())
            .map_err(|error| error.source().unwrap().to_string())
    }

    #[test]
    fn another_machine_must_prove_itself() {
        for (url, mode) in [
            ("postgres://u@db.example.org/x", "VerifyFull"),
            (
                "postgres://u@db.example.org/x?sslmode=verify-full",
                "VerifyFull",
            ),
            ("postgres://u@127.0.0.1/x", "Prefer"),
            ("postgres://u@localhost/x?sslmode=disable", "Disable"),
            ("postgres://u@[::1]/x?sslmode=disable", "Disable"),
            ("postgres://u@x/x?host=/run/postgresql", "Prefer"),
        ] {
            assert_eq!(format!("{:?}", outcome(url, false).unwrap()), mode, "{url}");
        }
        for mode in ["disable", "allow", "require", "verify-ca"] {
            let url = format!("postgres://u@db.example.org/x?sslmode={mode}");
            assert!(outcome(&url, false).unwrap_err().contains("verify-full"));
            assert!(outcome(&url, true).is_ok(), "{url}");
        }
    }

    #[test]
    fn the_transaction_pooler_is_refused_and_the_right_port_is_named() {
        let url = "postgres://u@aws-0-eu.pooler.example.com:6543/postgres";
        assert!(outcome(url, true).unwrap_err().contains("5432"));
    }
}
