//! One call for many who ask the same at the same time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

/// Calls under way, by what they ask. A call that everybody stopped waiting for is taken up again by
/// the next who asks: whoever hangs up cannot undo it.
pub(super) struct Flights<K, T> {
    open: Mutex<HashMap<K, Shared<BoxFuture<'static, T>>>>,
}

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self {
            open: Mutex::default(),
        }
    }
}

impl<K: Hash + Eq + Clone, T: Clone + Send + Sync + 'static> Flights<K, T> {
    /// When there are more, those that nobody waits for are forgotten.
    const MANY: usize = 1024;

    /// What the call for `key` brings; it is started only when none is under way.
    pub(super) async fn join(&self, key: K, start: impl FnOnce() -> BoxFuture<'static, T>) -> T {
        let flight = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            if open.len() > Self::MANY {
                open.retain(|_, flight| flight.strong_count().is_some_and(|waiting| waiting > 1));
            }
            let flight = open.entry(key.clone());
            flight.or_insert_with(|| start().shared()).clone()
        };
        let brought = flight.clone().await;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.get(&key).is_some_and(|other| other.ptr_eq(&flight)) {
            open.remove(&key);
        }
        brought
    }
}
