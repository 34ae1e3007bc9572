//! Accounts as values.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use time::OffsetDateTime;
use unicode_normalization::UnicodeNormalization;

use super::AccountError;
use crate::ids::{ApiKeyId, LoginId, UserId};

/// A person with an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Identity of the user; of one who proves elsewhere who they are it follows from that proof
    /// ([`ForeignLogin::user`](super::ForeignLogin::user)).
    pub id: UserId,
    /// Their address; two users with an account of this service's own never share one.
    pub email: Email,
    /// A deactivated user's credentials are refused everywhere.
    pub is_active: bool,
    /// When the account was made.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
}

/// An e-mail address in the one form it is stored and compared in: NFKC, lower case, no spaces
/// around it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

/// The text is no e-mail address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an e-mail address")]
pub struct BadEmail;

impl Email {
    /// The normalised address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = BadEmail;

    /// Accepts `local@domain` of at most 254 bytes. Whether a mail arrives is not decided here.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address: String = text.trim().nfkc().collect::<String>().to_lowercase();
        let (local, domain) = address.rsplit_once('@').ok_or(BadEmail)?;
        let bad_char = |c: char| c.is_control() || c.is_whitespace() || "<>()[],;:\\\"".contains(c);
        let labels_ok = domain.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        });
        let ok = !local.is_empty()
            && local.len() <= 64
            && address.len() <= 254
            && !local.contains('@')
            && !address.chars().any(bad_char)
            && labels_ok;
        if ok { Ok(Self(address)) } else { Err(BadEmail) }
    }
}

impl fmt::Debug for Email {
    /// Addresses are personal data and stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(..)")
    }
}

/// A password as the user typed it. It cannot be printed.
#[derive(Clone)]
pub struct Password(String);

/// The password is too short or too long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a password has {} to {} characters",
    Password::MIN_CHARS,
    Password::MAX_BYTES
)]
pub struct WeakPassword;

impl Password {
    /// Shortest password that can be chosen.
    pub const MIN_CHARS: usize = 8;
    /// Longest password, in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// A password that is being chosen: its length is checked.
    pub fn choose(text: String) -> Result<Self, WeakPassword> {
        if text.chars().count() < Self::MIN_CHARS || text.len() > Self::MAX_BYTES {
            return Err(WeakPassword);
        }
        Ok(Self(text))
    }

    /// A password that is being tried: any text, cut to nothing when it is too long to be one.
    pub fn attempt(text: String) -> Self {
        Self(if text.len() > Self::MAX_BYTES {
            String::new()
        } else {
            text
        })
    }

    /// The secret itself, for the hasher only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A stored password hash, with the tag of the scheme that made it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// What log-in needs to know of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Whose it is.
    pub user: UserId,
    /// What the password must match.
    pub hash: PasswordHash,
    /// Whether the account may be used.
    pub is_active: bool,
}

/// One log-in: the family of all tokens that descend from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Its id, carried by every token of the family.
    pub id: LoginId,
    /// Whose it is.
    pub user: UserId,
    /// Number of the refresh token in force; the first is 1.
    pub generation: u32,
    /// When the user logged in.
    pub created_at: OffsetDateTime,
    /// When the last refresh token ends. Where another issuer gives out the tokens: no token that was
    /// seen here ends later.
    pub expires_at: OffsetDateTime,
    /// When it was ended by logging out or by misuse.
    pub revoked_at: Option<OffsetDateTime>,
}

/// How long a log-in that has ended is remembered. That it was logged out matters as long as a token of
/// it may turn up: those made here end with it at the latest; those of another issuer live for a week at
/// most, and one that is presented although its log-in was ended prolongs the memory of that.
pub const ENDED_LOGINS_KEPT: Duration = Duration::from_hours(90 * 24);

/// A log-in together with what decides whether it still counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginState {
    /// The log-in.
    pub login: Login,
    /// Whether its user may still act.
    pub user_is_active: bool,
}

impl LoginState {
    /// Do its tokens still work at `now`?
    pub fn is_alive(&self, now: OffsetDateTime) -> bool {
        self.is_open() && now < self.login.expires_at
    }

