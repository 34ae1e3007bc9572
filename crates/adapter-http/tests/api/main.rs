//! The real server on a port of its own, over the fakes of `testkit`, as a client sees it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod answers;
mod chat;
mod guards;
mod idempotency;
mod operations;
mod paging;
mod shapes;
mod support;
