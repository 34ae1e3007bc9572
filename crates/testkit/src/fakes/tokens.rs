//! Tokens that can be read, and forged, by anybody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::account::{AccessClaims, MintedKey, RefreshClaims, TokenAuthority, TokenError};
use time::OffsetDateTime;
use uuid::Uuid;

/// Tokens with a checksum instead of a signature. For tests only.
#[derive(Default)]
pub struct FakeTokens {
    keys: AtomicU64,
}

const LEEWAY: Duration = Duration::from_secs(30);
const KEY_TAG: &str = "mck_";
const KEY_DIGITS: usize = 64;

fn checksum(text: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes())
}

/// The text with its checksum behind it.
fn sealed(body: &str) -> String {
    format!("{body}.{}", checksum(body))
}

/// The parts before the checksum, if that is right and the kind is.
fn opened<'a>(token: &'a str, kind: &str) -> Result<Vec<&'a str>, TokenError> {
    let (body, _) = token.rsplit_once('.').ok_or(TokenError)?;
    let parts: Vec<_> = body.split('.').collect();
    if parts[0] == kind && sealed(body) == token {
        Ok(parts)
    } else {
        Err(TokenError)
    }
}

fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, TokenError> {
    text.parse().map_err(|_| TokenError)
}

fn second(text: &str) -> Result<OffsetDateTime, TokenError> {
    OffsetDateTime::from_unix_timestamp(parsed(text)?).map_err(|_| TokenError)
}

impl TokenAuthority for FakeTokens {
    fn access(&self, claims: &AccessClaims) -> Result<String, TokenError> {
        let AccessClaims {
            user,
            login,
            issued_at,
            expires_at,
        } = claims;
        let (from, to) = (issued_at.unix_timestamp(), expires_at.unix_timestamp());
        Ok(sealed(&format!("access.{user}.{login}.{from}.{to}")))
    }

    fn verify_access(&self, token: &str, now: OffsetDateTime) -> Result<AccessClaims, TokenError> {
        let parts = opened(token, "access")?;
        let [_, user, login, from, to] = parts[..] else {
            return Err(TokenError);
        };
        let (issued_at, expires_at) = (second(from)?, second(to)?);
        if now >= expires_at + LEEWAY {
            return Err(TokenError);
        }
        Ok(AccessClaims {
            user: parsed(user)?,
            login: parsed(login)?,
            issued_at,
            expires_at,
        })
    }

    fn refresh(&self, claims: RefreshClaims) -> String {
        sealed(&format!("refresh.{}.{}", claims.login, claims.generation))
    }

    fn verify_refresh(&self, token: &str) -> Result<RefreshClaims, TokenError> {
        let parts = opened(token, "refresh")?;
        let [_, login, generation] = parts[..] else {
            return Err(TokenError);
        };
        Ok(RefreshClaims {
            login: parsed(login)?,
            generation: parsed(generation)?,
        })
    }

    fn mint_api_key(&self) -> Result<MintedKey, TokenError> {
        let n = self.keys.fetch_add(1, Ordering::Relaxed);
        let halves = (
            checksum(&format!("first half {n}")),
            checksum(&format!("second half {n}")),
        );
        let secret = format!("{KEY_TAG}{}{}", halves.0.simple(), halves.1.simple());
        let hash = checksum(&secret).to_string();
        let prefix = secret[..KEY_TAG.len() + 4].to_owned();
        Ok(MintedKey {
            secret,
            hash,
            prefix,
        })
    }

    fn api_key_hash(&self, secret: &str) -> Option<String> {
        let digits = secret.strip_prefix(KEY_TAG)?;
        let well_formed =
            digits.len() == KEY_DIGITS && digits.bytes().all(|b| b.is_ascii_alphanumeric());
        well_formed.then(|| checksum(secret).to_string())
    }

    fn access_lifetime(&self) -> Duration {
        Duration::from_mins(15)
    }
}
