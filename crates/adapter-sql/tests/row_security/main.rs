//! Postgres keeps users apart by itself: what each role may do with whose rows, what the catalogue says
//! of tables, grants and doors, and whom the program lets itself be.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod attempts;
mod catalogue;
#[path = "../common/mod.rs"]
mod common;
mod logins;
mod roles;
mod rows;
