//! `memorychat worker`.

use std::sync::Arc;

use anyhow::Result;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::database::{self, Schema};
use crate::settings::Settings;
use crate::wiring::Parts;
use crate::{index, models, say, signals, worker};

pub(super) async fn run(settings: &Settings) -> Result<()> {
    let store = database::open(settings, Schema::Check).await?;
    let parts = Arc::new(Parts::new(
        settings,
        store,
        models::choose(settings).await?,
    )?);
    index::adopt(&parts).await?;
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
    if let Some(every) = settings.compare_every {
        workers.spawn(worker::compare(Arc::clone(&parts), every, stop.clone()));
    }
    signals::signalled().await;
    stop.cancel();
    while workers.join_next().await.is_some() {}
    Ok(parts.store.close().await?)
}
