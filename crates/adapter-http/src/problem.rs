//! Errors on the wire: RFC 9457 problem documents.
//!
//! A [`Problem`] says what went wrong; [`observe`](crate::observe) adds where (path and request id),
//! writes the body and the log line. So there is one place where an error becomes bytes.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use domain::error::{Classify, ErrorKind};
use serde::Serialize;
use utoipa::ToSchema;

/// The media type of problem documents.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// An answer that is an error. It holds nothing that its caller may not read, except the cause, which
/// only the log gets to see.
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<FieldProblem>,
    retry_after: Option<Duration>,
    allow: Option<String>,
    cause: Option<String>,
}

/// An error, as RFC 9457 has it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// `urn:memorychat:problem:<code>`.
    #[serde(rename = "type")]
    #[schema(example = "urn:memorychat:problem:session_not_found")]
    kind: String,
    /// The status in words.
    #[schema(example = "Not Found")]
    title: &'static str,
    /// The status.
    #[schema(example = 404, minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong, fit to be shown to a person.
    #[schema(example = "No such session.")]
    detail: String,
    /// The path that was asked for.
    instance: String,
    /// A stable machine word.
    #[schema(example = "session_not_found")]
    code: &'static str,
    /// Finds this request in the server's log.
    request_id: String,
    /// The fields that are wrong, for `validation_failed`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldProblem>,
}

/// A field that is wrong.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct FieldProblem {
    /// JSON pointer to the field; for a query parameter, its name behind a slash.
    #[schema(example = "/message")]
    pub(crate) pointer: String,
    /// What is wrong with it.
    #[schema(example = "1 to 10000 characters")]
    pub(crate) detail: String,
}

impl Problem {
    /// A problem of the HTTP layer itself. `detail` is a sentence for a person.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            allow: None,
            cause: None,
        }))
    }

    /// The problem that a bare status means, for errors that were made outside this crate.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::NOT_FOUND => ("not_found", "There is nothing here."),
            StatusCode::METHOD_NOT_ALLOWED => {
                ("method_not_allowed", "This method is not supported here.")
            }
            StatusCode::REQUEST_TIMEOUT => ("request_timeout", "The request came too slowly."),
            StatusCode::PAYLOAD_TOO_LARGE => ("body_too_large", "The request body is too large."),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                ("unsupported_media_type", "Send JSON as application/json.")
            }
            status if status.is_client_error() => {
                ("bad_request", "This request cannot be understood.")
            }
            _ => ("internal", INTERNAL_DETAIL),
        };
        Self::new(status, code, detail)
    }

    /// The request was understood, but fields of it are wrong.
    pub(crate) fn invalid(detail: impl Into<String>, errors: Vec<FieldProblem>) -> Self {
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation_failed",
            detail,
        );
        problem.0.errors = errors;
        problem
    }

    /// A fault of this program; `cause` is for the log.
    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        let mut problem = Self::of_status(StatusCode::INTERNAL_SERVER_ERROR);
        problem.0.cause = Some(cause.into());
        problem
    }

    /// Tells the caller when to try again.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Tells the caller which methods would work.
    pub(crate) fn allow(mut self, methods: impl Into<String>) -> Self {
        self.0.allow = Some(methods.into());
        self
    }

    /// The machine word.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The chain of causes of a server error, for the log only.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The document.
    pub(crate) fn body(&self, instance: &str, request_id: &str) -> ProblemBody {
        let parts = &*self.0;
        ProblemBody {
            kind: format!("urn:memorychat:problem:{}", parts.code),
            title: parts.status.canonical_reason().unwrap_or("Error"),
            status: parts.status.as_u16(),
            detail: parts.detail.clone(),
            instance: instance.to_owned(),
            code: parts.code,
            request_id: request_id.to_owned(),
            errors: parts.errors.clone(),
        }
    }

    fn add_headers(&self, headers: &mut HeaderMap) {
        if self.0.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.0.retry_after {
            headers.insert(header::RETRY_AFTER, whole_seconds(wait).into());
        }
        if let Some(Ok(methods)) = self.0.allow.as_deref().map(HeaderValue::from_str) {
            headers.insert(header::ALLOW, methods);
        }
    }
}

/// What a caller is told of a fault of ours; the cause is for the log.
const INTERNAL_DETAIL: &str = "Something went wrong on our side.";

/// Seconds to wait, rounded up, so that whoever waits has waited long enough.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    let part = u64::from(wait.subsec_nanos() > 0);
    (wait.as_secs() + part).max(1)
}

/// The one place where kinds of failure become statuses.
const fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Refused => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Upstream => StatusCode::BAD_GATEWAY,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl<E: Classify> From<E> for Problem {
    fn from(error: E) -> Self {
        let status = status_of(error.kind());
        let detail = match error.kind() {
            ErrorKind::Internal => INTERNAL_DETAIL.to_owned(),
            _ => error.detail(),
        };
        let mut problem = Self::new(status, error.code(), detail);
        problem.0.errors = error
            .fields()
            .into_iter()
            .map(|field| FieldProblem {
                pointer: format!("/{}", field.field),
                detail: field.detail,
            })
            .collect();
        problem.0.retry_after = error.retry_after().or_else(|| {
            (status == StatusCode::SERVICE_UNAVAILABLE).then_some(Duration::from_secs(1))
        });
        problem.0.cause = status.is_server_error().then(|| chain(&error));
        problem
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.code)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    /// Everything but the body, which [`observe`](crate::observe) writes.
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::new(self.0.status);
        self.add_headers(response.headers_mut());
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::num::ParseIntError);

    impl Classify for Outer {
        fn kind(&self) -> ErrorKind {
            ErrorKind::Internal
        }

        fn code(&self) -> &'static str {
            "broken"
        }
    }

    #[test]
    fn a_fault_of_ours_tells_its_cause_to_the_log_only() {
        let Err(source) = "x".parse::<u8>() else {
            unreachable!()
        };
        let problem = Problem::from(Outer(source));
        assert_eq!(problem.status_code(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(
            problem.cause(),
            Some("outer: invalid digit found in string")
        );
        assert_eq!(problem.body("/p", "r").detail, INTERNAL_DETAIL);
    }

    #[test]
    fn waits_are_rounded_up() {
        let seconds = |millis| whole_seconds(Duration::from_millis(millis));
        assert_eq!([0, 1, 1000, 1001].map(seconds), [1, 1, 1, 2]);
    }
}
