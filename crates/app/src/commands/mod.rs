//! What the binary does, one file per command.

mod config;
mod doctor;
mod health;
mod jobs;
mod models;
mod openapi;
mod reindex;
mod schema;
mod serve;
mod work;

use anyhow::Result;

use crate::cli::{Command, ConfigCommand, ModelsCommand};
use crate::settings::Settings;

/// Runs a command.
pub async fn run(command: Command, settings: Settings) -> Result<()> {
    match command {
        Command::Serve => serve::run(&settings).await,
        Command::Worker => work::run(&settings).await,
        Command::Migrate => schema::migrate(&settings).await,
        Command::Openapi => openapi::print(),
        Command::Models {
            command: ModelsCommand::Pull,
        } => models::pull(&settings).await,
        Command::Models {
            command: ModelsCommand::List,
        } => models::list(&settings),
        Command::Config {
            command: ConfigCommand::Check,
        } => config::check(&settings),
        Command::Health => health::check(&settings).await,
        Command::Doctor => doctor::run(&settings).await,
        Command::Reindex => reindex::run(&settings).await,
        Command::Jobs { command } => jobs::run(&settings, command).await,
    }
}
