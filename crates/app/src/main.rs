//! The `memorychat` binary.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use memorychat::cli::{Cli, Command};
use memorychat::settings::Settings;
use memorychat::{commands, telemetry};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let settings = match Settings::load(cli.config.as_deref()) {
        Ok(settings) => settings,
        Err(mistakes) => return fail(&mistakes.join("\n")),
    };
    if let Err(error) = telemetry::start(&settings) {
        return fail(&format!("{error:#}"));
    }
    match commands::run(cli.command.unwrap_or(Command::Serve), settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}")),
    }
}

/// One plain line per failure.
fn fail(text: &str) -> ExitCode {
    let mut out = std::io::stderr().lock();
    for line in text.lines() {
        let _ = writeln!(out, "memorychat: {line}");
    }
    ExitCode::FAILURE
}
