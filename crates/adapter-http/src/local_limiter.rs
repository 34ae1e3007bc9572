//! Calls counted in this process.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use domain::limits::{Budget, Counted, LimiterUnavailable, RateLimiter, Taken};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::{DefaultKeyedRateLimiter, Quota};

/// Keys that nobody used lately are dropped after this many calls, so the tables stay bounded.
const SWEEP_EVERY: u32 = 4096;

/// [`RateLimiter`] of one process. It keeps hashes under a key of this process: no address and no
/// account.
#[derive(Default)]
pub struct LocalLimiter {
    hasher: RandomState,
    /// One table per quota; there are two quotas or three.
    tables: RwLock<HashMap<NonZeroU32, Arc<Table>>>,
}

struct Table {
    buckets: DefaultKeyedRateLimiter<u64, StateInformationMiddleware>,
    calls: AtomicU32,
}

impl LocalLimiter {
    /// Takes one call, without waiting for anything.
    pub(crate) fn count(&self, counted: &Counted, per_minute: NonZeroU32) -> Taken {
        let key = self.hasher.hash_one(counted);
        self.table(per_minute).take(key, per_minute.get())
    }

    fn table(&self, per_minute: NonZeroU32) -> Arc<Table> {
        let known = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = known.get(&per_minute) {
            return Arc::clone(table);
        }
        drop(known);
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        let table = tables
            .entry(per_minute)
            .or_insert_with(|| Arc::new(Table::new(per_minute)));
        Arc::clone(table)
    }
}

#[async_trait]
impl RateLimiter for LocalLimiter {
    async fn take(
        &self,
        counted: &Counted,
        per_minute: NonZeroU32,
    ) -> Result<Taken, LimiterUnavailable> {
        Ok(self.count(counted, per_minute))
    }
}

impl Table {
    fn new(per_minute: NonZeroU32) -> Self {
        let quota = Quota::per_minute(per_minute);
        Self {
            buckets: governor::RateLimiter::dashmap(quota).with_middleware(),
            calls: AtomicU32::new(0),
        }
    }

    fn take(&self, key: u64, quota: u32) -> Taken {
        if self.calls.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.buckets.retain_recent();
            self.buckets.shrink_to_fit();
        }
        match self.buckets.check_key(&key) {
            Ok(state) => {
                let left = state.remaining_burst_capacity();
                let reset = Duration::from_mins(1) * (quota - left.min(quota)) / quota;
                Taken::Granted(Budget { quota, left, reset })
            }
            Err(refusal) => Taken::Spent(Budget {
                quota,
                left: 0,
                reset: refusal.wait_time_from(DefaultClock::default().now()),
            }),
        }
    }
}
