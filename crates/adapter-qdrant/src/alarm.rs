//! Points that name another owner than they should.

use std::sync::atomic::{AtomicU64, Ordering};

use domain::ids::MemoryId;
use domain::privacy::MemoryScope;

/// Counts them.
#[derive(Default)]
pub(crate) struct Alarm(AtomicU64);

impl Alarm {
    /// A point names another owner than it should: it is not used, and somebody should look.
    pub(crate) fn raise(&self, memory: Option<MemoryId>, scope: Option<MemoryScope>) {
        self.0.fetch_add(1, Ordering::Relaxed);
        let memory = memory.map(|memory| memory.to_string());
        let user = scope.map(|scope| scope.user.to_string());
        tracing::error!(
            memory,
            user,
            "a point of the memory index names another owner than it should; it is not used"
        );
    }

    /// How often it was raised.
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
