//! Test support: contract suites, fakes and fixtures. A dev-dependency only.
//!
//! - [`contract`]: one suite per port. The fake and every adapter pass the same cases, so a test
//!   over a fake says something about the real thing.
//! - [`fakes`]: the ports in memory, deterministic, each checked by its suite.
//! - [`faults`], [`cutter`], [`faketime`]: wrappers, and a wire, that fail on demand, and a clock that jumps.
//! - [`fixtures`], [`seed`] and [`bulk`]: values, rows, and very many rows, that a test needs before it starts.
//! - [`supabase`], [`qdrant_server`]: stand-ins that speak the real protocols.
//! - [`certificates`]: for servers that speak TLS.
//! - [`servers`], [`pgbouncer`], [`redis_server`], [`llama_server`], [`models_dir`]: real servers and weights, for a
//!   test that wants them.
//!
//! # To add a case
//! Write a private `async fn a_sentence_that_must_hold(harness: &Harness)` beside its neighbours and
//! add its name to the `CASES` of that file; the compiler warns of a case that is in no table. Run it
//! on the fake first: `cargo test -p testkit`.
//!
//! # To add a suite
//! Declare what a case gets (one `Arc<dyn Port>`, or a harness struct), write the cases, and end with
//! a `pub async fn check(fresh)` that hands them to the runner in [`contract`].
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test support fails by panicking"
)]

pub mod bulk;
pub mod certificates;
pub mod contract;
pub mod cutter;
pub mod fakes;
pub mod faketime;
pub mod faults;
pub mod fixtures;
pub mod llama_server;
pub mod models_dir;
mod newer_postgres;
pub mod nginx;
pub mod pgbouncer;
pub mod qdrant_server;
pub mod redis_server;
pub mod seed;
pub mod servers;
pub mod supabase;
