//! Time and ids that a test decides.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::clock::{Clock, IdGenerator};
use time::OffsetDateTime;
use uuid::Uuid;

use super::lock;
use crate::fixtures::{at, nth_id};

/// A clock that moves only when it is told to.
pub struct FixedClock(Mutex<OffsetDateTime>);

impl FixedClock {
    /// A clock that shows this moment.
    pub fn new(now: OffsetDateTime) -> Self {
        Self(Mutex::new(now))
    }

    /// Shows another moment from now on.
    pub fn set(&self, now: OffsetDateTime) {
        *lock(&self.0) = now;
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        *lock(&self.0) += by;
    }
}

impl Default for FixedClock {
    /// The start of the test world, `fixtures::at(0)`.
    fn default() -> Self {
        Self::new(at(0))
    }
}

impl Clock for FixedClock {
    fn now(&self) -> OffsetDateTime {
        *lock(&self.0)
    }
}

/// Ids in their order, the same in every run: `fixtures::nth_id(1)`, then the second, and so on.
#[derive(Default)]
pub struct SequentialIds(AtomicU64);

impl IdGenerator for SequentialIds {
    fn next(&self) -> Uuid {
        nth_id(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}
