//! The real program, end to end, with its embedded adapters: what a client sees, and what is left on
//! disk.

#![expect(clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod bad_input;
mod cli;
mod clock;
mod contract;
mod coverage;
mod crash;
mod harness;
mod migrate;
mod model_server;
mod overload;
mod owner;
mod postgres;
mod privacy;
mod qdrant;
mod replicas;
mod shutdown;
mod supabase;
mod tour;
mod wait;
