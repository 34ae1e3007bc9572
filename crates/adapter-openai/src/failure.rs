//! What can go wrong with a call, and the one place that reads a service's words about it.
//!
//! Those words may repeat a prompt. They are read for what is known below and dropped: an error keeps
//! a status and at most one code word.

use std::time::Duration;

use domain::chat::ModelError;
use domain::memory::EmbedError;
use serde_json::Value;

use crate::dialect::Feature;

/// A call that gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// No connection, or it broke before the answer began.
    #[error("the service cannot be reached")]
    Transport(#[source] reqwest::Error),
    /// Connected, but no answer in time.
    #[error("the service did not answer in time")]
    TimedOut,
    /// The service said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It answered something else than it was asked for.
    #[error("the service answered {0}")]
    Malformed(&'static str),
}

impl From<reqwest::Error> for Failure {
    /// The address goes: an operator may have put a password into it.
    fn from(error: reqwest::Error) -> Self {
        Self::Transport(error.without_url())
    }
}

impl Failure {
    /// May the same call work a moment later?
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Transport(error) => !error.is_builder(),
            Self::Refused(refusal) => refusal.is_passing(),
            Self::TimedOut | Self::Malformed(_) => false,
        }
    }

    /// How long the service wants us to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            Self::Transport(_) | Self::TimedOut | Self::Malformed(_) => None,
        }
    }
}

impl From<Failure> for ModelError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Transport(error) if error.is_timeout() => Self::Timeout,
            Failure::Transport(error) => Self::Unavailable(Box::new(error)),
            Failure::TimedOut => Self::Timeout,
            Failure::Malformed(_) => Self::Malformed(Box::new(failure)),
            Failure::Refused(refusal) => match refusal.kind {
                Kind::Unauthorized => Self::Unauthorized,
                Kind::RateLimited => Self::RateLimited {
                    retry_after: refusal.retry_after,
                },
                Kind::Declined => Self::Refused,
                Kind::TooLong => Self::PromptTooLong,
                Kind::Broken | Kind::Other => Self::Unavailable(Box::new(refusal)),
            },
        }
    }
}

impl From<Failure> for EmbedError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(Refusal {
                kind: Kind::RateLimited,
                ..
            }) => Self::Busy,
            other => Self::Unavailable(Box::new(other)),
        }
    }
}

/// What a refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Unauthorized,
    RateLimited,
    /// The model or a filter will not answer this.
    Declined,
    TooLong,
    /// The service's own fault.
    Broken,
    Other,
}

/// A refusal, without the service's words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the service answered {status} ({})", .code.as_deref().unwrap_or("no code"))]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    code: Option<String>,
    pub(crate) kind: Kind,
    /// The optional parameter that the service does not take.
    param: Option<&'static str>,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// Reads the body of a refusal; anything may be in it.
    pub(crate) fn new(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let body = serde_json::from_slice(body).unwrap_or(Value::Null);
        Self {
            retry_after,
            ..Self::from_json(status, &body)
        }
    }

    /// Reads an error that came as an event in the middle of an answer.
    pub(crate) fn in_stream(event: &Value) -> Self {
        let status = event.pointer("/error/code").and_then(Value::as_u64);
        Self::from_json(
            status.and_then(|s| u16::try_from(s).ok()).unwrap_or(500),
            event,
        )
    }

    fn from_json(status: u16, body: &Value) -> Self {
        let error = body.get("error").unwrap_or(body);
        let text = |name| error.get(name).and_then(Value::as_str);
        let message = error
            .as_str()
            .or(text("message"))
            .or(text("detail"))
            .unwrap_or_default();
        let code = text("code")
            .or(text("type"))
            .filter(|code| is_code_word(code));
        let complaint = text("param").and_then(Feature::param_named_in);
        Self {
            status,
            kind: kind(status, code.unwrap_or_default(), &message.to_lowercase()),
            code: code.map(str::to_owned),
            param: complaint.or_else(|| Feature::param_named_in(message)),
            retry_after: None,
        }
    }

    /// An empty account is refused like too many calls, but does not mend itself.
    fn is_passing(&self) -> bool {
        match self.kind {
            Kind::RateLimited => self.code.as_deref() != Some("insufficient_quota"),
            Kind::Broken => true,
            Kind::Unauthorized | Kind::Declined | Kind::TooLong | Kind::Other => false,
        }
    }

    /// The optional parameter to leave out, if the refusal is about one.
    pub(crate) fn param(&self) -> Option<&'static str> {
        self.param.filter(|_| self.is_about_the_form())
    }

    /// Is it the form of the request that is refused, not its content or its sender?
    pub(crate) fn is_about_the_form(&self) -> bool {
        self.kind == Kind::Other && matches!(self.status, 400 | 422)
    }
}

