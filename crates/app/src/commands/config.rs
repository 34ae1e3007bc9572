//! `memorychat config check`.

use anyhow::Result;

use crate::say;
use crate::settings::Settings;

/// The settings were checked when they were read; a mistake has ended the program before this.
#[expect(clippy::unnecessary_wraps, reason = "every command answers alike")]
pub(super) fn check(settings: &Settings) -> Result<()> {
    say(&settings.report());
    say("The settings are good.");
    Ok(())
}
