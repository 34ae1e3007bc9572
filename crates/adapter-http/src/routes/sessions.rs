//! Sessions.

use actix_web::web::{Data, Json};
use actix_web::{HttpResponse, delete, get, patch, post, put};
use domain::ids::{ProfileId, SessionId};
use domain::page::PageRequest;
use domain::session::{NewSession, SessionChange, SessionFilter, SessionSummary, SessionView};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::tags;
use super::wire::{DeletionQuery, PrivacyModeName, SessionPath, Timestamp, sent};
use crate::auth::Caller;
use crate::extract::{JsonBody, PathOf, QueryOf};
use crate::pagination::{BadPage, Limits, Listing, page_request};
use crate::{Api, Problem};

/// Registers the routes of this module.
pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(list_sessions)
        .service(create_session)
        .service(get_session)
        .service(update_session)
        .service(patch_session)
        .service(delete_session)
        .service(get_session_summary);
}

/// Which sessions to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SessionsQuery {
    /// Only the sessions of this memory profile.
    memory_profile_id: Option<Uuid>,
    /// At most this many items.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
    /// Skip this many items.
    #[param(minimum = 0, maximum = 1_000_000, default = 0)]
    offset: Option<i64>,
    /// Start of the page, taken from the `Link` header of the page before. Not together with `offset`.
    #[param(max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

impl SessionsQuery {
    fn filter(&self) -> SessionFilter {
        SessionFilter {
            profile: self.memory_profile_id.map(ProfileId::new),
        }
    }

    fn page(&self) -> Result<PageRequest, BadPage> {
        let limits = Limits {
            default: 50,
            max: 100,
        };
        page_request(limits, self.limit, self.offset, self.cursor.as_deref())
    }
}

/// A session to be opened.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateSessionRequest {
    /// The user's default profile when absent; an incognito session takes none then.
    memory_profile_id: Option<Uuid>,
    #[serde(default = "normal")]
    #[schema(default = "normal")]
    privacy_mode: PrivacyModeName,
}

/// Only an absent mode means normal; any other word is an error.
fn normal() -> PrivacyModeName {
    PrivacyModeName::Normal
}

impl From<CreateSessionRequest> for NewSession {
    fn from(request: CreateSessionRequest) -> Self {
        Self {
            mode: request.privacy_mode.into(),
            profile: request.memory_profile_id.map(ProfileId::new),
        }
    }
}

/// The fields of a session that are to change; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateSessionRequest {
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = PrivacyModeName, required = false)]
    privacy_mode: Option<PrivacyModeName>,
    /// `null` takes the profile away.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<Uuid>)]
    #[expect(clippy::option_option, reason = "absent, null and a value differ")]
    memory_profile_id: Option<Option<Uuid>>,
}

impl From<UpdateSessionRequest> for SessionChange {
    fn from(request: UpdateSessionRequest) -> Self {
        Self {
            mode: request.privacy_mode.map(Into::into),
            profile: request.memory_profile_id.map(|id| id.map(ProfileId::new)),
        }
    }
}

/// A conversation.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionResponse {
    id: Uuid,
    user_id: Uuid,
    /// The profile it recalls from and learns into; `null` for none.
    #[schema(required = true)]
    memory_profile_id: Option<Uuid>,
    privacy_mode: PrivacyModeName,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// How many messages are stored; incognito ones are not.
    #[schema(minimum = 0)]
    message_count: u64,
}

impl From<SessionView> for SessionResponse {
    fn from(view: SessionView) -> Self {
        let session = view.session;
        Self {
            id: session.id.as_uuid(),
            user_id: session.user.as_uuid(),
            memory_profile_id: session.profile.map(ProfileId::as_uuid),
            privacy_mode: session.mode.into(),
            created_at: session.created_at.into(),
            updated_at: session.updated_at.into(),
            message_count: view.message_count,
        }
    }
}

/// What was deleted.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionDeletedResponse {
    #[schema(max_length = 200, example = "Session deleted.")]
    message: &'static str,
    session_id: Uuid,
}

/// A session's stored messages, counted.
#[derive(Serialize, ToSchema)]
pub(crate) struct SummaryResponse {
    session_id: Uuid,
    #[schema(minimum = 0)]
    total_messages: u64,
    #[schema(minimum = 0)]
    user_messages: u64,
    #[schema(minimum = 0)]
    assistant_messages: u64,
    #[schema(required = true)]
    first_message_at: Option<Timestamp>,
    #[schema(required = true)]
    last_message_at: Option<Timestamp>,
}

impl SummaryResponse {
    fn new(session_id: Uuid, summary: SessionSummary) -> Self {
        Self {
            session_id,
            total_messages: summary.total_messages,
            user_messages: summary.user_messages,
            assistant_messages: summary.assistant_messages,
            first_message_at: summary.first_message_at.map(Into::into),
            last_message_at: summary.last_message_at.map(Into::into),
        }
    }
}

