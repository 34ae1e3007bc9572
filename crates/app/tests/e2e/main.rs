//! The real program, end to end, with its embedded adapters: what a client sees, and what is left on
//! disk.

#![expect(clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod bad_input;
mod cli;
mod contract;
mod coverage;
mod crash;
mod harness;
mod model_server;
mod overload;
mod owner;
mod postgres;
mod privacy;
mod qdrant;
mod replicas;
mod supabase;
mod tour;
