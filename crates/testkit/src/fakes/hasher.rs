//! A hasher that is fast and protects nothing.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use domain::account::{HashError, Password, PasswordHash, PasswordHasher, PasswordVerdict};

/// "Hashes" by writing the password in hexadecimal digits behind a counter. For tests only.
#[derive(Default)]
pub struct PlainHasher {
    salt: AtomicU64,
}

const CURRENT: &str = "plain2";
const OUTDATED: &str = "plain1";

impl PlainHasher {
    /// A hash of the older scheme: it matches as [`PasswordVerdict::MatchOutdated`].
    pub fn outdated(password: &Password) -> PasswordHash {
        PasswordHash(format!("{OUTDATED}$0${}", digits(password)))
    }
}

fn digits(password: &Password) -> String {
    password
        .expose()
        .bytes()
        .fold(String::new(), |mut digits, byte| {
            write!(digits, "{byte:02x}").expect("writing to memory");
            digits
        })
}

#[async_trait]
impl PasswordHasher for PlainHasher {
    async fn hash(&self, password: &Password) -> Result<PasswordHash, HashError> {
        let salt = self.salt.fetch_add(1, Ordering::Relaxed);
        Ok(PasswordHash(format!(
            "{CURRENT}${salt}${}",
            digits(password)
        )))
    }

    async fn verify(
        &self,
        password: &Password,
        hash: Option<&PasswordHash>,
    ) -> Result<PasswordVerdict, HashError> {
        let parts: Vec<&str> = hash.map_or_else(Vec::new, |hash| hash.0.split('$').collect());
        Ok(match parts[..] {
            [CURRENT, _, stored] if stored == digits(password) => PasswordVerdict::Match,
            [OUTDATED, _, stored] if stored == digits(password) => PasswordVerdict::MatchOutdated,
            _ => PasswordVerdict::NoMatch,
        })
    }
}
