//! How a pull shows what it does.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Is told what a pull does. Steps come one after the other.
pub trait Progress: Send + Sync {
    /// A step begins: in words, and its bytes where they are known.
    fn begin(&self, step: &str, bytes: Option<u64>);
    /// So many bytes more are done.
    fn advance(&self, bytes: u64);
    /// The step is over, well or not.
    fn end(&self);
}

/// Shows nothing.
impl Progress for () {
    fn begin(&self, _step: &str, _bytes: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn end(&self) {}
}

/// A progress bar on the terminal's error output; silent where that is not a terminal.
#[derive(Debug, Default)]
pub struct TerminalProgress {
    bar: Mutex<Option<ProgressBar>>,
}

impl TerminalProgress {
    /// A bar that shows itself with the first step.
    pub fn new() -> Self {
        Self::default()
    }

    fn bar(&self) -> MutexGuard<'_, Option<ProgressBar>> {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for TerminalProgress {
    fn begin(&self, step: &str, bytes: Option<u64>) {
        let bar = match bytes {
            Some(bytes) => ProgressBar::new(bytes).with_style(style(
                "{msg} {bar:24} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            )),
            None => ProgressBar::new_spinner().with_style(style("{spinner} {msg} {elapsed}")),
        };
        bar.set_message(step.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        *self.bar() = Some(bar);
    }

    fn advance(&self, bytes: u64) {
        if let Some(bar) = self.bar().as_ref() {
            bar.inc(bytes);
        }
    }

    fn end(&self) {
        if let Some(bar) = self.bar().take() {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
