//! The index over a real socket: on the stand-in of `testkit`, and on a real server where there is one.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod contract;
mod faults;
mod layout;
mod recovery;
mod spaces;
mod world;
