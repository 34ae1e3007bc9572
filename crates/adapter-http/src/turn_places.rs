//! How many turns one process answers at once, whoever asks.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Problem;

/// The places for turns. Who finds none is told at once: a queue would only make everybody late.
pub(crate) struct TurnPlaces {
    free: Arc<Semaphore>,
    gauge: IntGauge,
}

/// A place for one turn; dropping it gives the place back.
pub(crate) struct TurnPlace {
    _permit: OwnedSemaphorePermit,
    gauge: IntGauge,
}

impl TurnPlaces {
    /// At most `most` at once; `gauge` shows how many there are.
    pub(crate) fn new(most: usize, gauge: IntGauge) -> Self {
        let free = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Self { free, gauge }
    }

    /// Takes a place, or says 503.
    pub(crate) fn take(&self) -> Result<TurnPlace, Problem> {
        let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() else {
            let detail = "The service answers as many questions as it can. Try again in a moment.";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail);
            return Err(problem.retry_after(Duration::from_secs(5)));
        };
        self.gauge.inc();
        Ok(TurnPlace {
            _permit: permit,
            gauge: self.gauge.clone(),
        })
    }
}

impl Drop for TurnPlace {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_back_when_it_is_dropped() {
        let gauge = IntGauge::new("running", "running").expect("a gauge");
        let places = TurnPlaces::new(1, gauge.clone());
        let held = places.take().expect("a place");
        assert_eq!(gauge.get(), 1);
        let refused = places.take().err().map(|problem| problem.code());
        assert_eq!(refused, Some("overloaded"));
        drop(held);
        assert_eq!(gauge.get(), 0);
        assert!(places.take().is_ok());
    }
}
