//! `memorychat openapi`.

use anyhow::Result;

use crate::say;

pub(super) fn print() -> Result<()> {
    say(&adapter_http::openapi().to_pretty_json()?);
    Ok(())
}
