//! The stored messages of a session.

use actix_web::web::{Data, Json};
use actix_web::{delete, get};
use domain::ids::{MessageId, SessionId};
use domain::session::{Message, ReplyInfo};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::tags;
use super::wire::{
    DeletionQuery, FinishName, MessagePath, RoleName, SessionPath, StatusName, Timestamp,
};
use crate::auth::Caller;
use crate::extract::{PathOf, QueryOf};
use crate::pagination::{Listing, MessagesQuery};
use crate::{Api, Problem};

/// Registers the routes of this module.
pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(list_messages).service(delete_message);
}

/// A question or an answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageResponse {
    id: Uuid,
    session_id: Uuid,
    role: RoleName,
    content: String,
    created_at: Timestamp,
    metadata: MessageMetadata,
    status: StatusName,
}

/// How an answer came about; empty for a question.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct MessageMetadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, max_length = 200, example = "gpt-4o-mini")]
    model: Option<String>,
    /// Tokens of prompt and answer together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u32, required = false, minimum = 0)]
    tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = FinishName, required = false)]
    finish_reason: Option<FinishName>,
    /// How many memories were in the prompt; absent where there was nothing to recall from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u32, required = false, minimum = 0)]
    memories_used: Option<u32>,
}

impl From<ReplyInfo> for MessageMetadata {
    fn from(reply: ReplyInfo) -> Self {
        Self {
            model: Some(reply.model),
            tokens: Some(reply.usage.total()),
            finish_reason: Some(reply.finish.into()),
            memories_used: reply.memories_used,
        }
    }
}

impl From<Message> for MessageResponse {
    fn from(message: Message) -> Self {
        Self {
            id: message.id.as_uuid(),
            session_id: message.session.as_uuid(),
            role: message.role.into(),
            content: message.content,
            created_at: message.created_at.into(),
            metadata: message.reply.map(Into::into).unwrap_or_default(),
            status: message.status.into(),
        }
    }
}

/// What was deleted.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageDeletedResponse {
    #[schema(max_length = 200, example = "Message deleted.")]
    message: &'static str,
    message_id: Uuid,
}

/// List messages
///
/// The stored messages of a session, oldest first; none for an incognito session.
#[utoipa::path(
    operation_id = "listMessages", tag = tags::MESSAGES, params(SessionPath, MessagesQuery),
    responses((status = OK, description = "A page of messages.", body = [MessageResponse],
        headers(("Link" = String, description = "`rel=\"next\"`: the next page; absent on the last one."))))
)]
#[get("/sessions/{session_id}/messages")]
async fn list_messages(
    api: Data<Api>,
    caller: Caller,
    path: PathOf<SessionPath>,
    query: QueryOf<MessagesQuery>,
) -> Result<Listing<MessageResponse>, Problem> {
    let (user, id) = (caller.reads()?, SessionId::new(path.session_id));
    let page = api.sessions.messages(user, id, query.page()?).await?;
    Ok(Listing(page.map(Into::into)))
}

/// Delete a message
///
/// Memories drawn from it stay unless `memories=delete`.
#[utoipa::path(
    operation_id = "deleteMessage", tag = tags::MESSAGES, params(MessagePath, DeletionQuery),
    responses((status = OK, description = "It is gone.", body = MessageDeletedResponse))
)]
#[delete("/sessions/{session_id}/messages/{message_id}")]
async fn delete_message(
    api: Data<Api>,
    caller: Caller,
    path: PathOf<MessagePath>,
    query: QueryOf<DeletionQuery>,
) -> Result<Json<MessageDeletedResponse>, Problem> {
    let (session, message) = (
        SessionId::new(path.session_id),
        MessageId::new(path.message_id),
    );
    let (user, memories) = (caller.writes()?, query.memories.into());
    api.sessions
        .delete_message(user, session, message, memories)
        .await?;
    Ok(Json(MessageDeletedResponse {
        message: "Message deleted.",
        message_id: path.message_id,
    }))
}
