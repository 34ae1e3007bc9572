//! `memorychat jobs`: those that were given up.

use adapter_sql::SqlStore;
use anyhow::Result;
use domain::clock::Clock;
use domain::jobs::JobQueue;

use crate::cli::JobsCommand;
use crate::database::{self, Schema};
use crate::say;
use crate::settings::Settings;
use crate::system::SystemClock;

/// So many are listed at most.
const LISTED: u32 = 1000;

pub(super) async fn run(settings: &Settings, command: JobsCommand) -> Result<()> {
    let store = database::open(settings, Schema::Check).await?;
    match command {
        JobsCommand::List => {
            say(&format!("{} given up", store.depth().await?.dead));
            show_dead(&store, LISTED).await?;
        }
        JobsCommand::Retry { which } => {
            let count = store.revive(which, SystemClock.now()).await?;
            say(&format!("{count} jobs are tried again"));
        }
        JobsCommand::Drop { which } => {
            let count = store.forget(which).await?;
            say(&format!("{count} jobs are forgotten"));
        }
    }
    Ok(store.close().await?)
}

/// One line for each job that was given up, newest first.
pub(super) async fn show_dead(store: &SqlStore, limit: u32) -> Result<()> {
    for report in store.dead(limit).await? {
        let job = report.job;
        say(&format!(
            "      {} {} of user {} after {} tries: {}",
            job.id,
            job.kind.name().as_str(),
            job.user,
            report.attempts,
            report.last_error.unwrap_or_default()
        ));
    }
    Ok(())
}
