//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use domain::jobs::DeadJobs;

/// The chat backend that remembers, and that can prove what it does not remember.
#[derive(Debug, Parser)]
#[command(name = "memorychat", version, about)]
pub struct Cli {
    /// Settings file (TOML); environment variables and `.env` win over it.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do; without a word: serve.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Serve the REST API (the default), with the background workers inside.
    Serve,
    /// Run the background workers alone.
    Worker,
    /// Bring the database schema up to date.
    Migrate,
    /// Print the OpenAPI document.
    Openapi,
    /// Fetch or list the local models.
    Models {
        /// What to do with them.
        #[command(subcommand)]
        command: ModelsCommand,
    },
    /// Look at the settings.
    Config {
        /// What to do with them.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Look at every dependency: its state, and the way out.
    Doctor,
    /// Ask the running server whether it is ready, for a health check.
    Health,
    /// Build the memory index anew from the database.
    Reindex,
    /// Show the jobs that were given up, try them again, or forget them.
    Jobs {
        /// What to do with them.
        #[command(subcommand)]
        command: JobsCommand,
    },
}

/// What to do with the jobs that were given up.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum JobsCommand {
    /// List them, newest first.
    List,
    /// Try them again.
    Retry {
        /// `all`, a kind (`learn`, `index`, `sweep`), or the id of a job.
        which: DeadJobs,
    },
    /// Forget them: what they were to do is not done.
    Drop {
        /// `all`, a kind (`learn`, `index`, `sweep`), or the id of a job.
        which: DeadJobs,
    },
}

/// What to do with the local models.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ModelsCommand {
    /// Fetch those that are missing.
    Pull,
    /// List them.
    List,
}

/// What to do with the settings.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigCommand {
    /// Check them and print the effective values, secrets hidden.
    Check,
}
