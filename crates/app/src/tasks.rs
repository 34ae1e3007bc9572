//! Tasks that outlive the request that started them.

use adapter_http::TaskSpawner;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Runs tasks on the main runtime and can wait for all of them: a turn that was begun is finished even
/// when its client, or the server's worker thread, is gone.
#[derive(Clone)]
pub struct Tasks {
    runtime: Handle,
    tracker: TaskTracker,
}

impl Tasks {
    /// Tasks on this runtime.
    pub fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            tracker: TaskTracker::new(),
        }
    }

    /// Waits until all tasks have ended.
    pub async fn finish(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

impl TaskSpawner for Tasks {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.tracker.spawn_on(task, &self.runtime);
    }
}
