//! `memorychat doctor`.

use anyhow::{Result, bail};
use domain::jobs::JobQueue;

use super::jobs::show_dead;
use crate::database::{self, Schema};
use crate::settings::Settings;
use crate::wiring::Parts;
use crate::{models, say};

pub(super) async fn run(settings: &Settings) -> Result<()> {
    let store = database::open(settings, Schema::Check).await?;
    let parts = Parts::new(settings, store, models::choose(settings).await?)?;
    let parts = parts.sharing(settings)?;
    let mut ill = 0;
    for probe in parts.probes(settings)? {
        match probe.check().await {
            Ok(found) => say(&format!("ok    {:<16} {found}", probe.name())),
            Err(ailment) => {
                ill += usize::from(probe.required());
                let mark = if probe.required() { "FAIL" } else { "warn" };
                say(&format!("{mark}  {:<16} {}", probe.name(), ailment.problem));
                say(&format!("      {:<16} -> {}", "", ailment.way_out));
            }
        }
    }
    jobs(&parts).await?;
    if ill > 0 {
        bail!("{ill} of the required parts are not well");
    }
    Ok(())
}

async fn jobs(parts: &Parts) -> Result<()> {
    let depth = parts.store.depth().await?;
    let mark = if depth.dead == 0 { "ok  " } else { "warn" };
    say(&format!(
        "{mark}  {:<16} {} waiting, {} given up",
        "jobs", depth.pending, depth.dead
    ));
    if depth.dead > 0 {
        let way_out =
            "when the cause is gone, `memorychat jobs retry all`; or `memorychat jobs drop all`";
        say(&format!("      {:<16} -> {way_out}", ""));
    }
    show_dead(&parts.store, 10).await
}
