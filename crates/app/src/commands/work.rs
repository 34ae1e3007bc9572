//! `memorychat worker`.

use std::sync::Arc;

use anyhow::Result;
use tracing::info;

use crate::database::{self, Schema};
use crate::settings::Settings;
use crate::stop::Stop;
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
    let stop = Stop::default();
    let mut workers = worker::spawn(&parts, settings, count, &stop);
    let signal = signals::signalled().await;
    info!(signal, "shutting down; a second signal ends it at once");
    let running = async { while workers.join_next().await.is_some() {} };
    stop.wind_down(settings.drain, running).await?;
    database::close(&parts.store).await;
    Ok(())
}
