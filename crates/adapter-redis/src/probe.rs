//! How Redis is.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use domain::health::{Ailment, Probe};
use redis::{RedisResult, cmd};

use crate::persistence::Persistence;
use crate::server::{RedisFailure, RedisServer};

/// Looks whether Redis answers and still keeps all in memory. Turns in the other modes go on without
/// it, so it is not required.
pub struct RedisProbe {
    server: Arc<RedisServer>,
}

impl RedisProbe {
    /// A probe of this server.
    pub fn new(server: Arc<RedisServer>) -> Self {
        Self { server }
    }
}

#[async_trait]
impl Probe for RedisProbe {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn required(&self) -> bool {
        false
    }

    async fn check(&self) -> Result<String, Ailment> {
        let looked = self.server.look().await;
        let (mut connection, persistence) = looked.map_err(|failure| ailment_of(&failure))?;
        let info: RedisResult<String> =
            cmd("INFO").arg("server").query_async(&mut connection).await;
        let info = info.unwrap_or_default();
        let version = info
            .lines()
            .find_map(|line| line.strip_prefix("redis_version:"))
            .unwrap_or("of an unknown version");
        let persistence = match persistence {
            Persistence::Off => "all in memory".to_owned(),
            Persistence::On(ways) => format!("writes to a disk ({ways}), as allowed"),
            Persistence::Unknown => "does not tell whether it writes to a disk".to_owned(),
        };
        Ok(format!(
            "Redis {version}, {persistence}; incognito and limits are shared by all replicas"
        ))
    }
}

fn ailment_of(failure: &RedisFailure) -> Ailment {
    let way_out = match failure {
        RedisFailure::Persists(_) => {
            "start Redis with `--save \"\" --appendonly no`, or set REDIS_ALLOW_PERSISTENCE=true"
        }
        RedisFailure::Address(_)
        | RedisFailure::Unreachable(_)
        | RedisFailure::Pausing
        | RedisFailure::Refused(_) => "look at REDIS_URL and at Redis' own log",
    };
    Ailment {
        problem: format!(
            "{}; incognito is refused and limits hold per replica",
            short(failure)
        ),
        way_out: way_out.to_owned(),
    }
}

fn short(failure: &RedisFailure) -> String {
    match failure {
        RedisFailure::Persists(ways) => format!("Redis writes to a disk ({ways})"),
        other => match other.source() {
            Some(cause) => format!("{other}: {cause}"),
            None => other.to_string(),
        },
    }
}