    /// Was it not ended, neither by logging out nor by misuse nor with its user?
    pub fn is_open(&self) -> bool {
        self.user_is_active && self.login.revoked_at.is_none()
    }
}

/// A pair of tokens. They cannot be printed.
#[derive(Clone)]
pub struct Tokens {
    /// Sent with every request.
    pub access: String,
    /// Exchanged once for the next pair.
    pub refresh: String,
    /// How long the access token works from now.
    pub expires_in: Duration,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

/// A user with fresh tokens.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The user.
    pub user: User,
    /// Their tokens.
    pub tokens: Tokens,
}

/// What came of signing up.
#[derive(Debug, Clone)]
pub enum SignUp {
    /// The account can be used at once.
    Done(Box<SignedIn>),
    /// The address must be confirmed by mail first.
    ConfirmationSent,
}

/// Who a valid access token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user: UserId,
    /// The log-in that the token belongs to.
    pub login: LoginId,
}

/// What an API key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Read profiles, memories, sessions and messages.
    Read,
    /// Create, change and delete them.
    Write,
    /// Send chat turns.
    Chat,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Chat];

    /// The scope's name on the wire and in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Chat => "chat",
        }
    }

    /// The scope of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// A key for service-to-service calls. The key itself is shown once and never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id, for listing and revoking.
    pub id: ApiKeyId,
    /// On whose behalf it acts.
    pub user: UserId,
    /// What its owner calls it.
    pub name: String,
    /// The first characters of the key, to tell keys apart.
    pub prefix: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it stops working.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was revoked.
    pub revoked_at: Option<OffsetDateTime>,
}

impl ApiKey {
    /// Does it work at `now`?
    pub fn is_alive(&self, now: OffsetDateTime) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// What a user asks for when making an API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyDraft {
    /// 1 to 100 characters.
    pub name: String,
    /// At least one.
    pub scopes: Vec<Scope>,
    /// In the future, or never.
    pub expires_at: Option<OffsetDateTime>,
}

/// How a caller proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// An access token.
    Login(Identity),
    /// An API key.
    ApiKey(ApiKeyId, Vec<Scope>),
}

/// A caller whose credential was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// On whose behalf they act.
    pub user: UserId,
    /// How they proved it.
    pub via: Via,
}

impl Actor {
    /// Refuses an API key without this scope; a user's own token has them all.
    pub fn require(&self, scope: Scope) -> Result<(), AccountError> {
        match &self.via {
            Via::Login(_) => Ok(()),
            Via::ApiKey(_, scopes) if scopes.contains(&scope) => Ok(()),
            Via::ApiKey(..) => Err(AccountError::MissingScope(scope)),
        }
    }

    /// Refuses API keys altogether: for what only the person may do.
    pub fn require_login(&self) -> Result<&Identity, AccountError> {
        match &self.via {
            Via::Login(identity) => Ok(identity),
            Via::ApiKey(..) => Err(AccountError::KeyNotAllowed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_has_one_spelling() {
        for text in [
            "Ada@Example.org",
            " ada@example.org ",
            "ada@EXAMPLE.ORG",
            "ａda@example.org",
        ] {
            assert_eq!(
                text.parse::<Email>().map(|e| e.0),
                Ok("ada@example.org".to_owned()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.org", "a".repeat(250));
        for text in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "a b@c.d",
            "a@b@c.d",
            "a\0@b.c",
            "a@.b",
            "a@-b.c",
            "a@b..c",
            &long,
        ] {
            assert_eq!(text.parse::<Email>(), Err(BadEmail), "{text:?}");
        }
    }

    #[test]
    fn a_password_is_counted_in_characters() {
        assert!(Password::choose("1234567".to_owned()).is_err());
        assert!(Password::choose("😀".repeat(8)).is_ok());
        assert!(Password::choose("x".repeat(1025)).is_err());
    }

    #[test]
    fn secrets_do_not_print() {
        let shown = format!("{:?}", Password::attempt("hunter2hunter2".to_owned()));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
