//! Where the time of a turn goes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A step of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// The question becomes a vector.
    Embed,
    /// The index is searched.
    Search,
    /// The hits are read again from the database.
    Reread,
    /// The question is stored, with the session and its history read; runs beside the recall.
    StoreQuestion,
    /// The answer is stored, with the work of learning.
    StoreAnswer,
}

/// Notes how long steps take.
#[derive(Debug, Default)]
pub(super) struct Stopwatch(Mutex<Vec<(Step, Duration)>>);

impl Stopwatch {
    /// Notes one step.
    pub(super) fn note(&self, step: Step, time: Duration) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((step, time));
    }

    /// What was noted since the last call.
    pub(super) fn take(&self) -> Vec<(Step, Duration)> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
