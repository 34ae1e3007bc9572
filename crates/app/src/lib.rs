//! The `memorychat` program: settings, wiring and commands.
//!
//! - [`settings`] reads and checks what can be set; the list is `settings/table.rs`.
//! - [`wiring`] is the one place that knows all parts; [`models`] chooses who answers and who embeds,
//!   [`identity`] who keeps the accounts, [`index`] where the memory index is.
//! - [`serve`] runs the server and its workers; `commands/` holds one file per command.
//!
//! # To add a command
//! Name it in `cli.rs`, write `commands/<name>.rs`, and add the arm in `commands/mod.rs`.
//!
//! # To add a setting
//! Add a line to `settings/table.rs` and a field in `settings/mod.rs`; a test asks for the README's
//! table to be made anew.

pub mod cli;
pub mod commands;
pub mod database;
pub mod identity;
pub mod index;
pub mod models;
pub mod probes;
pub mod serve;
pub mod settings;
pub mod shared;
pub mod signals;
pub mod system;
pub mod tasks;
pub mod telemetry;
pub mod wiring;
pub mod worker;

use std::io::Write;

/// Says something to the person at the terminal. A closed pipe (`| head`) is no failure.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
