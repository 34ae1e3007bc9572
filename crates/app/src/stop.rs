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
