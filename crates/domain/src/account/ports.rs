//! What accounts need from outside.

use async_trait::async_trait;
use std::net::IpAddr;
use std::time::Duration;
use time::OffsetDateTime;

use super::{
    AccountError, ApiKey, Credential, Email, Identity, Login, LoginState, Password, PasswordHash,
    SignUp, SignedIn, User,
};
use crate::error::Source;
use crate::ids::{ApiKeyId, LoginId, UserId};
use crate::store::StoreError;

/// The owner's own account.
#[async_trait]
pub trait UserRepository: Send {
    /// The owner; `None` when there is no such account.
    async fn find(&mut self) -> Result<Option<User>, StoreError>;
    /// Adds the owner; a user without a hash proves who they are elsewhere.
    /// [`StoreError::Conflict`] on `email` when the address, or on `user` when the id, is taken.
    async fn add(&mut self, user: &User, hash: Option<&PasswordHash>) -> Result<(), StoreError>;
    /// Makes sure that the owner, whom `issuer` vouches for, is there with this address: `true` for the
    /// one call that added them. Of one who is there already only the address changes. Addresses of
    /// such users are not compared with anybody's.
    async fn adopt(&mut self, user: &User, issuer: &str) -> Result<bool, StoreError>;
    /// Replaces the password hash; `false` when there is no such account.
    async fn set_password(
        &mut self,
        hash: &PasswordHash,
        at: OffsetDateTime,
    ) -> Result<bool, StoreError>;
    /// Removes the account and everything that belongs to it; idempotent.
    async fn remove(&mut self) -> Result<bool, StoreError>;
}

/// The owner's log-ins.
#[async_trait]
pub trait LoginRepository: Send {
    /// Adds one; [`StoreError::Conflict`] on `row` when its id is taken.
    async fn add(&mut self, login: &Login) -> Result<(), StoreError>;
    /// Moves from `generation` to the next. `false` when another call has moved it already, or it is
    /// revoked or gone: exactly one of many parallel calls gets `true`.
    async fn advance(&mut self, id: LoginId, generation: u32) -> Result<bool, StoreError>;
    /// Ends one; idempotent.
    async fn revoke(&mut self, id: LoginId, at: OffsetDateTime) -> Result<(), StoreError>;
}

/// The owner's API keys.
#[async_trait]
pub trait ApiKeyRepository: Send {
    /// Adds a key with the hash it is found by.
    async fn add(&mut self, key: &ApiKey, hash: &str) -> Result<(), StoreError>;
    /// All keys of the owner, newest first, revoked ones too.
    async fn list(&mut self) -> Result<Vec<ApiKey>, StoreError>;
    /// Revokes one; `false` when there is no such key. Revoking twice keeps the first time.
    async fn revoke(&mut self, id: ApiKeyId, at: OffsetDateTime) -> Result<bool, StoreError>;
}

/// The few look-ups that happen before it is known who asks. Each returns no more than the check at
/// hand needs, and reads what is committed now: nothing is cached.
#[async_trait]
pub trait AccountDirectory: Send + Sync {
    /// What log-in needs; `None` for an unknown address, and for accounts without a password.
    async fn credential(&self, email: &Email) -> Result<Option<Credential>, StoreError>;
    /// Whether a log-in still counts; `None` when there is none with this id.
    async fn login(&self, id: LoginId) -> Result<Option<LoginState>, StoreError>;
    /// The key with this hash, if its user is active.
    async fn api_key(&self, hash: &str) -> Result<Option<ApiKey>, StoreError>;
}

/// Whether a password matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordVerdict {
    /// It does.
    Match,
    /// It does, but the hash is of an older scheme: hash again and store.
    MatchOutdated,
    /// It does not, or there was no hash, or the hash is malformed.
    NoMatch,
}

/// A failure to hash; a wrong password is none.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The queue is full.
    #[error("too many passwords are being checked")]
    Busy,
    /// The hash function failed.
    #[error("password hashing failed")]
    Failed(#[source] Source),
}

