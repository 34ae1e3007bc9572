//! API keys: `mck_` and the base64url of 32 random bytes and a checksum of 4.
//!
//! The checksum takes no secret. It turns away mistyped keys before any look-up, and lets a scanner
//! recognise a key that was committed by accident. A key is stored as its SHA-256: unlike a password
//! it is random, so nothing slower is needed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::account::{MintedKey, TokenError};
use sha2::{Digest, Sha256};

const PREFIX: &str = "mck_";
const RANDOM_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 4;
/// How much of a key its owner is shown later.
const SHOWN_CHARS: usize = 12;

pub(crate) fn mint() -> Result<MintedKey, TokenError> {
    let mut bytes = [0; RANDOM_BYTES + CHECKSUM_BYTES];
    let (random, sum) = bytes.split_at_mut(RANDOM_BYTES);
    getrandom::fill(random).map_err(|_| TokenError)?;
    sum.copy_from_slice(&checksum(random));
    let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    let prefix = secret.chars().take(SHOWN_CHARS).collect();
    Ok(MintedKey {
        hash: digest(&secret),
        prefix,
        secret,
    })
}

/// The hash a key is found by; `None` for what was never made here.
pub(crate) fn hash(secret: &str) -> Option<String> {
    let text = secret.strip_prefix(PREFIX)?;
    let mut bytes = [0; RANDOM_BYTES + CHECKSUM_BYTES];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    let (random, sum) = bytes.split_at(RANDOM_BYTES);
    (length == bytes.len() && sum == checksum(random)).then(|| digest(secret))
}

fn checksum(random: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let [a, b, c, d, ..]: [u8; 32] = Sha256::new()
        .chain_update("memorychat/1/api-key")
        .chain_update(random)
        .finalize()
        .into();
    [a, b, c, d]
}

fn digest(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}
