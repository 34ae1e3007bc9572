//! What several replicas share in memory, on Redis: incognito turns, and counts of calls.
//!
//! Redis is used as memory that more than one process can see, never as storage. Ephemeral turns must
//! not reach a disk, so each new connection is asked first whether its server persists, and one that
//! does is refused. Everything kept has a time to live; nothing here has to be backed up.
//!
//! - [`RedisServer`]: one connection, made anew when it breaks, and never waited for long.
//! - [`RedisTranscripts`]: `TranscriptCache`. Each call is one script, so it is atomic.
//! - [`RedisLimiter`]: `RateLimiter`, by GCRA in one script, under hashed keys.
//! - [`RedisProbe`]: how it is, for `doctor` and `/readyz`.
//!
//! One Redis (or Valkey) from version 6 on, or a primary with replicas behind one address. Not a Redis
//! Cluster: the scripts touch keys of several slots.

mod limiter;
mod persistence;
mod probe;
mod record;
mod server;
mod transcripts;

pub use limiter::RedisLimiter;
pub use probe::RedisProbe;
pub use server::{RedisConfig, RedisFailure, RedisServer};
pub use transcripts::RedisTranscripts;