/// A short lower-case word: it cannot be a key or somebody's sentence.
fn is_code_word(word: &str) -> bool {
    (1..=48).contains(&word.len())
        && word
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn kind(status: u16, code: &str, message: &str) -> Kind {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    match (status, code) {
        (401 | 403, _) => Kind::Unauthorized,
        (429, _) => Kind::RateLimited,
        (_, "content_filter" | "content_policy_violation") => Kind::Declined,
        (413, _) | (_, "context_length_exceeded" | "exceed_context_size_error") => Kind::TooLong,
        (400 | 422 | 500, _)
            if says(&[
                "context length",
                "context size",
                "context window",
                "too large to process",
            ]) =>
        {
            Kind::TooLong
        }
        (500.., _) => Kind::Broken,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(status: u16, error: &Value) -> Refusal {
        Refusal::new(
            status,
            json!({ "error": error }).to_string().as_bytes(),
            None,
        )
    }

    #[test]
    fn known_refusals_are_told_apart() {
        let code = |code: &str| json!({ "code": code, "message": "no" });
        let says = |message: &str| json!({ "code": 400, "message": message });
        let rows = [
            (401, code("invalid_api_key"), Kind::Unauthorized),
            (403, code("x"), Kind::Unauthorized),
            (429, code("rate_limit_exceeded"), Kind::RateLimited),
            (400, code("content_filter"), Kind::Declined),
            (400, code("context_length_exceeded"), Kind::TooLong),
            (
                400,
                json!({ "code": 400, "type": "exceed_context_size_error" }),
                Kind::TooLong,
            ),
            (
                400,
                says("This model's maximum context length is 4096 tokens"),
                Kind::TooLong,
            ),
            (500, says("input is too large to process"), Kind::TooLong),
            (413, Value::Null, Kind::TooLong),
            (400, says("bad"), Kind::Other),
            (404, code("model_not_found"), Kind::Other),
            (302, Value::Null, Kind::Other),
            (503, Value::Null, Kind::Broken),
        ];
        for (status, error, kind) in rows {
            assert_eq!(refusal(status, &error).kind, kind, "{status} {error}");
        }
    }

    #[test]
    fn any_body_will_do() {
        for body in [
            &b""[..],
            b"<html>",
            b"[1]",
            b"{\"error\":7}",
            b"\xFF",
            &[b'['; 10_000],
        ] {
            assert_eq!(Refusal::new(418, body, None).kind, Kind::Other);
        }
        assert_eq!(
            Refusal::new(400, br#"{"error":"no stream_options"}"#, None).param(),
            Some("stream_options")
        );
        assert_eq!(
            Refusal::new(422, br#"{"detail":"temperature"}"#, None).param(),
            Some("temperature")
        );
    }

    #[test]
    fn a_parameter_counts_only_when_the_form_is_refused() {
        let named = json!({ "message": "Use 'max_completion_tokens'", "param": "max_tokens" });
        assert_eq!(refusal(400, &named).param(), Some("max_tokens"));
        assert_eq!(refusal(429, &named).param(), None);
        let long = json!({ "code": "context_length_exceeded", "message": "lower max_tokens" });
        assert_eq!(refusal(400, &long).param(), None);
    }

    #[test]
    fn an_error_tells_a_status_and_a_code_word_and_nothing_else() {
        let error = json!({ "code": "sk-SECRET", "type": "secret words", "message": "secret" });
        let shown = |refusal: Refusal| format!("{refusal} {refusal:?}").to_lowercase();
        assert!(!shown(refusal(400, &error)).contains("secret"));
        assert!(
            shown(refusal(404, &json!({ "code": "model_not_found" })))
                .contains("404 (model_not_found)")
        );
    }
}
