//! Keys for service-to-service calls. Only a user's own token may make, list or revoke them.

use actix_web::web::{Data, Json};
use actix_web::{HttpResponse, delete, get, post};
use domain::account::{ApiKey, ApiKeyDraft};
use domain::ids::ApiKeyId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::tags;
use super::wire::{ApiKeyPath, ScopeName, Timestamp};
use crate::auth::Caller;
use crate::extract::{JsonBody, PathOf};
use crate::{Api, Problem};

/// Registers the routes of this module.
pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(list_api_keys)
        .service(create_api_key)
        .service(revoke_api_key);
}

/// A key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateApiKeyRequest {
    /// What to call it.
    #[schema(min_length = 1, max_length = 100, example = "nightly export")]
    name: String,
    /// What it may do.
    #[schema(min_items = 1, max_items = 3)]
    scopes: Vec<ScopeName>,
    /// When it stops working; never, if absent.
    expires_at: Option<Timestamp>,
}

impl From<CreateApiKeyRequest> for ApiKeyDraft {
    fn from(request: CreateApiKeyRequest) -> Self {
        Self {
            name: request.name,
            scopes: request.scopes.into_iter().map(Into::into).collect(),
            expires_at: request.expires_at.map(|at| at.0),
        }
    }
}

/// An API key, without its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKeyResponse {
    id: Uuid,
    #[schema(max_length = 100, example = "nightly export")]
    name: String,
    /// The first characters of the key, to tell keys apart.
    #[schema(max_length = 32)]
    prefix: String,
    #[schema(max_items = 3)]
    scopes: Vec<ScopeName>,
    created_at: Timestamp,
    #[schema(required = true)]
    expires_at: Option<Timestamp>,
    #[schema(required = true)]
    revoked_at: Option<Timestamp>,
}

impl From<ApiKey> for ApiKeyResponse {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id.as_uuid(),
            name: key.name,
            prefix: key.prefix,
            scopes: key.scopes.into_iter().map(Into::into).collect(),
            created_at: key.created_at.into(),
            expires_at: key.expires_at.map(Into::into),
            revoked_at: key.revoked_at.map(Into::into),
        }
    }
}

/// A new API key with its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewApiKeyResponse {
    #[serde(flatten)]
    key: ApiKeyResponse,
    /// The key itself, to be sent as `X-API-Key`. It is shown here and never again.
    #[schema(max_length = 200)]
    api_key: String,
}

/// What was revoked.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKeyRevokedResponse {
    #[schema(max_length = 200, example = "API key revoked.")]
    message: &'static str,
    api_key_id: Uuid,
}

/// List API keys
///
/// Newest first, revoked ones included, without their secrets.
#[utoipa::path(
    operation_id = "listApiKeys", tag = tags::API_KEYS, security(("bearer" = [])),
    responses((status = OK, description = "All keys of the user.", body = [ApiKeyResponse]))
)]
#[get("/api-keys")]
async fn list_api_keys(
    api: Data<Api>,
    caller: Caller,
) -> Result<Json<Vec<ApiKeyResponse>>, Problem> {
    let keys = api.accounts.list_api_keys(&caller.0).await?;
    Ok(Json(keys.into_iter().map(Into::into).collect()))
}

/// Make an API key
///
/// For service-to-service calls on behalf of the user. The secret is shown once.
#[utoipa::path(
    operation_id = "createApiKey", tag = tags::API_KEYS, security(("bearer" = [])),
    request_body = CreateApiKeyRequest,
    responses((status = CREATED, description = "The key with its secret.", body = NewApiKeyResponse))
)]
#[post("/api-keys")]
async fn create_api_key(
    api: Data<Api>,
    caller: Caller,
    body: JsonBody<CreateApiKeyRequest>,
) -> Result<HttpResponse, Problem> {
    let draft = body.into_inner().into();
    let (key, api_key) = api.accounts.create_api_key(&caller.0, draft).await?;
    let key = key.into();
    Ok(HttpResponse::Created().json(NewApiKeyResponse { key, api_key }))
}

/// Revoke an API key
///
/// It is refused from now on.
#[utoipa::path(
    operation_id = "revokeApiKey", tag = tags::API_KEYS, security(("bearer" = [])), params(ApiKeyPath),
    responses((status = OK, description = "The key no longer works.", body = ApiKeyRevokedResponse))
)]
#[delete("/api-keys/{api_key_id}")]
async fn revoke_api_key(
    api: Data<Api>,
    caller: Caller,
    path: PathOf<ApiKeyPath>,
) -> Result<Json<ApiKeyRevokedResponse>, Problem> {
    let id = ApiKeyId::new(path.api_key_id);
    api.accounts.revoke_api_key(&caller.0, id).await?;
    Ok(Json(ApiKeyRevokedResponse {
        message: "API key revoked.",
        api_key_id: path.api_key_id,
    }))
}
