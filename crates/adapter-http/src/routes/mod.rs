//! The routes under `/api/v1`: one module per resource, with its handlers and its wire types.
//!
//! # To add an endpoint
//! 1. Write the handler in its module with an attribute macro (`#[get(..)]`) below a `#[utoipa::path]`:
//!    operation id (a verb first), tag, path and query parameters, request body, the good answer, and
//!    those failures that only this endpoint has. Failures that follow from its shape (no token, bad
//!    body, unknown id) are added to the document by [`crate::openapi`].
//! 2. Name it in that module's `configure` with `.service(..)`; `.route(..)` would serve it and leave it
//!    out of the document.
//! 3. Write the document anew: `UPDATE_OPENAPI=1 cargo test -p adapter-http --test openapi`.

pub(crate) mod accounts;
pub(crate) mod api_keys;
pub(crate) mod chat;
pub(crate) mod memories;
pub(crate) mod messages;
pub(crate) mod profiles;
pub(crate) mod sessions;
pub(crate) mod wire;

use actix_web::middleware::from_fn;
use utoipa_actix_web::scope;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::rate_limit::admit;

/// The tags of the document, one per resource.
pub(crate) mod tags {
    pub(crate) const AUTH: &str = "auth";
    pub(crate) const API_KEYS: &str = "api-keys";
    pub(crate) const PROFILES: &str = "memory-profiles";
    pub(crate) const MEMORIES: &str = "memories";
    pub(crate) const SESSIONS: &str = "sessions";
    pub(crate) const MESSAGES: &str = "messages";
    pub(crate) const CHAT: &str = "chat";
    pub(crate) const OPERATIONS: &str = "operations";
}

/// Registers every route under `/api/v1`, for serving and for the document alike.
pub(crate) fn configure(config: &mut ServiceConfig) {
    accounts::configure(config);
    api_keys::configure(config);
    profiles::configure(config);
    memories::configure(config);
    sessions::configure(config);
    messages::configure(config);
    chat::configure(config);
}

/// Registers every route of the service.
pub(crate) fn register(config: &mut ServiceConfig) {
    crate::health::configure(config);
    config.service(scope("/api/v1").configure(configure).wrap(from_fn(admit)));
}
