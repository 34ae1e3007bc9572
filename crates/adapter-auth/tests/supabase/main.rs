//! Supabase Auth, against the stand-in.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod attacks;
mod calls;
mod contract;
mod legacy;
mod published_keys;
mod self_hosted;
mod sessions;
mod support;
