//! The adapter keeps the contracts of its ports, on a real Redis.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use adapter_redis::{RedisConfig, RedisLimiter, RedisServer, RedisTranscripts};
use domain::limits::RateLimiter;
use redis::{Client, Script};
use testkit::contract::transcript_cache::{LIMITS, TranscriptHarness};
use testkit::contract::{rate_limiter, transcript_cache};
use testkit::fakes::FixedClock;
use testkit::redis_server::{Redis, fresh_prefix};

/// Makes every key of a case older: what has no time left is gone, and what is sorted by time moves.
const AGE: &str = "\
    local by = tonumber(ARGV[2]) \
    for _, key in ipairs(redis.call('KEYS', ARGV[1])) do \
      local left = redis.call('PTTL', key) \
      assert(left > 0, 'a key that lives for ever: ' .. key) \
      if left <= by then redis.call('DEL', key) else \
        redis.call('PEXPIRE', key, left - by) \
        if redis.call('TYPE', key).ok == 'zset' then \
          for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do \
            redis.call('ZINCRBY', key, -1000 * by, member) \
          end \
        end \
      end \
    end";

fn server(url: &str, prefix: &str) -> Arc<RedisServer> {
    let config = RedisConfig {
        prefix: prefix.to_owned(),
        ..RedisConfig::new(url)
    };
    Arc::new(RedisServer::new(&config).unwrap())
}

async fn age(url: String, prefix: String, by: Duration) {
    let client = Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let script = Script::new(AGE);
    let mut call = script.arg(format!("{prefix}:*"));
    call.arg(u64::try_from(by.as_millis()).unwrap());
    call.invoke_async::<()>(&mut connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_on_redis_are_a_transcript_cache() {
    let Some((url, _redis)) = Redis::shared() else {
        return;
    };
    transcript_cache::check(|| async {
        let prefix = fresh_prefix();
        let clock = Arc::new(FixedClock::default());
        let cache = RedisTranscripts::new(server(&url, &prefix), clock, LIMITS);
        let url = url.clone();
        TranscriptHarness {
            cache: Arc::new(cache),
            pass: Box::new(move |time| Box::pin(age(url.clone(), prefix.clone(), time))),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_on_redis_are_a_rate_limiter() {
    let Some((url, _redis)) = Redis::shared() else {
        return;
    };
    rate_limiter::check(|| async {
        let server = server(&url, &fresh_prefix());
        Arc::new(RedisLimiter::new(server, &[7; 64])) as Arc<dyn RateLimiter>
    })
    .await;
}
