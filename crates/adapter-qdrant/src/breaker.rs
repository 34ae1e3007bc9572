//! A circuit breaker: a server that does not answer is left alone for a while.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row after which calls are refused at once.
const PATIENCE: u32 = 3;

/// How long calls are refused before one of them is let through to look.
const REST: Duration = Duration::from_secs(5);

/// Counts failures in a row. Its clock is the runtime's monotonic one, which tests can stop.
#[derive(Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    failures: u32,
    closed_again: Option<Instant>,
}

impl Breaker {
    /// May a call be made? After the rest, one call is let through; if nothing is heard of it, another
    /// one after the next rest.
    pub(crate) fn admits(&self) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        match state.closed_again {
            None => true,
            Some(then) if now < then => false,
            Some(_) => {
                state.closed_again = Some(now + REST);
                true
            }
        }
    }

    /// The server answered.
    pub(crate) fn answered(&self) {
        *self.state() = State::default();
    }

    /// The server did not answer.
    pub(crate) fn failed(&self) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        if state.failures >= PATIENCE {
            state.closed_again = Some(Instant::now() + REST);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken() -> Breaker {
        let breaker = Breaker::default();
        for _ in 0..PATIENCE {
            assert!(breaker.admits());
            breaker.failed();
        }
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_failures_in_a_row_open_it() {
        assert!(!broken().admits());
        let breaker = Breaker::default();
        for _ in 0..10 {
            breaker.failed();
            breaker.failed();
            breaker.answered();
        }
        assert!(breaker.admits(), "they were not in a row");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_rest_one_call_looks() {
        let breaker = broken();
        tokio::time::advance(REST).await;
        assert!(breaker.admits());
        assert!(!breaker.admits(), "one at a time");
        breaker.failed();
        assert!(!breaker.admits());
        tokio::time::advance(REST).await;
        assert!(breaker.admits());
        breaker.answered();
        assert!(breaker.admits() && breaker.admits());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_of_which_nothing_is_heard_does_not_block_for_ever() {
        let breaker = broken();
        tokio::time::advance(REST).await;
        assert!(breaker.admits());
        tokio::time::advance(REST).await;
        assert!(breaker.admits());
    }
}
