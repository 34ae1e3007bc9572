//! Signing up, logging in and out.

use actix_web::web::{Data, Json};
use actix_web::{HttpResponse, get, post};
use domain::account::{SignUp, SignedIn, User};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::tags;
use super::wire::{DoneResponse, Timestamp};
use crate::auth::{Caller, SentFrom, SentToken};
use crate::extract::JsonBody;
use crate::rate_limit::CredentialAttempt;
use crate::{Api, Problem};

/// Registers the routes of this module.
pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(sign_up)
        .service(log_in)
        .service(refresh)
        .service(log_out)
        .service(me);
}

/// An address and a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CredentialsRequest {
    /// The e-mail address; case does not matter.
    #[schema(format = Email, min_length = 3, max_length = 254, example = "ada@example.org")]
    email: String,
    /// At least 8 characters when it is chosen.
    #[schema(format = Password, min_length = 1, max_length = 1024, example = "correct horse battery")]
    password: String,
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshRequest {
    /// The one that came with the access token in force.
    #[schema(min_length = 1, max_length = 1024)]
    refresh_token: String,
}

/// An account.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserResponse {
    id: Uuid,
    /// The e-mail address in the form it is stored in.
    #[schema(format = Email, max_length = 254, example = "ada@example.org")]
    email: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// Reserved; always `null` at present.
    #[schema(value_type = Option<Object>, required = true)]
    metadata: Option<serde_json::Value>,
}

impl From<User> for UserResponse {
    fn from(user: User) -> Self {
        Self {
            id: user.id.as_uuid(),
            email: user.email.as_str().to_owned(),
            created_at: user.created_at.into(),
            updated_at: user.updated_at.into(),
            metadata: None,
        }
    }
}

/// Fresh tokens and whose they are.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenResponse {
    /// To be sent as `Authorization: Bearer <token>`.
    #[schema(max_length = 4096)]
    access_token: String,
    /// Always `bearer`.
    #[schema(example = "bearer", max_length = 6, pattern = "^bearer$")]
    token_type: &'static str,
    /// Seconds until the access token ends.
    #[schema(minimum = 0, example = 1800)]
    expires_in: u64,
    /// To be exchanged once for the next pair.
    #[schema(max_length = 1024)]
    refresh_token: String,
    user: UserResponse,
}

impl From<SignedIn> for TokenResponse {
    fn from(signed_in: SignedIn) -> Self {
        Self {
            access_token: signed_in.tokens.access,
            token_type: "bearer",
            expires_in: signed_in.tokens.expires_in.as_secs(),
            refresh_token: signed_in.tokens.refresh,
            user: signed_in.user.into(),
        }
    }
}

/// Sign up
///
/// Makes an account with a first memory profile named `Default`, and logs in.
#[utoipa::path(
    operation_id = "signUp", tag = tags::AUTH, security(()), request_body = CredentialsRequest,
    responses(
        (status = CREATED, description = "The account is made.", body = TokenResponse),
        (status = ACCEPTED, description = "The address must be confirmed by mail first.", body = DoneResponse),
        (status = CONFLICT, description = "The address has an account (`email_taken`)."),
        (status = FORBIDDEN, description = "No accounts are made (`identity_refused`)."),
    )
)]
#[post("/auth/signup")]
async fn sign_up(
    api: Data<Api>,
    attempt: CredentialAttempt,
    from: SentFrom,
    body: JsonBody<CredentialsRequest>,
) -> Result<HttpResponse, Problem> {
    let CredentialsRequest { email, password } = body.into_inner();
    attempt.on_account(&email).await?;
    Ok(
        match api.accounts.sign_up(&email, password, from.0).await? {
            SignUp::Done(signed_in) => {
                HttpResponse::Created().json(TokenResponse::from(*signed_in))
            }
            SignUp::ConfirmationSent => HttpResponse::Accepted().json(DoneResponse {
                message: "Confirm the e-mail address with the link that was sent to it.",
            }),
        },
    )
}

/// Log in
///
/// Answers an unknown address and a wrong password alike.
#[utoipa::path(
    operation_id = "logIn", tag = tags::AUTH, security(()), request_body = CredentialsRequest,
    responses(
        (status = OK, description = "Logged in.", body = TokenResponse),
        (status = UNAUTHORIZED, description = "The address or the password is wrong (`invalid_credentials`)."),
        (status = FORBIDDEN, description = "The address is not confirmed (`email_not_confirmed`)."),
    )
)]
#[post("/auth/login")]
async fn log_in(
    api: Data<Api>,
    attempt: CredentialAttempt,
    from: SentFrom,
    body: JsonBody<CredentialsRequest>,
) -> Result<Json<TokenResponse>, Problem> {
    let CredentialsRequest { email, password } = body.into_inner();
    attempt.on_account(&email).await?;
    let signed_in = api.accounts.log_in(&email, password, from.0).await?;
    Ok(Json(signed_in.into()))
}

/// Get the next pair of tokens
///
/// A refresh token works once; using an older one again ends the log-in.
#[utoipa::path(
    operation_id = "refreshToken", tag = tags::AUTH, security(()), request_body = RefreshRequest,
    responses(
        (status = OK, description = "The next pair.", body = TokenResponse),
        (status = UNAUTHORIZED, description = "The refresh token is not valid (`invalid_token`)."),
        (status = CONFLICT, description = "The log-in is being refreshed already (`refresh_busy`)."),
    )
)]
#[post("/auth/refresh")]
async fn refresh(
    api: Data<Api>,
    _counted: CredentialAttempt,
    from: SentFrom,
    body: JsonBody<RefreshRequest>,
) -> Result<Json<TokenResponse>, Problem> {
    let signed_in = api.accounts.refresh(&body.refresh_token, from.0).await?;
    Ok(Json(signed_in.into()))
}

/// Log out
///
/// The access token of this call and its refresh token stop working at once.
#[utoipa::path(
    operation_id = "logOut", tag = tags::AUTH, security(("bearer" = [])),
    responses((status = OK, description = "Logged out.", body = DoneResponse))
)]
#[post("/auth/logout")]
async fn log_out(
    api: Data<Api>,
    caller: Caller,
    token: SentToken,
) -> Result<Json<DoneResponse>, Problem> {
    api.accounts.log_out(&caller.0, &token.0).await?;
    let message = "Logged out.";
    Ok(Json(DoneResponse { message }))
}

/// Get the current user
///
/// The account that the token or API key acts for.
#[utoipa::path(
    operation_id = "getCurrentUser", tag = tags::AUTH,
    responses((status = OK, description = "The account.", body = UserResponse))
)]
#[get("/auth/me")]
async fn me(api: Data<Api>, caller: Caller) -> Result<Json<UserResponse>, Problem> {
    caller.reads()?;
    Ok(Json(api.accounts.me(&caller.0).await?.into()))
}
