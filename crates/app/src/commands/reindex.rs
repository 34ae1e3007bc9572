//! `memorychat reindex`.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use crate::database;
use crate::settings::Settings;
use crate::wiring::Parts;
use crate::{models, say};

pub(super) async fn run(settings: &Settings) -> Result<()> {
    let store = database::open_unhurried(settings).await?;
    let parts = Parts::new(settings, store, models::choose(settings).await?)?;
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{spinner} {elapsed} {msg}")?);
    let shown = bar.clone();
    let report = parts
        .reindexer()
        .rebuild(move |report| {
            shown.set_message(format!(
                "{} memories of {} profiles",
                report.memories, report.profiles
            ));
            shown.tick();
        })
        .await?;
    bar.finish_and_clear();
    say(&format!(
        "{} memories of {} profiles are indexed, with {}",
        report.memories, report.profiles, parts.models.embedding_line
    ));
    Ok(parts.store.close().await?)
}
