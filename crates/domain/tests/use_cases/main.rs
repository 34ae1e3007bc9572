//! The use cases of the domain over the fakes of `testkit`: one file per use case, one binary, so that
//! the shared [`common::World`] is compiled once and none of it is dead code anywhere.
//!
//! To add a test, take a fresh `World`, do what a driver would do, and look at rows, index and prompts.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the shared part of tests fails by panicking"
)]

mod aborted;
mod accounts;
mod commits;
mod common;
mod ephemeral;
mod foreign;
mod idempotency;
mod jobs;
mod learning;
mod memories;
mod memory_index;
mod privacy_modes;
mod profiles;
mod recall;
mod reconcile;
mod reindex;
mod sessions;
mod turns;
