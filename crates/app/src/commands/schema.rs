//! `memorychat migrate`.

use anyhow::Result;

use crate::database;
use crate::say;
use crate::settings::Settings;

pub(super) async fn migrate(settings: &Settings) -> Result<()> {
    let store = database::migrate(settings).await?;
    say(&format!("{}: the schema is up to date", store.engine()));
    Ok(store.close().await?)
}
