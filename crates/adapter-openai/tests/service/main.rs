//! The adapter against scripted services: each failure that a service has in store.

mod chat;
mod embed;
mod extract;
mod probe;
mod raw;
mod retries;
mod script;
mod streams;
