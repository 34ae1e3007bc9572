//! Where log events go.

use std::io::IsTerminal;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::settings::Settings;

/// Lines that may wait for the reader of the log: some megabytes.
const WAITING: usize = 16 * 1024;

/// Counts what could not be logged.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// Lines that were not logged, because whoever reads the log did not keep up.
pub fn dropped_lines() -> usize {
    DROPPED.get().map_or(0, ErrorCounter::dropped_lines)
}

/// Starts logging to standard error, by a thread of its own: a reader that is stuck stops no request, and
/// what does not fit is dropped and counted. The rest is written when the guard is dropped.
///
/// Statements and wire bytes of the libraries below could hold what people said, so they stay silent at
/// every level, whatever the filter says.
pub fn start(settings: &Settings) -> Result<WorkerGuard> {
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
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING)
        .finish(std::io::stderr());
    DROPPED.get_or_init(|| writer.error_counter());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(writer);
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
    Ok(guard)
}
