//! Waiting for what happens in the background. What never comes fails the test, and does not hang it.

use std::process::Child;
use std::time::{Duration, Instant};

/// Much longer than anything takes that comes at all.
const NEVER: Duration = Duration::from_mins(1);

/// Waits until something is so.
pub(crate) async fn until(awaited: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < NEVER, "waited in vain: {awaited}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits for the end of a process; tells whether it ended well.
#[track_caller]
pub(crate) fn ends_well(child: &mut Child) -> bool {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("state") {
            return status.success();
        }
        if begun.elapsed() > NEVER {
            let _ = child.kill();
            panic!("the process does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
