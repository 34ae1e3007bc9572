//! Where log events go.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;

use crate::settings::Settings;

/// Starts logging to standard error. Statements and wire bytes of the libraries below could hold what
/// people said, so they stay silent at every level, whatever the filter says.
pub fn start(settings: &Settings) -> Result<()> {
    let mut filter = EnvFilter::try_new(&settings.log_level).with_context(|| {
        format!(
            "LOG_LEVEL: '{}' is no level and no filter",
            settings.log_level
        )
    })?;
    for quiet in [
        "sqlx",
        "sea_orm",
        "sea_orm_migration",
        "hyper",
        "hyper_util",
        "h2",
        "reqwest",
        "rustls",
        "actix_http",
        "actix_server",
        "tokenizers",
    ] {
        filter = filter.add_directive(format!("{quiet}=warn").parse()?);
    }
    filter = filter.add_directive("sqlx::query=off".parse()?);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = if settings.log_json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
    started.map_err(|error| anyhow::anyhow!("logging cannot start: {error}"))?;
    std::panic::set_hook(Box::new(|panic| {
        // The message could quote what people said; the place says enough.
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(place, "a fault of this program");
    }));
    Ok(())
}
