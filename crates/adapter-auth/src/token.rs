//! Access tokens as JSON Web Tokens, and the authority that issues every credential.

use std::time::Duration;

use domain::account::{AccessClaims, MintedKey, RefreshClaims, TokenAuthority, TokenError};
use domain::ids::{LoginId, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::api_key;
use crate::refresh::RefreshTokens;
use crate::secret::{Purpose, SigningSecret};

#[cfg(test)]
mod tests;

pub(crate) const ISSUER: &str = "memorychat";
const AUDIENCE: &str = "memorychat-api";
/// The registered type of an access token; keeps other tokens from passing for one.
const TYPE: &str = "at+jwt";
const MAX_TOKEN_BYTES: usize = 8 * 1024;
const LEEWAY_SECONDS: i64 = 30;

/// How access tokens are signed. Tokens of another algorithm are refused, and each has its own key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TokenAlgorithm {
    /// HMAC with SHA-256.
    #[default]
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

impl From<TokenAlgorithm> for Algorithm {
    fn from(algorithm: TokenAlgorithm) -> Self {
        match algorithm {
            TokenAlgorithm::Hs256 => Self::HS256,
            TokenAlgorithm::Hs384 => Self::HS384,
            TokenAlgorithm::Hs512 => Self::HS512,
        }
    }
}

/// How tokens are made.
#[derive(Debug, Clone, Copy)]
pub struct JwtConfig {
    /// How access tokens are signed.
    pub algorithm: TokenAlgorithm,
    /// How long an access token lives.
    pub access_lifetime: Duration,
}

impl Default for JwtConfig {
    fn default() -> Self {
        Self {
            algorithm: TokenAlgorithm::default(),
            access_lifetime: Duration::from_mins(30),
        }
    }
}

/// Issues and checks this service's own credentials: JWT access tokens, refresh tokens and API keys.
/// It holds keys and no state, so any number of instances with the same secret agree.
pub struct JwtAuthority {
    header: Header,
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
    refresh: RefreshTokens,
    access_lifetime: Duration,
}

impl JwtAuthority {
    /// An authority whose keys all come from `secret`.
    pub fn new(secret: &SigningSecret, config: JwtConfig) -> Self {
        let key = secret.derive(Purpose::AccessToken(config.algorithm));
        let algorithm = config.algorithm.into();
        Self {
            header: Header {
                typ: Some(TYPE.to_owned()),
                ..Header::new(algorithm)
            },
            signing: EncodingKey::from_secret(&key),
            checking: DecodingKey::from_secret(&key),
            validation: signature_only(algorithm),
            refresh: RefreshTokens::new(secret),
            access_lifetime: config.access_lifetime,
        }
    }
}

/// The library checks signature and algorithm. Its checks of claims would read the system's clock
/// and pass over what is absent or of a wrong type, so [`Claims::check`] does all of them.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

/// The claims on the wire. All are required, and of exactly these types; twice is refused too.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: Uuid,
    sid: Uuid,
    iat: u64,
    exp: u64,
    /// Never issued, but honoured. When absent it lies in the past; `null` is no number.
    #[serde(default, skip_serializing)]
    nbf: u64,
}

impl Claims {
    fn new(claims: &AccessClaims) -> Result<Self, TokenError> {
        let seconds =
            |at: OffsetDateTime| u64::try_from(at.unix_timestamp()).map_err(|_| TokenError);
        Ok(Self {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: claims.user.as_uuid(),
            sid: claims.login.as_uuid(),
            iat: seconds(claims.issued_at)?,
            exp: seconds(claims.expires_at)?,
            nbf: 0,
        })
    }

    /// When it was issued decides nothing: only this server can have said so, and a later moment than now
    /// means that its clock was set back since.
    fn check(&self, now: OffsetDateTime) -> Result<AccessClaims, TokenError> {
        let issued_at = moment(self.iat)?;
        let expires_at = moment(self.exp)?;
        let not_before = moment(self.nbf)?;
        let now = now.unix_timestamp();
        let latest_start = now + LEEWAY_SECONDS;
        let ok = self.iss == ISSUER
            && self.aud == AUDIENCE
            && !self.sub.is_nil()
            && !self.sid.is_nil()
            && now < expires_at.unix_timestamp() + LEEWAY_SECONDS
            && not_before.unix_timestamp() <= latest_start;
        if !ok {
            return Err(TokenError);
        }
        let (user, login) = (UserId::new(self.sub), LoginId::new(self.sid));
        Ok(AccessClaims {
            user,
            login,
            issued_at,
            expires_at,
        })
    }
}

/// Whole seconds since 1970 as a moment; refuses those beyond the calendar.
fn moment(seconds: u64) -> Result<OffsetDateTime, TokenError> {
    let seconds = i64::try_from(seconds).map_err(|_| TokenError)?;
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| TokenError)
}

impl TokenAuthority for JwtAuthority {
    fn access(&self, claims: &AccessClaims) -> Result<String, TokenError> {
        encode(&self.header, &Claims::new(claims)?, &self.signing).map_err(|_| TokenError)
    }

    fn verify_access(&self, token: &str, now: OffsetDateTime) -> Result<AccessClaims, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError);
        }
        let token =
            decode::<Claims>(token, &self.checking, &self.validation).map_err(|_| TokenError)?;
        // A header with anything else in it (`crit`, `jku`, `jwk`, `x5c`) was not written here.
        if token.header != self.header {
            return Err(TokenError);
        }
        token.claims.check(now)
    }

    fn refresh(&self, claims: RefreshClaims) -> String {
        self.refresh.make(claims)
    }

    fn verify_refresh(&self, token: &str) -> Result<RefreshClaims, TokenError> {
        self.refresh.check(token)
    }

    fn mint_api_key(&self) -> Result<MintedKey, TokenError> {
        api_key::mint()
    }

    fn api_key_hash(&self, secret: &str) -> Option<String> {
        api_key::hash(secret)
    }

    fn access_lifetime(&self) -> Duration {
        self.access_lifetime
    }
}
