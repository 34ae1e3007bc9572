//! `memorychat migrate`.

use anyhow::Result;

use crate::database::{self, Schema};
use crate::say;
use crate::settings::Settings;

pub(super) async fn migrate(settings: &Settings) -> Result<()> {
    let store = database::open(settings, Schema::Migrate).await?;
    say(&format!("{}: the schema is up to date", store.engine()));
    Ok(store.close().await?)
}
