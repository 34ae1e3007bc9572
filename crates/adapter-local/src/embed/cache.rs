//! Vectors of texts that were asked for before.

use std::time::Duration;

use domain::memory::Embedding;
use sha2::{Digest, Sha256};

/// About 16 MB of vectors.
const CAPACITY: u64 = 10_000;
/// A vector nobody asks for is gone after an hour, so that what was forgotten elsewhere does not stay.
const IDLE: Duration = Duration::from_hours(1);

/// A cache of one model's vectors. It keeps no text, only a digest.
pub(super) struct Cache(moka::sync::Cache<Key, Embedding>);

/// A digest that two different texts, or two cuts of one text, do not share.
pub(super) type Key = [u8; 32];

impl Cache {
    pub(super) fn new() -> Self {
        Self(
            moka::sync::Cache::builder()
                .max_capacity(CAPACITY)
                .time_to_idle(IDLE)
                .build(),
        )
    }

    /// The key of a text that is cut to so many tokens.
    pub(super) fn key(text: &str, max_tokens: usize) -> Key {
        Sha256::new()
            .chain_update(max_tokens.to_le_bytes())
            .chain_update(text)
            .finalize()
            .into()
    }

    pub(super) fn get(&self, key: &Key) -> Option<Embedding> {
        self.0.get(key)
    }

    pub(super) fn insert(&self, key: Key, vector: Embedding) {
        self.0.insert(key, vector);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_cuts_have_keys_of_their_own() {
        let keys = [
            Cache::key("tea", 64),
            Cache::key("tea", 256),
            Cache::key("teA", 64),
            Cache::key("tea ", 64),
            Cache::key("", 64),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(
                keys.iter().skip(at + 1).all(|other| other != key),
                "key {at} is shared"
            );
        }
    }
}
