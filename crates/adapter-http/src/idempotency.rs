//! The `Idempotency-Key` header: it makes sending a question again harmless.
//!
//! After draft-ietf-httpapi-idempotency-key-header-07, where the key is a string in quotes; most clients
//! send it without them, so both are taken.

use actix_web::http::header::HeaderMap;
use domain::chat::{ChatError, IdempotencyKey};
use serde::Deserialize;
use utoipa::IntoParams;

/// The header's name.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The header in the document.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct IdempotencyHeader {
    /// A name for this message, new for each (a UUID, say) and the same when it is sent again. Sent again, it
    /// gives the answer that it was given; it is asked again only where no whole answer came.
    #[serde(rename = "Idempotency-Key")]
    #[param(
        min_length = 1,
        max_length = 255,
        pattern = r#"^[!-~]+$"#,
        required = false,
        nullable = false
    )]
    _key: Option<String>,
}

/// The key that was sent, if any. Two of them name nothing.
pub(crate) fn sent_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, ChatError> {
    let mut sent = headers.get_all(IDEMPOTENCY_KEY);
    match (sent.next(), sent.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let text = value.to_str().map_err(|_| ChatError::MalformedKey)?;
            IdempotencyKey::new(unquoted(text)).map(Some)
        }
        (Some(_), Some(_)) => Err(ChatError::MalformedKey),
    }
}

fn unquoted(text: &str) -> &str {
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    inner.unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};
    use domain::ids::SessionId;
    use domain::session::Role;
    use uuid::Uuid;

    use super::*;

    fn read(values: &[&str]) -> Result<Option<IdempotencyKey>, ChatError> {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
            headers.append(HeaderName::from_static(IDEMPOTENCY_KEY), value);
        }
        sent_key(&headers)
    }

    #[test]
    fn a_key_with_quotes_is_the_key_without_them() {
        let session = SessionId::new(Uuid::nil());
        let id = |values| {
            let key = read(values).expect("is read").expect("is there");
            key.message_id(session, Role::User)
        };
        assert_eq!(id(&["abc-1"]), id(&["\"abc-1\""]));
        assert_ne!(id(&["abc-1"]), id(&["abc-2"]));
        assert!(read(&[]).expect("nothing is fine").is_none());
    }

    #[test]
    fn what_names_nothing_is_refused() {
        let long = "k".repeat(256);
        for values in [
            &[""][..],
            &["\"\""],
            &["a b"],
            &["\u{e9}"],
            &[&long],
            &["a", "a"],
        ] {
            assert!(
                matches!(read(values), Err(ChatError::MalformedKey)),
                "{values:?}"
            );
        }
    }
}
