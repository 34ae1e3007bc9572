//! One turn at a time per session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError, Weak};

use futures::lock::{Mutex, OwnedMutexGuard};

use super::ChatError;
use crate::ids::SessionId;

/// So many turns of a session wait behind the one that runs.
const WAITING: usize = 8;

/// Lets the turns of a session follow each other, so that each sees the answer before it. Other
/// processes are held off by the database: one answer per session is being written at a time.
#[derive(Default)]
pub(crate) struct SessionQueue {
    places: StdMutex<HashMap<SessionId, Weak<Mutex<()>>>>,
}

impl SessionQueue {
    /// Waits for the session's earlier turns. The place is held until the guard is dropped.
    /// [`ChatError::SessionBusy`] when too many wait already.
    pub(crate) async fn enter(&self, session: SessionId) -> Result<OwnedMutexGuard<()>, ChatError> {
        let place = self.place(session);
        // One for each that waits, for the one that runs, and for this one.
        if Arc::strong_count(&place) > WAITING + 1 {
            return Err(ChatError::SessionBusy);
        }
        Ok(place.lock_owned().await)
    }

    fn place(&self, session: SessionId) -> Arc<Mutex<()>> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(&session).and_then(Weak::upgrade) {
            return place;
        }
        if places.len() >= 1024 {
            places.retain(|_, place| place.strong_count() > 0);
        }
        let place = Arc::new(Mutex::new(()));
        places.insert(session, Arc::downgrade(&place));
        place
    }
}
