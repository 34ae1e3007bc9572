//! MemoryChat's store and embedded memory index on SQLite and Postgres.
//!
//! [`SqlStore`] implements every port that looks into the database ([`domain::store::Store`],
//! [`domain::account::AccountDirectory`], [`domain::jobs::JobQueue`],
//! [`domain::jobs::Maintenance`]); [`SqlMemoryIndex`] implements [`domain::memory::MemoryIndex`] on
//! rows beside the memories. One code serves both databases: they differ in how they are opened and
//! in how a transaction begins (`connect.rs`, `store.rs`, `postgres/`), and in what goes past a single
//! owner: on Postgres that is asked through the doors of the migration `row_security`.
//!
//! Invariants:
//! - every statement names the owner, who is bound once, when the unit of work begins;
//! - on Postgres a transaction takes on a role that owns nothing and names its owner to row level
//!   security; outside a transaction only the doors are asked;
//! - SQLite has one writer, so that writers wait in a queue instead of failing, and a few readers
//!   that never wait;
//! - no statement, value or row gets into a log or an error text: the driver's logging is off, and
//!   its errors are taken apart in `error.rs`.
//!
//! # To add a repository method
//! 1. Add it to the port in `domain`, with a case in `testkit`'s contract suite.
//! 2. If it needs a column or an index, add a change to `migrations` and the column to `entities.rs`.
//! 3. Write it in the file of its repository; give a new constraint a name, and that name a word in
//!    `error.rs` if callers must tell it apart.

mod accounts;
mod bounded;
mod connect;
mod directory;
mod entities;
mod error;
mod index;
mod maintenance;
mod memories;
mod messages;
mod outbox;
mod postgres;
mod profiles;
mod queue;
mod rows;
mod sessions;
mod store;
mod unit_of_work;

pub use connect::SqlConfig;
pub use index::SqlMemoryIndex;
pub use postgres::Login;
pub use store::SqlStore;