/// List sessions
///
/// Most recently updated first. Sessions that were made incognito are in no list.
#[utoipa::path(
    operation_id = "listSessions", tag = tags::SESSIONS, params(SessionsQuery),
    responses((status = OK, description = "A page of sessions.", body = [SessionResponse],
        headers(("Link" = String, description = "`rel=\"next\"`: the next page; absent on the last one."))))
)]
#[get("/sessions")]
async fn list_sessions(
    api: Data<Api>,
    caller: Caller,
    query: QueryOf<SessionsQuery>,
) -> Result<Listing<SessionResponse>, Problem> {
    let (user, page) = (caller.reads()?, query.page()?);
    let found = api.sessions.list(user, query.filter(), page).await?;
    Ok(Listing(found.map(Into::into)))
}

/// Open a session
///
/// An incognito session lives in memory only and is gone after an idle hour.
#[utoipa::path(
    operation_id = "createSession", tag = tags::SESSIONS, request_body = CreateSessionRequest,
    responses(
        (status = CREATED, description = "The new session.", body = SessionResponse),
        (status = NOT_FOUND, description = "The user has no such memory profile (`profile_not_found`)."),
    )
)]
#[post("/sessions")]
async fn create_session(
    api: Data<Api>,
    caller: Caller,
    body: JsonBody<CreateSessionRequest>,
) -> Result<HttpResponse, Problem> {
    let new = body.into_inner().into();
    let view = api.sessions.create(caller.writes()?, new).await?;
    Ok(HttpResponse::Created().json(SessionResponse::from(view)))
}

/// Get a session
///
/// A stored one, or an incognito one that is still in memory.
#[utoipa::path(
    operation_id = "getSession", tag = tags::SESSIONS, params(SessionPath),
    responses((status = OK, description = "The session.", body = SessionResponse))
)]
#[get("/sessions/{session_id}")]
async fn get_session(
    api: Data<Api>,
    caller: Caller,
    path: PathOf<SessionPath>,
) -> Result<Json<SessionResponse>, Problem> {
    let id = SessionId::new(path.session_id);
    Ok(Json(api.sessions.get(caller.reads()?, id).await?.into()))
}

/// Change a session
///
/// Only the fields that are sent change, from the next message on. Messages sent before keep the mode
/// they were sent in.
#[utoipa::path(
    operation_id = "updateSession", tag = tags::SESSIONS, params(SessionPath),
    request_body = UpdateSessionRequest,
    responses((status = OK, description = "The session as it is now.", body = SessionResponse))
)]
#[put("/sessions/{session_id}")]
async fn update_session(
    api: Data<Api>,
    caller: Caller,
    path: PathOf<SessionPath>,
    body: JsonBody<UpdateSessionRequest>,
) -> Result<Json<SessionResponse>, Problem> {
    change_session(&api, &caller, &path, body).await
}

/// Change some of a session
///
/// The same as `PUT`.
#[utoipa::path(
    operation_id = "patchSession", tag = tags::SESSIONS, params(SessionPath),
    request_body = UpdateSessionRequest,
    responses((status = OK, description = "The session as it is now.", body = SessionResponse))
)]
#[patch("/sessions/{session_id}")]
async fn patch_session(
    api: Data<Api>,
    caller: Caller,
    path: PathOf<SessionPath>,
    body: JsonBody<UpdateSessionRequest>,
) -> Result<Json<SessionResponse>, Problem> {
    change_session(&api, &caller, &path, body).await
}

async fn change_session(
    api: &Api,
    caller: &Caller,
    path: &SessionPath,
    body: JsonBody<UpdateSessionRequest>,
) -> Result<Json<SessionResponse>, Problem> {
    let (user, id) = (caller.writes()?, SessionId::new(path.session_id));
    let change = body.into_inner().into();
    Ok(Json(api.sessions.update(user, id, change).await?.into()))
}

/// Delete a session
///
/// Its messages go with it. Memories drawn from them stay unless `memories=delete`.
#[utoipa::path(
    operation_id = "deleteSession", tag = tags::SESSIONS, params(SessionPath, DeletionQuery),
    responses((status = OK, description = "It is gone.", body = SessionDeletedResponse))
)]
#[delete("/sessions/{session_id}")]
async fn delete_session(
    api: Data<Api>,
    caller: Caller,
    path: PathOf<SessionPath>,
    query: QueryOf<DeletionQuery>,
) -> Result<Json<SessionDeletedResponse>, Problem> {
    let (user, id) = (caller.writes()?, SessionId::new(path.session_id));
    api.sessions.delete(user, id, query.memories.into()).await?;
    Ok(Json(SessionDeletedResponse {
        message: "Session deleted.",
        session_id: path.session_id,
    }))
}

/// Summarise a session
///
/// Counts and times of its stored messages; all zero for an incognito session.
#[utoipa::path(
    operation_id = "getSessionSummary", tag = tags::SESSIONS, params(SessionPath),
    responses((status = OK, description = "The counts.", body = SummaryResponse))
)]
#[get("/sessions/{session_id}/summary")]
async fn get_session_summary(
    api: Data<Api>,
    caller: Caller,
    path: PathOf<SessionPath>,
) -> Result<Json<SummaryResponse>, Problem> {
    let id = SessionId::new(path.session_id);
    let summary = api.sessions.summary(caller.reads()?, id).await?;
    Ok(Json(SummaryResponse::new(path.session_id, summary)))
}
