//! The `memorychat` binary.

use std::io::Write;
use std::process::ExitCode;

use adapter_local::CANDLE_THREADS;
use clap::Parser;
use memorychat::cli::{Cli, Command};
use memorychat::settings::Settings;
use memorychat::{commands, telemetry};

fn main() -> ExitCode {
    let cli = Cli::parse();
    prepare_kernels();
    let settings = match Settings::load(cli.config.as_deref()) {
        Ok(settings) => settings,
        Err(mistakes) => return fail(&mistakes.join("\n")),
    };
    let _log = match telemetry::start(&settings) {
        Ok(log) => log,
        Err(error) => return fail(&format!("{error:#}")),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the runtime cannot start: {error}")),
    };
    let command = cli.command.unwrap_or(Command::Serve);
    let ended = runtime.block_on(commands::run(command, settings));
    // What still runs has had its time: it does not hold up the end.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}")),
    }
}

/// The local models' arithmetic reads one environment variable. What the user set wins; it must be
/// there before the first thread is.
fn prepare_kernels() {
    let (name, value) = CANDLE_THREADS;
    let _ = dotenvy::from_read(format!("{name}={value}\n").as_bytes());
}

/// One plain line per failure.
fn fail(text: &str) -> ExitCode {
    let mut out = std::io::stderr().lock();
    for line in text.lines() {
        let _ = writeln!(out, "memorychat: {line}");
    }
    ExitCode::FAILURE
}
