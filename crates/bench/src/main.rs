//! Benchmarks of MemoryChat: `cargo run --release -p bench`.
//!
//! - `steps` times one turn in this process, step by step, over the real adapters, at growing numbers
//!   of memories.
//! - `http` measures the real server, as a child process, from one to many clients, beside a bare
//!   pass-through of the same upstream, on SQLite and, where its binaries are, on Postgres.
//! - `lists` seeds both with a million messages and times the lists of the REST API.
//!
//! Everything is measured in interleaved rounds, so that a busy neighbour hits all of it alike, and
//! reported as medians; ratios are taken within a round. Nothing here is a test: no figure can fail
//! the gate.
//!
//! # To add a step
//! Name it in `steps/watch.rs`, note it in the decorator of its port in `steps/timed.rs`, and give it a
//! row in `steps/report.rs`.

mod http;
mod machine;
mod stats;
mod steps;
mod table;
mod texts;

use std::path::PathBuf;

use adapter_local::{CANDLE_THREADS, ModelId, Models};
use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};

/// Time per turn by step, turns per second, memory.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Args {
    /// Small numbers, to see that it runs; the figures mean little.
    #[arg(long, global = true)]
    quick: bool,
    /// Folder of the local models [default: MEMORYCHAT_MODELS_DIR, else the one of the tests].
    #[arg(long, global = true, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Measure only this.
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Time per turn, by step, at growing numbers of memories.
    Steps,
    /// Turns per second, latency, CPU and memory of the server.
    Http,
    /// Time of the lists, in an installation of a thousand users and a million messages.
    Lists,
    /// The server, as a child process of `http`.
    #[command(hide = true)]
    Serve,
    /// The pass-through, as a child process of `http`.
    #[command(hide = true)]
    Relay { upstream: String },
}

fn main() -> Result<()> {
    let args = Args::parse();
    // As `memorychat` does it: before the first thread is there.
    let (name, value) = CANDLE_THREADS;
    dotenvy::from_read(format!("{name}={value}\n").as_bytes())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(args))
}

async fn run(args: Args) -> Result<()> {
    match args.part {
        Some(Part::Serve) => return http::serve().await,
        Some(Part::Relay { upstream }) => return http::relay(upstream).await,
        Some(Part::Steps | Part::Http | Part::Lists) | None => {}
    }
    let models = weights(args.models)?;
    println!("{}\n", machine::line());
    if matches!(args.part, None | Some(Part::Steps)) {
        steps::run(&models, args.quick).await?;
    }
    if matches!(args.part, None | Some(Part::Http)) {
        http::run(&models, args.quick).await?;
    }
    if matches!(args.part, None | Some(Part::Lists)) {
        http::lists(&models, args.quick).await?;
    }
    Ok(())
}

/// The local models; without the embedding model there is little to measure.
fn weights(folder: Option<PathBuf>) -> Result<Models> {
    let folder = folder
        .or_else(|| std::env::var_os("MEMORYCHAT_MODELS_DIR").map(PathBuf::from))
        .unwrap_or_else(testkit::models_dir::test_models_dir);
    let models = Models::new(std::path::absolute(folder)?);
    ensure!(
        models.state(ModelId::Embedding).present,
        "no embedding model in {}; run `memorychat models pull`, or name its folder by --models",
        models.folder().display()
    );
    Ok(models)
}
