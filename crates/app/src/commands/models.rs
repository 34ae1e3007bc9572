//! `memorychat models pull` and `memorychat models list`.

use adapter_local::{ModelId, Models};
use anyhow::{Result, bail};

use crate::settings::Settings;
use crate::{models, say};

pub(super) async fn pull(settings: &Settings) -> Result<()> {
    let failures = models::pull(settings, &ModelId::ALL).await;
    if !failures.is_empty() {
        bail!("{}", failures.join("\n"));
    }
    list(settings)
}

#[expect(clippy::unnecessary_wraps, reason = "every command answers alike")]
pub(super) fn list(settings: &Settings) -> Result<()> {
    let folder = &settings.local.models_dir;
    say(&format!("in {}:", folder.display()));
    for model in Models::new(folder).list() {
        let state = if model.present {
            "present"
        } else {
            "missing; run `memorychat models pull`"
        };
        let megabytes = model.bytes / 1_000_000;
        say(&format!(
            "  {:<24} {:>4} MB  {:<12} {}  {state}",
            model.name, megabytes, model.licence, model.purpose
        ));
    }
    Ok(())
}
