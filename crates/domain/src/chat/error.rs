//! What can go wrong in a turn.

use std::time::Duration;

use crate::error::{Classify, ErrorKind, FieldError, Source};
use crate::session::TranscriptError;
use crate::store::{MayBeAborted, StoreError};

/// A failure of a model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// There is no model here. The text says how to get one, fit to be shown to a person.
    #[error("no chat model: {way_out}")]
    Missing {
        /// What the operator can do.
        way_out: String,
    },
    /// All places are taken.
    #[error("the model is busy")]
    Busy,
    /// The service has had enough calls for now.
    #[error("the model service limits the rate of calls")]
    RateLimited {
        /// How long it wants us to wait.
        retry_after: Option<Duration>,
    },
    /// The service does not accept our key.
    #[error("the model service refused our credentials")]
    Unauthorized,
    /// The model declined to answer.
    #[error("the model declined to answer")]
    Refused,
    /// The prompt is longer than the model's window.
    #[error("the prompt is too long for the model")]
    PromptTooLong,
    /// It cannot be reached or fails by itself.
    #[error("the model is not available")]
    Unavailable(#[source] Source),
    /// It took too long to connect, to start or to go on.
    #[error("the model took too long")]
    Timeout,
    /// It broke off in the middle of an answer.
    #[error("the model broke off its answer")]
    Interrupted,
    /// It said something that cannot be understood.
    #[error("the model's answer cannot be understood")]
    Malformed(#[source] Source),
}

impl Classify for ModelError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing { .. } | Self::Busy | Self::RateLimited { .. } | Self::Unavailable(_) => {
                ErrorKind::Unavailable
            }
            Self::Unauthorized | Self::Refused | Self::Interrupted | Self::Malformed(_) => {
                ErrorKind::Upstream
            }
            Self::PromptTooLong => ErrorKind::Invalid,
            Self::Timeout => ErrorKind::Timeout,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } | Self::Unavailable(_) => "model_unavailable",
            Self::Busy => "model_busy",
            Self::RateLimited { .. } => "model_rate_limited",
            Self::Unauthorized => "model_unauthorized",
            Self::Refused => "model_refused",
            Self::PromptTooLong => "context_too_long",
            Self::Timeout => "model_timeout",
            Self::Interrupted => "model_interrupted",
            Self::Malformed(_) => "model_malformed",
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Missing { way_out } => format!("There is no chat model: {way_out}."),
            Self::Busy => "The model is busy. Try again in a moment.".to_owned(),
            Self::RateLimited { .. } => {
                "The model service limits the rate of calls. Try again later.".to_owned()
            }
            Self::Unauthorized => "The model service refused this server's credentials.".to_owned(),
            Self::Refused => "The model declined to answer this.".to_owned(),
            Self::PromptTooLong => "The message is too long for the model.".to_owned(),
            Self::Unavailable(_) => "The model is not available. Try again in a moment.".to_owned(),
            Self::Timeout => "The model took too long to answer.".to_owned(),
            Self::Interrupted => "The model broke off its answer.".to_owned(),
            Self::Malformed(_) => "The model's answer could not be understood.".to_owned(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } => {
                Some(retry_after.unwrap_or(Duration::from_secs(10)))
            }
            Self::Busy | Self::Unavailable(_) => Some(Duration::from_secs(2)),
            Self::Missing { .. } => Some(Duration::from_mins(1)),
            _ => None,
        }
    }
}

/// A failure of a turn.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// No such session of this user.
    #[error("no such session")]
    SessionNotFound,
    /// The session was deleted while the answer was being written.
    #[error("the session was deleted during the turn")]
    SessionGone,
    /// Another answer of this session is still being written elsewhere.
    #[error("the session is answering another message")]
    SessionBusy,
    /// Nothing but white space.
    #[error("the message is empty")]
    Empty,
    /// Too long.
    #[error("the message is too long")]
    TooLong,
    /// A character that cannot be stored.
    #[error("the message holds a NUL character")]
    Nul,
    /// No key that can be used.
    #[error("the idempotency key is malformed")]
    MalformedKey,
    /// The key was given to another question before.
    #[error("the idempotency key belongs to another question")]
    KeyReused,
    /// The asker does not know the newest message of the session, or knows one that is gone.
    #[error("the session's history is not what the asker knows")]
    HistoryChanged,
    /// Where ephemeral turns are kept.
    #[error(transparent)]
    Ephemeral(#[from] TranscriptError),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The database.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for ChatError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { what: "streaming" } => Self::SessionBusy,
            other => Self::Store(other),
        }
    }
}

impl MayBeAborted for ChatError {
    fn is_aborted(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_aborted())
    }
}

impl Classify for ChatError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::SessionNotFound | Self::SessionGone => ErrorKind::NotFound,
            Self::SessionBusy | Self::HistoryChanged => ErrorKind::Conflict,
            Self::Empty | Self::TooLong | Self::Nul | Self::MalformedKey | Self::KeyReused => {
                ErrorKind::Invalid
            }
            Self::Ephemeral(error) => error.kind(),
            Self::Model(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::SessionNotFound | Self::SessionGone => "session_not_found",
            Self::SessionBusy => "session_busy",
            Self::Empty | Self::TooLong | Self::Nul | Self::MalformedKey => "validation_failed",
            Self::KeyReused => "idempotency_key_reused",
            Self::HistoryChanged => "history_changed",
            Self::Ephemeral(error) => error.code(),
            Self::Model(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::SessionNotFound => "No such session.".to_owned(),
            Self::SessionGone => "The session was deleted during the turn.".to_owned(),
            Self::SessionBusy => "This session is still answering another message.".to_owned(),
            Self::Empty => "The message is empty.".to_owned(),
            Self::TooLong => "The message is longer than 10000 characters.".to_owned(),
            Self::Nul => "The message holds a NUL character.".to_owned(),
            Self::MalformedKey => "The idempotency key cannot be used.".to_owned(),
            Self::KeyReused => {
                "This idempotency key belongs to another message of the session.".to_owned()
            }
            Self::HistoryChanged => {
                "The session's newest message is another one. Read its messages again.".to_owned()
            }
            Self::Ephemeral(error) => error.detail(),
            Self::Model(error) => error.detail(),
            Self::Store(error) => error.detail(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Empty | Self::TooLong => {
                vec![FieldError::new("message", "1 to 10000 characters")]
            }
            Self::Nul => vec![FieldError::new("message", "no NUL characters")],
            Self::MalformedKey => vec![FieldError::new(
                "Idempotency-Key",
                "1 to 255 visible ASCII characters",
            )],
            Self::Model(ModelError::PromptTooLong) => {
                vec![FieldError::new("message", "longer than the model's window")]
            }
            _ => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Model(error) => error.retry_after(),
            Self::Store(error) => error.retry_after(),
            Self::Ephemeral(error) => error.retry_after(),
            Self::SessionBusy => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}
