//! Calls that all replicas count together.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::limits::{Budget, Counted, LimiterUnavailable, RateLimiter, Taken};
use hmac::{Hmac, KeyInit, Mac};
use redis::Script;
use sha2::Sha256;

use crate::server::{RedisFailure, RedisServer};

/// [`RateLimiter`] of all replicas on one Redis.
pub struct RedisLimiter {
    server: Arc<RedisServer>,
    /// Hashes who is counted, so that no address and no account lies in Redis.
    hasher: Hmac<Sha256>,
    take: Script,
    agree: Script,
}

/// How long a replica's mark stays without another look.
const MARK: Duration = Duration::from_mins(3);

impl RedisLimiter {
    /// Counts on this server. All replicas must have the same `key`, or they count apart.
    pub fn new(server: Arc<RedisServer>, key: &[u8; 64]) -> Self {
        // The size of the block, so that it is taken as it is.
        let hasher = Hmac::new(key.into());
        Self {
            server,
            hasher,
            take: Script::new(include_str!("scripts/take.lua")),
            agree: Script::new(include_str!("scripts/agree.lua")),
        }
    }

    /// Do the replicas that came first have the same key? Those with another count apart. Each call
    /// holds for three minutes, so ask again before that.
    pub async fn agrees(&self) -> Result<bool, RedisFailure> {
        let mut call = self.agree.prepare_invoke();
        call.key(self.server.key("mark"))
            .arg(self.hash("mark"))
            .arg(u64::try_from(MARK.as_millis()).unwrap_or(u64::MAX));
        self.server.run(&call).await
    }

    fn bucket(&self, counted: &Counted) -> String {
        let hash = self.hash(&counted.bucket());
        self.server.key(format_args!("calls:{hash}"))
    }

    fn hash(&self, text: &str) -> String {
        let hash = self.hasher.clone().chain_update(text).finalize();
        hex::encode(&hash.into_bytes()[..16])
    }
}

#[async_trait]
impl RateLimiter for RedisLimiter {
    async fn take(
        &self,
        counted: &Counted,
        per_minute: NonZeroU32,
    ) -> Result<Taken, LimiterUnavailable> {
        let mut call = self.take.prepare_invoke();
        call.key(self.bucket(counted)).arg(per_minute.get());
        let answer = self.server.run(&call).await;
        let (granted, left, micros): (bool, u32, u64) =
            answer.map_err(|failure| LimiterUnavailable(failure.into()))?;
        let budget = Budget {
            quota: per_minute.get(),
            left,
            reset: Duration::from_micros(micros),
        };
        Ok(if granted {
            Taken::Granted(budget)
        } else {
            Taken::Spent(budget)
        })
    }
}
