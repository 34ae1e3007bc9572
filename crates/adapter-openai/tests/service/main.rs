//! The adapter against scripted services: each failure that a service has in store.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chat;
mod contract;
mod embed;
mod extract;
mod probe;
mod raw;
mod retries;
mod script;
mod streams;
