//! What went wrong, in words that any driver (HTTP, worker, command line) can act on.

use std::time::Duration;

/// The kinds of failure. Closed on purpose: each driver maps all of them in one `match`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A value breaks a rule; the caller can mend it.
    Invalid,
    /// The request is well formed but makes no sense in the present state.
    Refused,
    /// No valid credential.
    Unauthenticated,
    /// A known caller without the right.
    Forbidden,
    /// Unknown, or somebody else's: the two are never told apart.
    NotFound,
    /// In the way of something that exists.
    Conflict,
    /// Too many calls.
    RateLimited,
    /// The model answered wrongly.
    Upstream,
    /// A store, index or model cannot be reached.
    Unavailable,
    /// A store, index or model took too long.
    Timeout,
    /// A fault of this program or its data.
    Internal,
}

/// A field of the request that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Name of the field.
    pub field: &'static str,
    /// What is wrong with it, fit to be shown to a person.
    pub detail: String,
}

impl FieldError {
    /// Names the field and what is wrong with it.
    pub fn new(field: &'static str, detail: impl Into<String>) -> Self {
        Self {
            field,
            detail: detail.into(),
        }
    }
}

/// Implemented by every error that a driver may have to show.
pub trait Classify: std::error::Error + Send + Sync + 'static {
    /// The kind of failure.
    fn kind(&self) -> ErrorKind;

    /// A stable machine word such as `session_not_found`; never renamed once released.
    fn code(&self) -> &'static str;

    /// A sentence for a person. It holds nothing but what the caller sent or may know: never SQL,
    /// paths, other people's data or an upstream's words.
    fn detail(&self) -> String {
        self.to_string()
    }

    /// The fields that are wrong, for [`ErrorKind::Invalid`].
    fn fields(&self) -> Vec<FieldError> {
        Vec::new()
    }

    /// How long to wait before trying again, where that is known.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// The erased cause of a port's failure: kept for the log, of no meaning to the domain.
pub type Source = Box<dyn std::error::Error + Send + Sync + 'static>;
