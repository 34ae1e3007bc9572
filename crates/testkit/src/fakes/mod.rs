//! The ports in memory: small, deterministic, and under the same contract as the real adapters.

mod chat_model;
mod clock;
mod embedder;
mod extractor;
mod hasher;
mod memory_index;
mod store;
mod tokens;

pub use chat_model::{Play, ScriptedChatModel};
pub use clock::{FixedClock, SequentialIds};
pub use embedder::HashEmbedder;
pub use extractor::ScriptedExtractor;
pub use hasher::PlainHasher;
pub use memory_index::InMemoryMemoryIndex;
pub use store::InMemoryStore;
pub use tokens::FakeTokens;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after a test panicked while it held the lock: its own failure is reported already.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