/// Slow, salted password hashes. Work is done away from the async threads, in a bounded number.
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    /// Hashes a password. Two calls give two different hashes.
    async fn hash(&self, password: &Password) -> Result<PasswordHash, HashError>;
    /// Compares. Without a hash it takes as long as with one and says
    /// [`PasswordVerdict::NoMatch`], so that time does not tell whether an account exists.
    async fn verify(
        &self,
        password: &Password,
        hash: Option<&PasswordHash>,
    ) -> Result<PasswordVerdict, HashError>;
}

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessClaims {
    /// The user it speaks for.
    pub user: UserId,
    /// The log-in it belongs to.
    pub login: LoginId,
    /// When it was issued, in whole seconds.
    pub issued_at: OffsetDateTime,
    /// From when on it is refused, in whole seconds.
    pub expires_at: OffsetDateTime,
}

/// What a refresh token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshClaims {
    /// The log-in it belongs to.
    pub login: LoginId,
    /// Its number within the log-in.
    pub generation: u32,
}

/// A token that was not made here, was changed, or is no longer valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid token")]
pub struct TokenError;

/// A new API key: the secret to show once, and what is stored of it.
#[derive(Clone)]
pub struct MintedKey {
    /// The key itself.
    pub secret: String,
    /// The hash it is found by.
    pub hash: String,
    /// Its first characters.
    pub prefix: String,
}

/// Makes and checks the credentials this service issues itself. Nothing here reads a database, so a
/// valid token may still belong to a log-in that has ended.
pub trait TokenAuthority: Send + Sync {
    /// Signs an access token.
    fn access(&self, claims: &AccessClaims) -> Result<String, TokenError>;
    /// Checks signature, kind, issuer, audience and end (30 seconds of leeway at most). A token that was
    /// issued later than now is good: the clock was set back since.
    fn verify_access(&self, token: &str, now: OffsetDateTime) -> Result<AccessClaims, TokenError>;
    /// Makes a refresh token; the same claims always make the same token.
    fn refresh(&self, claims: RefreshClaims) -> String;
    /// Checks that a refresh token was made here.
    fn verify_refresh(&self, token: &str) -> Result<RefreshClaims, TokenError>;
    /// Makes an API key of at least 256 random bits.
    fn mint_api_key(&self) -> Result<MintedKey, TokenError>;
    /// The hash of a presented key; `None` when it does not have the form of one.
    fn api_key_hash(&self, secret: &str) -> Option<String>;
    /// How long an access token lives.
    fn access_lifetime(&self) -> Duration;
}

/// Who people are. [`LocalIdentity`](super::LocalIdentity) keeps accounts in this service's own
/// database; another implementation can ask a remote service.
///
/// `from` is the address of the person's machine, where it is known: a remote service counts attempts
/// by it, and would otherwise take everybody for this one server.
#[async_trait]
pub trait IdentityProvider: Send + Sync {
    /// Makes an account. [`AccountError::EmailTaken`] where the provider tells.
    async fn sign_up(
        &self,
        email: &Email,
        password: &Password,
        from: Option<IpAddr>,
    ) -> Result<SignUp, AccountError>;
    /// Checks a password and opens a log-in.
    async fn log_in(
        &self,
        email: &Email,
        password: &Password,
        from: Option<IpAddr>,
    ) -> Result<SignedIn, AccountError>;
    /// Exchanges a refresh token for the next pair. Presenting the one just used again gives the pair
    /// in force (its answer may have been lost); an older one ends the log-in.
    async fn refresh(
        &self,
        refresh_token: &str,
        from: Option<IpAddr>,
    ) -> Result<SignedIn, AccountError>;
    /// Ends the log-in of this access token, which `authenticate` took for `identity`: its tokens are
    /// refused from now on, everywhere. Idempotent.
    async fn log_out(&self, identity: &Identity, access_token: &str) -> Result<(), AccountError>;
    /// Who an access token speaks for; [`AccountError::BadToken`] for every flaw, and for anything that
    /// is no access token.
    async fn authenticate(&self, access_token: &str) -> Result<Identity, AccountError>;
}
