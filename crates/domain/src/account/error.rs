//! What can go wrong with accounts.

use std::time::Duration;

use super::{BadEmail, HashError, Password, Scope, WeakPassword};
use crate::error::{Classify, ErrorKind, FieldError, Source};
use crate::store::{MayBeAborted, StoreError};

/// A failure of [`AccountService`](super::AccountService) or an identity provider.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Not an address.
    #[error("not an e-mail address")]
    Email(#[from] BadEmail),
    /// Too short or too long.
    #[error("not an acceptable password")]
    Password(#[from] WeakPassword),
    /// The address has an account.
    #[error("this e-mail address is already registered")]
    EmailTaken,
    /// Unknown address or wrong password: the two are never told apart.
    #[error("the e-mail address or the password is wrong")]
    BadCredentials,
    /// The identity service does not take the address or the password.
    #[error("the identity service does not take this address or password")]
    NotTaken(Vec<FieldError>),
    /// The password is right, but the address was never confirmed.
    #[error("the e-mail address is not confirmed")]
    EmailNotConfirmed,
    /// The identity service makes no accounts, or does not know passwords.
    #[error("the identity service does not allow this")]
    NotAllowed,
    /// A user without an account, where only users with one may come in.
    #[error("anonymous users are not let in")]
    Anonymous,
    /// The identity service counts too many attempts.
    #[error("too many attempts")]
    TooMany {
        /// How long to wait, where it tells.
        retry_after: Option<Duration>,
    },
    /// Another refresh of the same log-in is at work; nothing was lost.
    #[error("the log-in is being refreshed")]
    RefreshBusy,
    /// The credential is malformed, expired, revoked or of another kind.
    #[error("the access token is not valid")]
    BadToken,
    /// The API key is unknown, expired or revoked.
    #[error("the API key is not valid")]
    BadApiKey,
    /// The API key lacks a scope.
    #[error("this API key lacks the scope '{}'", .0.as_str())]
    MissingScope(Scope),
    /// Only the person may do this.
    #[error("this needs a user's access token; an API key is not enough")]
    KeyNotAllowed,
    /// No such key of this user.
    #[error("no such API key")]
    ApiKeyNotFound,
    /// A field of an API key draft.
    #[error("the API key cannot be made like this")]
    ApiKeyDraft(Vec<FieldError>),
    /// The account is gone.
    #[error("no such user")]
    UserNotFound,
    /// Too many passwords are being checked.
    #[error("password check failed")]
    Hash(#[from] HashError),
    /// The identity service does not answer.
    #[error("the identity service is not available")]
    Provider(#[source] Source),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Classify for AccountError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Email(_) | Self::Password(_) | Self::NotTaken(_) | Self::ApiKeyDraft(_) => {
                ErrorKind::Invalid
            }
            Self::EmailTaken | Self::RefreshBusy => ErrorKind::Conflict,
            Self::TooMany { .. } => ErrorKind::RateLimited,
            Self::BadCredentials | Self::BadToken | Self::BadApiKey => ErrorKind::Unauthenticated,
            Self::MissingScope(_)
            | Self::KeyNotAllowed
            | Self::EmailNotConfirmed
            | Self::NotAllowed
            | Self::Anonymous => ErrorKind::Forbidden,
            Self::ApiKeyNotFound | Self::UserNotFound => ErrorKind::NotFound,
            Self::Hash(HashError::Busy) | Self::Provider(_) => ErrorKind::Unavailable,
            Self::Hash(HashError::Failed(_)) => ErrorKind::Internal,
            Self::Store(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Email(_) | Self::Password(_) | Self::NotTaken(_) | Self::ApiKeyDraft(_) => {
                "validation_failed"
            }
            Self::EmailTaken => "email_taken",
            Self::EmailNotConfirmed => "email_not_confirmed",
            Self::NotAllowed => "identity_refused",
            Self::Anonymous => "anonymous_user",
            Self::TooMany { .. } => "rate_limited",
            Self::RefreshBusy => "refresh_busy",
            Self::BadCredentials => "invalid_credentials",
            Self::BadToken => "invalid_token",
            Self::BadApiKey => "invalid_api_key",
            Self::MissingScope(_) => "missing_scope",
            Self::KeyNotAllowed => "user_token_required",
            Self::ApiKeyNotFound => "api_key_not_found",
            Self::UserNotFound => "user_not_found",
            Self::Hash(HashError::Busy) => "login_busy",
            Self::Hash(HashError::Failed(_)) => "internal",
            Self::Provider(_) => "identity_unavailable",
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Email(_) => "That is not an e-mail address.".to_owned(),
            Self::Password(_) => {
                format!(
                    "A password needs at least {} characters.",
                    Password::MIN_CHARS
                )
            }
            Self::EmailTaken => "This e-mail address is already registered.".to_owned(),
            Self::NotTaken(_) => "The address or the password cannot be used.".to_owned(),
            Self::EmailNotConfirmed => {
                "Confirm the e-mail address with the link that was sent to it.".to_owned()
            }
            Self::NotAllowed => "The identity service does not allow this.".to_owned(),
            Self::Anonymous => "This needs an account; anonymous users are not let in.".to_owned(),
            Self::TooMany { .. } => "Too many attempts. Try again later.".to_owned(),
            Self::RefreshBusy => {
                "This log-in is being refreshed already. Try again in a moment.".to_owned()
            }
            Self::BadCredentials => "The e-mail address or the password is wrong.".to_owned(),
            Self::BadToken => {
                "The access token is missing, expired or not valid. Log in again.".to_owned()
            }
            Self::BadApiKey => "The API key is unknown, expired or revoked.".to_owned(),
            Self::MissingScope(scope) => {
                format!("This API key lacks the scope '{}'.", scope.as_str())
            }
            Self::KeyNotAllowed => {
                "This needs a user's access token; an API key is not enough.".to_owned()
            }
            Self::ApiKeyNotFound => "No such API key.".to_owned(),
            Self::ApiKeyDraft(_) => "The API key cannot be made like this.".to_owned(),
            Self::UserNotFound => "No such user.".to_owned(),
            Self::Hash(HashError::Busy) => {
                "Too many log-ins at once. Try again in a moment.".to_owned()
            }
            Self::Hash(HashError::Failed(_)) => "Something went wrong on our side.".to_owned(),
            Self::Provider(_) => {
                "The identity service is not available. Try again in a moment.".to_owned()
            }
            Self::Store(error) => error.detail(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Email(error) => vec![FieldError::new("email", error.to_string())],
            Self::Password(error) => vec![FieldError::new("password", error.to_string())],
            Self::NotTaken(fields) | Self::ApiKeyDraft(fields) => fields.clone(),
            Self::EmailTaken
            | Self::EmailNotConfirmed
            | Self::NotAllowed
            | Self::Anonymous
            | Self::TooMany { .. }
            | Self::RefreshBusy
            | Self::BadCredentials
            | Self::BadToken
            | Self::BadApiKey
            | Self::MissingScope(_)
            | Self::KeyNotAllowed
            | Self::ApiKeyNotFound
            | Self::UserNotFound
            | Self::Hash(_)
            | Self::Provider(_)
            | Self::Store(_) => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Hash(HashError::Busy) | Self::Provider(_) | Self::RefreshBusy => {
                Some(Duration::from_secs(2))
            }
            Self::TooMany { retry_after } => Some(retry_after.unwrap_or(Duration::from_mins(1))),
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }
}

impl MayBeAborted for AccountError {
    fn is_aborted(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_aborted())
    }
}
