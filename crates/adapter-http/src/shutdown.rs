//! Letting go of clients before the process ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::http::StatusCode;

use crate::Problem;

/// Tells the server that it is about to stop: `/readyz` says no and new turns are refused, while
/// everything under way goes on. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Drain(Arc<AtomicBool>);

impl Drain {
    /// From now on. There is no way back.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Has it begun?
    pub fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Refuses new long work, such as a turn, once it has begun.
    pub(crate) fn refuse_new_work(&self) -> Result<(), Problem> {
        if !self.has_begun() {
            return Ok(());
        }
        let detail = "The service is restarting. Try again in a moment.";
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", detail);
        Err(problem.retry_after(Duration::from_secs(2)))
    }
}
