//! Pages of lists: what clients ask for, and how they find the next page.
//!
//! The body of a list is a bare array. Where the next page starts stands in a `Link` header with
//! `rel="next"`, as a cursor that clients pass back unread.

use actix_web::body::BoxBody;
use actix_web::http::header::LINK;
use actix_web::{HttpRequest, HttpResponse, Responder};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::error::{Classify, ErrorKind, FieldError};
use domain::page::{Cursor, Page, PageRequest, Position};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use uuid::Uuid;

/// Farthest offset: behind it, cursors are the way.
pub(crate) const MAX_OFFSET: i64 = 1_000_000;

/// A page that cannot be asked for.
#[derive(Debug, thiserror::Error)]
#[error("not a page that can be asked for")]
pub(crate) struct BadPage(Vec<FieldError>);

impl Classify for BadPage {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }

    fn code(&self) -> &'static str {
        "validation_failed"
    }

    fn detail(&self) -> String {
        "This page cannot be asked for.".to_owned()
    }

    fn fields(&self) -> Vec<FieldError> {
        self.0.clone()
    }
}

/// How many items a list gives: by default, and at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Without `limit`.
    pub(crate) default: u32,
    /// The largest `limit`.
    pub(crate) max: u32,
}

/// Paging parameters of the messages of a session: 100 by default and 500 at most.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct MessagesQuery {
    /// At most this many items.
    #[param(minimum = 1, maximum = 500, default = 100)]
    limit: Option<i64>,
    /// Skip this many items.
    #[param(minimum = 0, maximum = 1_000_000, default = 0)]
    offset: Option<i64>,
    /// Start of the page, taken from the `Link` header of the page before. Not together with `offset`.
    #[param(max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

impl MessagesQuery {
    /// The page meant.
    pub(crate) fn page(&self) -> Result<PageRequest, BadPage> {
        let limits = Limits {
            default: 100,
            max: 500,
        };
        page_request(limits, self.limit, self.offset, self.cursor.as_deref())
    }
}

/// Checks paging parameters. What is out of bounds is refused, not bent into them.
pub(crate) fn page_request(
    limits: Limits,
    limit: Option<i64>,
    offset: Option<i64>,
    cursor: Option<&str>,
) -> Result<PageRequest, BadPage> {
    let mut wrong = Vec::new();
    let limit = match limit.map(u32::try_from) {
        None => limits.default,
        Some(Ok(limit)) if (1..=limits.max).contains(&limit) => limit,
        Some(_) => {
            let detail = format!("a number from 1 to {}", limits.max);
            wrong.push(FieldError::new("limit", detail));
            limits.default
        }
    };
    let position = position(offset, cursor).unwrap_or_else(|error| {
        wrong.push(error);
        Position::Offset(0)
    });
    if wrong.is_empty() {
        Ok(PageRequest { limit, position })
    } else {
        Err(BadPage(wrong))
    }
}

fn position(offset: Option<i64>, cursor: Option<&str>) -> Result<Position, FieldError> {
    match (offset, cursor) {
        (Some(_), Some(_)) => Err(FieldError::new("cursor", "not together with offset")),
        (None, None) => Ok(Position::Offset(0)),
        (None, Some(text)) => decode(text)
            .map(Position::After)
            .ok_or_else(|| FieldError::new("cursor", "not a cursor of this service")),
        (Some(offset), None) => match u64::try_from(offset) {
            Ok(n) if offset <= MAX_OFFSET => Ok(Position::Offset(n)),
            _ => {
                let detail = format!("a number from 0 to {MAX_OFFSET}");
                Err(FieldError::new("offset", detail))
            }
        },
    }
}

fn encode(cursor: Cursor) -> String {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&cursor.key.to_be_bytes());
    bytes[8..].copy_from_slice(cursor.id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Option<Cursor> {
    let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    let (key, id) = bytes.split_first_chunk::<8>()?;
    Some(Cursor {
        key: i64::from_be_bytes(*key),
        id: Uuid::from_slice(id).ok()?,
    })
}

/// Answers with the items as a bare array and, unless it is the last page, a `Link` to the next one.
pub(crate) struct Listing<T>(pub(crate) Page<T>);

impl<T: Serialize> Responder for Listing<T> {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        if let Some(cursor) = self.0.next {
            response.insert_header((LINK, next_link(request, cursor)));
        }
        response.json(self.0.items)
    }
}

/// The same request with another start.
fn next_link(request: &HttpRequest, cursor: Cursor) -> String {
    let mut target = format!("<{}?", request.path());
    for pair in request.query_string().split('&') {
        let name = pair.split('=').next().unwrap_or_default();
        if !matches!(name, "" | "offset" | "cursor") {
            target.push_str(pair);
            target.push('&');
        }
    }
    format!("{target}cursor={}>; rel=\"next\"", encode(cursor))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    const LIMITS: Limits = Limits {
        default: 50,
        max: 100,
    };

    fn cursor(key: i64) -> Cursor {
        Cursor {
            key,
            id: Uuid::from_u128(7),
        }
    }

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        for key in [i64::MIN, -1, 0, 1, i64::MAX] {
            assert_eq!(decode(&encode(cursor(key))), Some(cursor(key)));
        }
        for text in ["", "x", "AAAA", &"A".repeat(33), "ü", &"=".repeat(32)] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_page_out_of_bounds_is_refused_and_named() {
        let wrong = |limit, offset, cursor: Option<&str>| {
            page_request(LIMITS, limit, offset, cursor)
                .map_err(|e| e.0.iter().map(|f| f.field).collect::<Vec<_>>())
                .err()
        };
        assert_eq!(wrong(None, None, None), None);
        assert_eq!(wrong(Some(1), Some(0), None), None);
        assert_eq!(wrong(Some(100), Some(MAX_OFFSET), None), None);
        for limit in [0, -1, 101, i64::MIN, i64::MAX] {
            assert_eq!(wrong(Some(limit), None, None), Some(vec!["limit"]));
        }
        for offset in [-1, MAX_OFFSET + 1, i64::MAX] {
            assert_eq!(wrong(None, Some(offset), None), Some(vec!["offset"]));
        }
        assert_eq!(wrong(None, None, Some("?")), Some(vec!["cursor"]));
        assert_eq!(
            wrong(Some(0), Some(0), Some("?")),
            Some(vec!["limit", "cursor"])
        );
    }

    #[test]
    fn the_next_page_keeps_the_question_and_moves_the_start() {
        let request =
            TestRequest::with_uri("/api/v1/sessions?limit=2&offset=4&memory_profile_id=a")
                .to_http_request();
        let expected = format!(
            "</api/v1/sessions?limit=2&memory_profile_id=a&cursor={}>; rel=\"next\"",
            encode(cursor(3))
        );
        assert_eq!(next_link(&request, cursor(3)), expected);
    }
}
