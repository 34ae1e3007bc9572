//! How a process ends: what runs may come to its end, is then cut off, and then the process ends anyhow.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::signals::signalled;

/// How long what was cut off may take to store what there is of it.
const LAST_WORDS: Duration = Duration::from_secs(4);

/// Tells those who work that the process is to end. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    begun: CancellationToken,
    cut: CancellationToken,
}

impl Stop {
    /// Has it begun? Nothing new is to be started then.
    pub fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Resolves when it begins.
    pub async fn begun(&self) {
        self.begun.cancelled().await;
    }

    /// Resolves when what still runs is cut off.
    pub async fn cut(&self) {
        self.cut.cancelled().await;
    }

    /// Begins the end. What runs has `patience` to come to its end by itself, is cut off then, and after
    /// a few seconds more it is left alone. An error at a second signal, at once.
    pub async fn wind_down(
        &self,
        patience: Duration,
        running: impl Future<Output = ()>,
    ) -> Result<()> {
        self.begun.cancel();
        let quietly = async {
            let mut running = std::pin::pin!(running);
            if tokio::time::timeout(patience, &mut running).await.is_ok() {
                return;
            }
            info!("what still runs is cut off");
            self.cut.cancel();
            if tokio::time::timeout(LAST_WORDS, running).await.is_err() {
                warn!(
                    "something still runs; its answers will be marked as interrupted, its jobs done later"
                );
            }
        };
        tokio::select! {
            () = quietly => Ok(()),
            signal = signalled() => bail!("ended at once by {signal}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// How long it takes to end with this running.
    async fn ends_after(stop: &Stop, running: impl Future<Output = ()>) -> Duration {
        let begun = Instant::now();
        let ended = stop.wind_down(PATIENCE, running).await;
        ended.expect("it ends well");
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_by_itself_is_waited_for_and_not_cut_off() {
        let stop = Stop::default();
        let short = Duration::from_secs(3);
        let took = ends_after(&stop, tokio::time::sleep(short)).await;
        assert!(short <= took && took < PATIENCE, "{took:?}");
        assert!(stop.has_begun() && !stop.cut.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_cut_off_and_has_its_last_words() {
        let (stop, told) = (Stop::default(), Cell::new(false));
        let running = async {
            stop.cut().await;
            told.set(true);
        };
        let took = ends_after(&stop, running).await;
        assert!(PATIENCE <= took && took < PATIENCE + LAST_WORDS, "{took:?}");
        assert!(told.get());
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_listen_is_left_alone() {
        let took = ends_after(&Stop::default(), pending()).await;
        let most = PATIENCE + LAST_WORDS + Duration::from_secs(1);
        assert!(took < most, "{took:?}");
    }
}
