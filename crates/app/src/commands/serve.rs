//! `memorychat serve`.

use anyhow::Result;

use crate::say;
use crate::serve::Application;
use crate::settings::Settings;

pub(super) async fn run(settings: &Settings) -> Result<()> {
    let application = Application::build(settings).await?;
    say(&application.banner(settings));
    application.run().await
}
