//! Refresh tokens: `mcr_` and the base64url of
//! `version (1) | log-in id (16) | generation (4, big-endian) | first 24 bytes of HMAC-SHA-256`.
//!
//! The same claims always make the same token, so that an answer lost on the way can be given again.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::account::{RefreshClaims, TokenError};
use domain::ids::LoginId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use crate::secret::{Purpose, SigningSecret};

/// Nobody else's tokens begin so.
pub(crate) const PREFIX: &str = "mcr_";
const VERSION: u8 = 1;
const BODY_BYTES: usize = 21;
const TAG_BYTES: usize = 24;

/// Makes and checks refresh tokens.
pub(crate) struct RefreshTokens {
    mac: Hmac<Sha256>,
}

impl RefreshTokens {
    pub(crate) fn new(secret: &SigningSecret) -> Self {
        Self {
            mac: Hmac::new(&secret.derive(Purpose::RefreshToken).into()),
        }
    }

    pub(crate) fn make(&self, claims: RefreshClaims) -> String {
        let mut token = [0; BODY_BYTES + TAG_BYTES];
        let (body, tag) = token.split_at_mut(BODY_BYTES);
        body[0] = VERSION;
        body[1..17].copy_from_slice(claims.login.as_uuid().as_bytes());
        body[17..].copy_from_slice(&claims.generation.to_be_bytes());
        let full = self
            .mac
            .clone()
            .chain_update(&*body)
            .finalize()
            .into_bytes();
        tag.copy_from_slice(&full[..TAG_BYTES]);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(token))
    }

    pub(crate) fn check(&self, token: &str) -> Result<RefreshClaims, TokenError> {
        let text = token.strip_prefix(PREFIX).ok_or(TokenError)?;
        let mut bytes = [0; BODY_BYTES + TAG_BYTES];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(length) if length == bytes.len() => {}
            _ => return Err(TokenError),
        }
        let (body, tag) = bytes.split_at(BODY_BYTES);
        // Takes the same time wherever the two differ.
        self.mac
            .clone()
            .chain_update(body)
            .verify_truncated_left(tag)
            .map_err(|_| TokenError)?;
        parse(body)
    }
}

fn parse(body: &[u8]) -> Result<RefreshClaims, TokenError> {
    let (&version, rest) = body.split_first().ok_or(TokenError)?;
    let (login, generation) = rest.split_at_checked(16).ok_or(TokenError)?;
    let login = Uuid::from_slice(login).map_err(|_| TokenError)?;
    let generation = generation
        .try_into()
        .map(u32::from_be_bytes)
        .map_err(|_| TokenError)?;
    if version != VERSION {
        return Err(TokenError);
    }
    Ok(RefreshClaims {
        login: LoginId::new(login),
        generation,
    })
}
