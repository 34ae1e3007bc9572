//! Work that outlives the request that began it.

use futures::future::BoxFuture;

/// Runs futures to their end, whatever becomes of the server's threads.
///
/// A task spawned on a server thread dies with that thread; an answer that must be stored although
/// its reader has hung up may not. `app` implements this on its own runtime and waits for the tasks
/// when it shuts down.
pub trait TaskSpawner: Send + Sync {
    /// Starts the task at once and does not wait for it.
    fn spawn(&self, task: BoxFuture<'static, ()>);
}
