//! `memorychat worker`.

use anyhow::{Result, bail};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::database::{self, Schema};
use crate::settings::Settings;
use crate::wiring::Parts;
use crate::{models, say, worker};

pub(super) async fn run(settings: &Settings) -> Result<()> {
    let store = database::open(settings, Schema::Check).await?;
    let parts = Parts::new(store, models::choose(settings).await?);
    if let Err(error) = parts.reindexer().adopt().await {
        bail!("{error}; run `memorychat reindex`");
    }
    let count = settings.workers.max(1);
    say(&format!(
        "{count} workers wait for jobs; stop them with Ctrl-C"
    ));
    let stop = CancellationToken::new();
    let mut workers = JoinSet::new();
    for _ in 0..count {
        workers.spawn(worker::run(
            parts.runner(settings),
            parts.bell.clone(),
            stop.clone(),
        ));
    }
    crate::serve::signalled().await;
    stop.cancel();
    while workers.join_next().await.is_some() {}
    Ok(parts.store.close().await?)
}
