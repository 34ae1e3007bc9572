//! Reading requests. What cannot be read is a [`Problem`] that says where.

use std::future::{Ready, ready};
use std::ops::Deref;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Bytes, BytesMut, Data, Path};
use actix_web::{FromRequest, HttpRequest};
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use serde::Deserializer;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;
use tokio::time::timeout;

use crate::problem::FieldProblem;
use crate::{HttpSettings, Problem};

/// A body that drips in more slowly than this is not waited for.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A JSON body. 415 for another media type, 413 over the limit, 408 when it comes too slowly, 400 for what is no JSON or is nested
/// too deeply, 422 with a pointer for JSON of another shape.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

/// Query parameters; 422 with the parameter's name when one cannot be read.
#[derive(Debug)]
pub struct QueryOf<T>(pub T);

/// Path parameters. One that cannot be read names nothing that exists: 404.
#[derive(Debug)]
pub struct PathOf<T>(pub T);

macro_rules! wrapper {
    ($($name:ident),+) => {$(
        impl<T> $name<T> {
            /// What was read.
            pub fn into_inner(self) -> T {
                self.0
            }
        }

        impl<T> Deref for $name<T> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.0
            }
        }
    )+};
}

wrapper!(JsonBody, QueryOf, PathOf);

impl<T: DeserializeOwned + 'static> FromRequest for JsonBody<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_json = is_json(request);
        let limit = request
            .app_data::<Data<HttpSettings>>()
            .map_or(0, |settings| settings.body_limit);
        let payload = payload.take();
        Box::pin(async move {
            if !is_json {
                return Err(Problem::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
            }
            let body = timeout(BODY_TIMEOUT, read(payload, limit)).await;
            let too_slow = |_| Problem::of_status(StatusCode::REQUEST_TIMEOUT);
            parse(&body.map_err(too_slow)??).map(Self)
        })
    }
}

impl<T: DeserializeOwned> FromRequest for QueryOf<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let pairs = form_urlencoded::parse(request.query_string().as_bytes());
        let read = read_fields(serde_urlencoded::Deserializer::new(pairs));
        ready(read.map(Self).map_err(|(pointer, detail)| {
            let errors = vec![FieldProblem { pointer, detail }];
            Problem::invalid("A query parameter is not valid.", errors)
        }))
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for PathOf<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let path = Path::<T>::from_request(request, payload).into_inner();
        ready(
            path.map(|path| Self(path.into_inner()))
                .map_err(|_| Problem::of_status(StatusCode::NOT_FOUND)),
        )
    }
}

/// Only `application/json` is read: a form on a foreign page cannot send that without being asked for
/// by CORS first.
fn is_json(request: &HttpRequest) -> bool {
    let value = request.headers().get(CONTENT_TYPE);
    let text = value.and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media_type = text.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

async fn read(mut payload: Payload, limit: usize) -> Result<Bytes, Problem> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| malformed("The request body broke off."))?;
        if body.len() + chunk.len() > limit {
            let detail = format!("The request body is longer than {limit} bytes.");
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            return Err(Problem::new(status, "body_too_large", detail));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn malformed(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed_json", detail)
}

/// Reads JSON first and its shape second, so that what is no JSON is told apart from the wrong JSON,
/// whatever comes first. Deep nesting is refused here, before anything follows it.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let json: Value = serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        malformed(&format!(
            "The body is no JSON that can be read: line {line}, column {column}."
        ))
    })?;
    // Serde would take the items of an array for the fields of a struct.
    if !json.is_object() {
        let detail = "The body must be a JSON object.";
        return Err(Problem::invalid(detail, vec![]));
    }
    read_fields(json).map_err(|(pointer, detail)| {
        let errors = vec![FieldProblem { pointer, detail }];
        Problem::invalid("A field of the body is not valid.", errors)
    })
}

/// Reads a value, or says where and why it cannot be read.
fn read_fields<'de, T, D>(from: D) -> Result<T, (String, String)>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    serde_path_to_error::deserialize(from).map_err(|error| {
        let detail = error.inner().to_string();
        let mut pointer = String::new();
        for segment in error.path() {
            pointer.push('/');
            match segment {
                Segment::Seq { index } => pointer.push_str(&index.to_string()),
                name => pointer.push_str(&name.to_string()),
            }
        }
        // A field that is missing has no place of its own yet.
        let missing = detail.strip_prefix("missing field `");
        if let Some((field, _)) = missing.and_then(|rest| rest.split_once('`')) {
            pointer.push('/');
            pointer.push_str(field);
        }
        (pointer, detail)
    })
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;
    use serde::Deserialize;
    use uuid::Uuid;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[expect(dead_code, reason = "only read")]
        id: Uuid,
    }

    fn refusal(body: &[u8]) -> (u16, String) {
        let problem = parse::<Body>(body).expect_err("is refused");
        let document = serde_json::to_value(problem.body("", "")).expect("serializes");
        let pointer = document["errors"][0]["pointer"].as_str().unwrap_or("-");
        (problem.status_code().as_u16(), pointer.to_owned())
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        let deep = format!("{{\"id\":{}", "[".repeat(10_000));
        for body in [
            &b""[..],
            b"{",
            b"\xff\xfe",
            b"{\"id\":1}x",
            b"{\"id\":\"\x00\"}",
            b"{\"id\":\"\\ud800\"}",
            deep.as_bytes(),
        ] {
            assert_eq!(refusal(body), (400, "-".to_owned()));
        }
    }

    #[test]
    fn json_of_another_shape_is_invalid_and_the_place_is_named() {
        for (body, pointer) in [
            ("{}", "/id"),
            ("{\"id\":1}", "/id"),
            ("{\"id\":\"x\"}", "/id"),
            ("{\"id\":null}", "/id"),
            ("{\"more\":1}", "/more"),
            ("{\"id\":{\"a\":1}}", "/id"),
            ("null", "-"),
            ("[\"01890000-0000-7000-8000-000000000000\"]", "-"),
        ] {
            assert_eq!(
                refusal(body.as_bytes()),
                (422, pointer.to_owned()),
                "{body}"
            );
        }
    }
}
