//! The one place where a failure of the database becomes a failure of the port.

use domain::error::Source;
use domain::store::StoreError;
use sea_orm::sqlx::Error as SqlxError;
use sea_orm::sqlx::error::{DatabaseError, ErrorKind};
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};

use crate::postgres::{tls_problem, wire_problem};

/// What is told of a failure. The database's own error stays behind: its details may quote a row.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Fault(String);

/// Rules that callers tell apart: the constraint's name in Postgres, the columns or the name by which
/// SQLite reports it, and the word in [`StoreError::Conflict`].
const RULES: [(&str, &str, &str); 7] = [
    ("users_pkey", "users.id", "user"),
    ("users_email", "users.email", "email"),
    (
        "memory_profiles_name",
        "memory_profiles.user_id, memory_profiles.name",
        "profile_name",
    ),
    (
        "memory_profiles_default",
        "memory_profiles.user_id",
        "default_profile",
    ),
    (
        "chat_messages_streaming",
        "chat_messages.user_id, chat_messages.session_id",
        "streaming",
    ),
    ("chat_messages_mode", "chat_messages_mode", "mode"),
    (
        "memories_statement",
        "memories.user_id, memories.profile_id, memories.fingerprint",
        "memory",
    ),
];

/// Two messages were added to an unlocked session at the same moment: the loser may try again.
const RACE: (&str, &str) = (
    "chat_messages_seq",
    "chat_messages.user_id, chat_messages.session_id, chat_messages.seq",
);

/// Turns an error of the driver into an error of the port.
///
/// | rule                                        | `what`            |
/// |---------------------------------------------|-------------------|
/// | an address is taken                         | `email`           |
/// | a user's id is taken                        | `user`            |
/// | a profile's name is taken                   | `profile_name`    |
/// | there is a default profile                  | `default_profile` |
/// | an answer of the session is being written   | `streaming`       |
/// | a message's stamp does not persist          | `mode`            |
/// | the profile holds the statement             | `memory`          |
/// | the parent is missing or somebody else's    | `reference`       |
/// | any other uniqueness (ids) or check         | `row`, `check`    |
#[expect(clippy::needless_pass_by_value, reason = "fits map_err")]
pub(crate) fn store_error(error: DbErr) -> StoreError {
    match &error {
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => {
            StoreError::Busy(fault("no free connection"))
        }
        DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause)) => sqlx_error(cause),
        DbErr::Conn(RuntimeErr::Internal(words)) => StoreError::Unavailable(fault(words)),
        DbErr::ConnectionAcquire(_) => StoreError::Unavailable(fault("the connection is closed")),
        _ => StoreError::Unavailable(fault("the answer of the database cannot be read")),
    }
}

/// The same for an error of the driver below.
pub(crate) fn sqlx_error(error: &SqlxError) -> StoreError {
    match error {
        SqlxError::PoolTimedOut => StoreError::Busy(fault("no free connection")),
        SqlxError::Database(error) => database_error(error.as_ref()),
        SqlxError::Io(cause) => StoreError::Unavailable(fault(&wire_problem(cause))),
        SqlxError::Tls(cause) => StoreError::Unavailable(fault(&tls_problem(&cause.to_string()))),
        SqlxError::Configuration(_) => StoreError::Unavailable(fault("malformed database URL")),
        _ => StoreError::Unavailable(fault("the database driver failed")),
    }
}

fn database_error(error: &dyn DatabaseError) -> StoreError {
    let reported = error
        .constraint()
        .or_else(|| error.message().split_once(": ").map(|(_, it)| it));
    let is = |names: (&str, &str)| reported.is_some_and(|it| it == names.0 || it == names.1);
    match error.kind() {
        ErrorKind::UniqueViolation if is(RACE) => {
            StoreError::Aborted(fault("two messages were added at once"))
        }
        ErrorKind::UniqueViolation => conflict(is, "row"),
        ErrorKind::CheckViolation => conflict(is, "check"),
        ErrorKind::ForeignKeyViolation => StoreError::Conflict { what: "reference" },
        _ if is_aborted(error) => StoreError::Aborted(fault(&describe(error))),
        _ if is_busy(error) => StoreError::Busy(fault("a lock is held for too long")),
        _ => StoreError::Unavailable(fault(&describe(error))),
    }
}

fn conflict(is: impl Fn((&str, &str)) -> bool, otherwise: &'static str) -> StoreError {
    let rule = RULES
        .iter()
        .find(|(postgres, sqlite, _)| is((*postgres, *sqlite)));
    StoreError::Conflict {
        what: rule.map_or(otherwise, |(_, _, what)| *what),
    }
}

/// Deadlocks and serialization failures of Postgres: somebody had to give way. SQLite has no such thing,
/// because its units of work take the write lock before they read.
fn is_aborted(error: &dyn DatabaseError) -> bool {
    matches!(error.code().as_deref(), Some("40001" | "40P01"))
}

/// Lock timeouts and a full server, which pass by themselves.
fn is_busy(error: &dyn DatabaseError) -> bool {
    let code = error.code().unwrap_or_default();
    let sqlite_primary = code
        .parse::<u32>()
        .ok()
        .filter(|_| code.len() < 5)
        .map(|code| code & 0xff);
    matches!(sqlite_primary, Some(5 | 6)) || matches!(code.as_ref(), "53300" | "55P03")
}

/// Code and message; of data exceptions (class 22) the code only, since they quote values.
fn describe(error: &dyn DatabaseError) -> String {
    let code = error.code().unwrap_or_default();
    if code.len() == 5 && code.starts_with("22") {
        format!("code {code}")
    } else {
        format!("code {code}: {}", error.message())
    }
}

/// A cause that is safe to log.
pub(crate) fn fault(words: &str) -> Source {
    Box::new(Fault(words.to_owned()))
}
