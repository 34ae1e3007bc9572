//! The real clock and the real ids: the only place that asks the system for them.

use std::sync::Arc;

use domain::clock::{Clock, IdGenerator};
use domain::jobs::WorkSignal;
use time::OffsetDateTime;
use tokio::sync::Notify;
use uuid::Uuid;

/// The system's clock, cut to the microseconds that databases keep.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everybody else is handed"
    )]
    fn now(&self) -> OffsetDateTime {
        let now = OffsetDateTime::now_utc();
        now.replace_microsecond(now.microsecond()).unwrap_or(now)
    }
}

/// Random ids that sort by time.
pub struct TimeOrderedIds;

impl IdGenerator for TimeOrderedIds {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the generator that everybody else is handed"
    )]
    fn next(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// Wakes the workers of this process.
#[derive(Clone, Default)]
pub struct Bell(Arc<Notify>);

impl Bell {
    /// Resolves at the next ring; a ring that nobody waited for is not lost.
    pub async fn rung(&self) {
        self.0.notified().await;
    }
}

impl WorkSignal for Bell {
    fn work_added(&self) {
        self.0.notify_one();
    }
}
