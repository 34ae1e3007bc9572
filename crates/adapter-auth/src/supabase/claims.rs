//! What an access token of Supabase Auth must say.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::account::{ForeignLogin, TokenError};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use time::OffsetDateTime;
use uuid::Uuid;

/// Longest token that is looked at.
pub(super) const MAX_TOKEN_BYTES: usize = 8 * 1024;
const MAX_KID_BYTES: usize = 256;
const LEEWAY: Duration = Duration::from_secs(30);
/// Audience and role of people; keys of the project have other roles and no audience.
const PEOPLE: &str = "authenticated";

/// What of a header is looked at; nothing else in it has any effect. Twice the same name is an error.
#[derive(Deserialize)]
pub(super) struct Head {
    pub(super) alg: String,
    #[serde(default)]
    pub(super) kid: Option<String>,
    #[serde(default)]
    typ: Option<String>,
    /// What must be understood: nothing is.
    #[serde(default)]
    crit: Option<IgnoredAny>,
}

impl Head {
    /// The header, if it is one of an access token.
    pub(super) fn of(token: &str) -> Result<Self, TokenError> {
        let head: Self = part(token, 0)?;
        let is_jwt = (head.typ.as_deref()).is_none_or(|typ| typ.eq_ignore_ascii_case("jwt"));
        let short = head
            .kid
            .as_ref()
            .is_none_or(|kid| kid.len() <= MAX_KID_BYTES);
        if head.crit.is_none() && is_jwt && short {
            Ok(head)
        } else {
            Err(TokenError)
        }
    }
}

#[derive(Deserialize)]
struct Issuer {
    iss: String,
}

/// Who is said to have made a token. Not verified: it only tells who may judge it.
pub(super) fn said_issuer(token: &str) -> Option<String> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    part::<Issuer>(token, 1).ok().map(|claims| claims.iss)
}

/// One part of a token of three: 0 for the header, 1 for the claims.
pub(super) fn part<T: DeserializeOwned>(token: &str, n: usize) -> Result<T, TokenError> {
    let parts: Vec<&str> = token.split('.').take(4).collect();
    let [_, _, _] = parts[..] else {
        return Err(TokenError);
    };
    let bytes = URL_SAFE_NO_PAD.decode(parts[n]).map_err(|_| TokenError)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// The claims that count. Of wrong types they are refused, and so is one that comes twice.
#[derive(Deserialize)]
pub(super) struct Claims {
    iss: String,
    aud: Audience,
    sub: Uuid,
    session_id: Uuid,
    role: String,
    iat: u64,
    exp: u64,
    /// When absent it lies in the past; `null` is no number.
    #[serde(default)]
    nbf: u64,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    is_anonymous: bool,
}

/// A token that said all it must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verified {
    pub(super) login: ForeignLogin,
    pub(super) is_anonymous: bool,
}

impl Claims {
    /// Checks everything but the signature.
    pub(super) fn check(self, issuer: &str, now: OffsetDateTime) -> Result<Verified, TokenError> {
        let issued_at = moment(self.iat)?;
        let expires_at = moment(self.exp)?;
        let latest_start = now + LEEWAY;
        let for_people = match &self.aud {
            Audience::One(audience) => audience == PEOPLE,
            Audience::Many(audiences) => audiences.iter().any(|audience| audience == PEOPLE),
        };
        let ok = self.iss == issuer
            && for_people
            && self.role == PEOPLE
            && !self.sub.is_nil()
            && !self.session_id.is_nil()
            && now < expires_at + LEEWAY
            && moment(self.nbf)? <= latest_start
            && issued_at <= latest_start;
        if !ok {
            return Err(TokenError);
        }
        // What is no address here is none; the person is known by issuer and subject.
        let email = self.email.and_then(|email| email.parse().ok());
        Ok(Verified {
            login: ForeignLogin {
                issuer: self.iss,
                subject: self.sub,
                session: self.session_id,
                email,
                expires_at,
            },
            is_anonymous: self.is_anonymous,
        })
    }
}

/// Whole seconds since 1970 as a moment; refuses those beyond the calendar.
fn moment(seconds: u64) -> Result<OffsetDateTime, TokenError> {
    /// The last second that can be written, less a day for the leeway.
    const LAST: u64 = 253_402_214_400;
    let seconds = i64::try_from(Ord::min(seconds, LAST + 1)).map_err(|_| TokenError)?;
    if seconds.unsigned_abs() > LAST {
        return Err(TokenError);
    }
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| TokenError)
}
