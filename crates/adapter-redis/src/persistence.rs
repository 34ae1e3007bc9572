//! Does this Redis write to a disk?

use std::collections::HashMap;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, RedisResult, cmd};

/// What a server says about its persistence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// It keeps all in memory.
    Off,
    /// It writes to a disk, in these ways.
    On(String),
    /// It does not tell: managed servers forbid the question.
    Unknown,
}

/// Asks the server. Snapshots are told by `CONFIG` alone; the append-only file by `INFO` too, which
/// is allowed more often.
pub(crate) async fn ask(connection: &mut MultiplexedConnection) -> RedisResult<Persistence> {
    let save = setting(connection, "save").await?;
    let appendonly = match setting(connection, "appendonly").await? {
        Some(value) => Some(value),
        None => aof_enabled(connection).await?,
    };
    Ok(judge(save.as_deref(), appendonly.as_deref()))
}

fn judge(save: Option<&str>, appendonly: Option<&str>) -> Persistence {
    let mut ways = Vec::new();
    if let Some(rules) = save.filter(|rules| !rules.is_empty()) {
        ways.push(format!("save \"{rules}\""));
    }
    if let Some(value) = appendonly.filter(|value| *value != "no") {
        ways.push(format!("appendonly {value}"));
    }
    if !ways.is_empty() {
        Persistence::On(ways.join(", "))
    } else if save.is_some() && appendonly.is_some() {
        Persistence::Off
    } else {
        Persistence::Unknown
    }
}

/// A setting of the server; `None` where it may not be asked.
async fn setting(
    connection: &mut MultiplexedConnection,
    name: &str,
) -> RedisResult<Option<String>> {
    let answer: RedisResult<HashMap<String, String>> = cmd("CONFIG")
        .arg("GET")
        .arg(name)
        .query_async(connection)
        .await;
    match answer {
        Ok(mut found) => Ok(found.remove(name)),
        Err(error) if is_a_refusal(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn aof_enabled(connection: &mut MultiplexedConnection) -> RedisResult<Option<String>> {
    let answer: RedisResult<String> = cmd("INFO").arg("persistence").query_async(connection).await;
    match answer {
        Ok(text) if text.contains("aof_enabled:1") => Ok(Some("yes".to_owned())),
        Ok(text) if text.contains("aof_enabled:0") => Ok(Some("no".to_owned())),
        Ok(_) => Ok(None),
        Err(error) if is_a_refusal(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_a_refusal(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_that_says_so_keeps_all_in_memory() {
        let on = |ways: &str| Persistence::On(ways.to_owned());
        for (save, appendonly, expected) in [
            (Some(""), Some("no"), Persistence::Off),
            (Some("3600 1"), Some("no"), on("save \"3600 1\"")),
            (Some(""), Some("yes"), on("appendonly yes")),
            (
                Some("60 1"),
                Some("yes"),
                on("save \"60 1\", appendonly yes"),
            ),
            (None, Some("no"), Persistence::Unknown),
            (None, Some("yes"), on("appendonly yes")),
            (Some(""), None, Persistence::Unknown),
            (None, None, Persistence::Unknown),
        ] {
            assert_eq!(judge(save, appendonly), expected, "{save:?} {appendonly:?}");
        }
    }
}
