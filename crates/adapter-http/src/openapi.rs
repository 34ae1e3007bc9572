//! The OpenAPI document: drawn from the routes that are served, completed by what follows from each
//! operation's shape.
//!
//! An operation says what is its own: its tag, its parameters, its good answer, and the failures that
//! only it has. That a body can be malformed, an id unknown or a token missing is added here, so that
//! no handler repeats it and none can forget it.

use actix_web::App;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Components, ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi as _};
use utoipa_actix_web::AppExt;

use crate::ProblemBody;
use crate::routes;

const PROBLEM: &str = "application/problem+json";

/// The failures that many operations share: status, name of the component, what it means.
const SHARED: [(&str, &str, &str); 10] = [
    (
        "400",
        "Malformed",
        "The request cannot be read: no JSON, or two credentials at once.",
    ),
    (
        "401",
        "Unauthenticated",
        "No credential, or one that is not valid.",
    ),
    (
        "403",
        "Forbidden",
        "An API key lacks the scope, or is not enough for this.",
    ),
    (
        "404",
        "NotFound",
        "Unknown, or somebody else's: the two are never told apart.",
    ),
    (
        "413",
        "TooLarge",
        "The body is larger than the server takes.",
    ),
    (
        "415",
        "WrongMediaType",
        "The body is not `application/json`.",
    ),
    (
        "422",
        "Invalid",
        "A field or parameter breaks a rule; `errors` names it.",
    ),
    (
        "429",
        "TooManyRequests",
        "Too many calls; `Retry-After` says when to come back.",
    ),
    ("500", "Internal", "A fault of the server."),
    (
        "503",
        "Unavailable",
        "The database, the index or the model is not available.",
    ),
];

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "MemoryChat",
        description = "A chat backend that remembers: what is said in one session is recalled in a later one, \
            in the right memory profile and as the session's privacy mode allows.\n\n\
            Log in and send `Authorization: Bearer <access_token>`, or send an API key as `X-API-Key`. \
            An API key needs the scope `read` for `GET` and search, `chat` for turns and `write` for the rest.\n\n\
            Failures are problems as in RFC 9457; `code` is a stable word for programs. Lists are bare arrays; \
            the `Link` header leads to the next page.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/", description = "This server")),
    components(schemas(ProblemBody)),
    tags(
        (name = routes::tags::AUTH, description = "Accounts: signing up, logging in and out"),
        (name = routes::tags::API_KEYS, description = "Keys for service-to-service calls"),
        (name = routes::tags::PROFILES, description = "Memory profiles: isolated sets of memories"),
        (name = routes::tags::MEMORIES, description = "What is remembered in a profile"),
        (name = routes::tags::SESSIONS, description = "Conversations and their privacy modes"),
        (name = routes::tags::MESSAGES, description = "The stored messages of a session"),
        (name = routes::tags::CHAT, description = "Turns: a question and its answer"),
        (name = routes::tags::OPERATIONS, description = "Health and metrics of the server"),
    ),
    modifiers(&SharedParts),
)]
struct Base;

/// The security schemes and the shared failures, as components.
struct SharedParts;

impl Modify for SharedParts {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_with(Components::new);
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.bearer_format = Some("JWT".to_owned());
        bearer.description = Some("The access token of a user's log-in.".to_owned());
        let key = ApiKeyValue::with_description("X-API-Key", "A key for service-to-service calls.");
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        components.add_security_scheme("apiKey", SecurityScheme::ApiKey(ApiKey::Header(key)));
        for (status, name, description) in SHARED {
            let response = problem(status, description);
            components
                .responses
                .insert(name.to_owned(), response.into());
        }
    }
}

/// What a document starts from, before any route is registered.
pub(crate) fn base() -> OpenApi {
    Base::openapi()
}

/// The document of all routes. It needs no state and no server.
pub fn document() -> OpenApi {
    let (_, document) = App::new()
        .into_utoipa_app()
        .openapi(base())
        .configure(routes::register)
        .split_for_parts();
    complete(document)
}

/// Adds to each operation what follows from its shape.
pub(crate) fn complete(mut document: OpenApi) -> OpenApi {
    for (path, item) in &mut document.paths.paths {
        let under_api = path.starts_with("/api/");
        for operation in operations(item) {
            if under_api {
                add_shared_failures(operation);
            }
            for (status, response) in &mut operation.responses.responses {
                if let RefOr::T(response) = response {
                    fill_problem(status, response);
                }
            }
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.patch,
        &mut item.delete,
    ]
    .into_iter()
    .flatten()
}

/// Without a `security` of its own, an operation takes a token or a key.
fn add_shared_failures(operation: &mut Operation) {
    let security = operation.security.get_or_insert_with(|| {
        let none: [String; 0] = [];
        vec![
            SecurityRequirement::new("bearer", none.clone()),
            SecurityRequirement::new("apiKey", none),
        ]
    });
    let public = security.contains(&SecurityRequirement::default());
    let has_body = operation.request_body.is_some();
    let mut statuses = vec!["429", "500", "503"];
    if !public {
        statuses.extend(["400", "401", "403"]);
    }
    if has_body {
        statuses.extend(["400", "413", "415", "422"]);
    }
    if has_parameter(operation, &ParameterIn::Path) {
        statuses.push("404");
    }
    if has_parameter(operation, &ParameterIn::Query) {
        statuses.push("422");
    }
    for (status, name, _) in SHARED {
        if statuses.contains(&status) {
            let shared = Ref::from_response_name(name);
            let responses = &mut operation.responses.responses;
            responses.entry(status.to_owned()).or_insert(shared.into());
        }
    }
}

fn has_parameter(operation: &Operation, place: &ParameterIn) -> bool {
    let parameters = operation.parameters.iter().flatten();
    parameters
        .into_iter()
        .any(|p| matches!(p, RefOr::T(Parameter { parameter_in, .. }) if parameter_in == place))
}

/// A failure with nothing but a description is a problem.
fn fill_problem(status: &str, response: &mut Response) {
    if status.starts_with(['4', '5']) && response.content.is_empty() {
        *response = problem(status, &response.description);
    }
}

fn problem(status: &str, description: &str) -> Response {
    let body = Ref::from_schema_name("Problem");
    let response = ResponseBuilder::new()
        .description(description)
        .content(PROBLEM, ContentBuilder::new().schema(Some(body)).build());
    match status {
        "401" => response.header("WWW-Authenticate", header("`Bearer`", Type::String)),
        "409" | "429" | "503" => response.header(
            "Retry-After",
            header("Seconds to wait, where that is known.", Type::Integer),
        ),
        _ => response,
    }
    .build()
}

fn header(description: &str, of: Type) -> Header {
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(of)))
        .description(Some(description))
        .build()
}
