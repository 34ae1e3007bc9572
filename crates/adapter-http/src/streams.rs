//! How many answers are being streamed, to whom.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::StatusCode;
use domain::ids::UserId;
use futures::{Stream, StreamExt};
use prometheus::IntGauge;

use crate::Problem;

/// Counts open streams. Clones share the counts.
#[derive(Clone)]
pub(crate) struct Streams {
    per_user: usize,
    open: Arc<Mutex<HashMap<UserId, usize>>>,
    gauge: IntGauge,
}

/// A place among the open streams; dropping it gives the place back.
pub(crate) struct StreamPlace {
    user: UserId,
    streams: Streams,
}

impl Streams {
    /// At most `per_user` at once for one user; `gauge` shows them all.
    pub(crate) fn new(per_user: usize, gauge: IntGauge) -> Self {
        Self {
            per_user,
            open: Arc::default(),
            gauge,
        }
    }

    /// Takes a place, or says 429.
    pub(crate) fn open(&self, user: UserId) -> Result<StreamPlace, Problem> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(user).or_default();
        if *count >= self.per_user {
            let detail = "Too many answers are being streamed to this user. Wait for one to end.";
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", detail);
            return Err(problem.retry_after(Duration::from_secs(5)));
        }
        *count += 1;
        self.gauge.inc();
        Ok(StreamPlace {
            user,
            streams: self.clone(),
        })
    }
}

impl StreamPlace {
    /// Keeps the place for as long as the stream lives.
    pub(crate) fn hold<S: Stream>(self, stream: S) -> impl Stream<Item = S::Item> {
        stream.map(move |item| {
            let _held = &self;
            item
        })
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut open = self
            .streams
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.user);
            }
        }
        self.streams.gauge.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_back_when_its_stream_is_dropped() {
        let gauge = IntGauge::new("open", "open").expect("a gauge");
        let streams = Streams::new(1, gauge.clone());
        let (ada, bob) = (user(1), user(2));
        let held = streams
            .open(ada)
            .expect("a place")
            .hold(futures::stream::pending::<()>());
        assert_eq!(
            streams.open(ada).err().map(|problem| problem.code()),
            Some("too_many_streams")
        );
        assert!(streams.open(bob).is_ok(), "another user is not concerned");
        assert_eq!(gauge.get(), 1);
        drop(held);
        assert_eq!(gauge.get(), 0);
        assert!(streams.open(ada).is_ok());
    }

    fn user(n: u128) -> UserId {
        UserId::new(uuid::Uuid::from_u128(n))
    }
}
