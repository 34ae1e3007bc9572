//! The rules and the use cases of MemoryChat, and the ports they need.
//!
//! A **turn** is one question and its answer. A turn may *recall* memories, the system may *learn*
//! from it, and the user may make it *forget*. Whether a turn recalls, learns or leaves a trace is
//! decided in one place: [`privacy`].
//!
//! This crate knows no database, no HTTP, no JSON, no runtime and no log: those live in the
//! adapters, behind the traits declared here. Its direct dependencies are a short list that a test
//! guards.
//!
//! # Where things are
//! One folder per concept ([`account`], [`profile`], [`session`], [`chat`], [`memory`], [`jobs`]),
//! each with `model.rs` (values and their invariants), `ports.rs` (what it needs from outside) and
//! `service.rs` (its use cases).
//!
//! # To add a use case
//! 1. Put the rule on a value in `model.rs` and test it there.
//! 2. If it needs something new from outside, add a method to a port, say in its doc comment what it
//!    promises, and add a case to that port's contract suite in `testkit` before any adapter.
//! 3. Write the method on the service; return that service's own error, with its `kind` and `code`.
//! 4. Test it in `tests/` over the fakes of `testkit`.

#![deny(missing_docs)]

pub mod account;
pub mod chat;
pub mod clock;
pub mod error;
pub mod health;
pub mod ids;
pub mod jobs;
pub mod limits;
pub mod memory;
pub mod page;
pub mod privacy;
pub mod profile;
pub mod session;
pub mod store;
