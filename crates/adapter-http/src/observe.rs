//! The outermost layer: what holds for every request, whatever becomes of it.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpResponse, ResponseError};
use futures::FutureExt;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::headers::Envelope;
use crate::metrics::Metrics;
use crate::problem::MEDIA_TYPE;
use crate::{Api, HttpSettings, Problem};

/// Middleware: gives the request an id and a span, turns panics and bare errors into problems, adds
/// the headers, counts and logs.
pub(crate) async fn observe(
    api: Data<Api>,
    settings: Data<HttpSettings>,
    metrics: Data<Metrics>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let envelope = Envelope::of(&request, &settings, &*api.ids);
    let method = label(request.method());
    // Whatever answers GET answers HEAD alike; the server below leaves the body out.
    if *request.method() == Method::HEAD {
        request.head_mut().method = Method::GET;
    }
    let route = request
        .match_pattern()
        .unwrap_or_else(|| "unmatched".to_owned());
    // The path itself stays out of the log: it may hold anything.
    let span = tracing::info_span!(
        "request", request_id = %envelope.request_id, method, route = %route,
        user_id = Empty, status = Empty, duration_ms = Empty,
    );

    let handled = AssertUnwindSafe(next.call(request).instrument(span.clone())).catch_unwind();
    let (answer, problem) = match handled.await {
        Ok(Ok(response)) => finish(response, &envelope),
        Ok(Err(error)) => abandon(problem_of(&error), &envelope),
        Err(_) => abandon(Problem::internal("a handler panicked"), &envelope),
    };

    let status = match &answer {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    let took = started.elapsed();
    metrics.request(method, &route, status.as_u16(), took);
    span.record("status", status.as_u16());
    span.record("duration_ms", took.as_secs_f64() * 1000.0);
    log(&span, status, problem.as_ref());
    answer
}

type Answer = Result<ServiceResponse<BoxBody>, Error>;

/// Completes an answer. An error that has no document yet gets one; its other headers stay.
fn finish<B: MessageBody + 'static>(
    mut response: ServiceResponse<B>,
    envelope: &Envelope,
) -> (Answer, Option<Problem>) {
    envelope.write(response.headers_mut());
    let Some(problem) = problem_in(&response) else {
        return (Ok(response.map_into_boxed_body()), None);
    };
    let body = document(&problem, envelope);
    describe(response.headers_mut());
    let response = response.map_body(|_, _| BoxBody::new(body));
    (Ok(response), Some(problem))
}

/// Answers a request that got lost on its way, so that no response can be built from it.
fn abandon(problem: Problem, envelope: &Envelope) -> (Answer, Option<Problem>) {
    let mut response: HttpResponse = problem.error_response();
    envelope.write(response.headers_mut());
    describe(response.headers_mut());
    let response = response.set_body(BoxBody::new(document(&problem, envelope)));
    let error = InternalError::from_response(problem.clone(), response);
    (Err(error.into()), Some(problem))
}

/// The error in an answer. Where only the status tells of one, JSON is an answer of our own that has
/// said what there is to say, such as `/readyz`.
fn problem_in<B>(response: &ServiceResponse<B>) -> Option<Problem> {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    if let Some(error) = response.response().error() {
        return Some(problem_of(error));
    }
    let media_type = response.headers().get(CONTENT_TYPE);
    let is_json = media_type.is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    (!is_json).then(|| Problem::of_status(status))
}

/// Our own errors are problems; of a library's, only the status is believed.
fn problem_of(error: &Error) -> Problem {
    match error.as_error::<Problem>() {
        Some(problem) => problem.clone(),
        None => Problem::of_status(error.as_response_error().status_code()),
    }
}

fn document(problem: &Problem, envelope: &Envelope) -> String {
    let body = problem.body(&envelope.path, &envelope.request_id);
    serde_json::to_string(&body).unwrap_or_default()
}

fn describe(headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.remove(CONTENT_LENGTH);
}

/// One line per request. Client errors tell their code; only faults of ours tell their cause.
fn log(span: &Span, status: StatusCode, problem: Option<&Problem>) {
    let _entered = span.enter();
    let code = problem.map(Problem::code);
    if status.is_server_error() {
        tracing::error!(
            code,
            cause = problem.and_then(Problem::cause),
            "request failed"
        );
    } else {
        tracing::info!(code, "request answered");
    }
}

/// Clients can invent methods; labels stay few.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}
