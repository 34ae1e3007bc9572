//! Turns: a question and its answer, whole or as it is written.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::web::{Data, Json};
use actix_web::{FromRequest, HttpRequest, HttpResponse, post};
use domain::chat::{ChatError, IdempotencyKey, Question, TurnOutcome, TurnStart};
use domain::ids::{MessageId, SessionId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::memories::RecalledResponse;
use super::messages::MessageResponse;
use super::tags;
use super::wire::{FinishName, PrivacyModeName, RecallName, SessionPath};
use crate::auth::Caller;
use crate::extract::{JsonBody, PathOf};
use crate::idempotency::{IdempotencyHeader, sent_key};
use crate::metrics::Metrics;
use crate::sse::{self, StreamEvent};
use crate::streams::Streams;
use crate::turn_places::TurnPlaces;
use crate::turn_task::{self, Asked, TurnEvents};
use crate::{Api, Drain, HttpSettings, Problem};

/// Registers the routes of this module.
pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(send_message).service(stream_message);
}

/// A question.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChatRequest {
    #[schema(
        min_length = 1,
        max_length = 10_000,
        example = "What is my dog called?"
    )]
    message: String,
    /// The newest message of the session that the client knows. Where it is not the newest there is, the
    /// message is refused with 409 `history_changed`: it was written without what came since.
    #[schema(value_type = Uuid, required = false)]
    last_message_id: Option<Uuid>,
    /// Accepted and ignored: the path decides.
    #[serde(rename = "stream")]
    _stream: Option<bool>,
}

/// An answer, whole.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChatResponse {
    /// Always true.
    success: bool,
    /// The answer.
    #[schema(example = "Your dog is called Rex.")]
    content: String,
    session_id: Uuid,
    /// The mode this turn ran in.
    privacy_mode: PrivacyModeName,
    /// How many memories were in the prompt.
    #[schema(minimum = 0)]
    memories_used: usize,
    /// Is the extraction of memories from this turn durably stored as work to be done?
    memories_extracted: bool,
    metadata: AnswerMetadata,
    user_message: MessageResponse,
    assistant_message: MessageResponse,
    /// The memories in the prompt, best first; none where `recall` is `replayed`.
    memories: Vec<RecalledResponse>,
    recall: RecallName,
}

/// How an answer came about.
#[derive(Serialize, ToSchema)]
pub(crate) struct AnswerMetadata {
    /// The model that gave it.
    #[schema(max_length = 200, example = "gpt-4o-mini")]
    model: String,
    tokens: TokensResponse,
    finish_reason: FinishName,
}

/// Tokens of one model call.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "clients know these names")]
pub(crate) struct TokensResponse {
    #[schema(minimum = 0)]
    prompt_tokens: u32,
    #[schema(minimum = 0)]
    completion_tokens: u32,
    #[schema(minimum = 0)]
    total_tokens: u32,
}

impl AnswerMetadata {
    /// What a turn's outcome says about its answer.
    pub(crate) fn of(outcome: &TurnOutcome) -> Self {
        let reply = outcome.answer.reply.as_ref();
        Self {
            model: reply.map(|reply| reply.model.clone()).unwrap_or_default(),
            tokens: TokensResponse {
                prompt_tokens: outcome.usage.prompt,
                completion_tokens: outcome.usage.completion,
                total_tokens: outcome.usage.total(),
            },
            finish_reason: outcome.finish.into(),
        }
    }
}

impl From<(TurnStart, TurnOutcome)> for ChatResponse {
    fn from((start, outcome): (TurnStart, TurnOutcome)) -> Self {
        Self {
            success: true,
            content: outcome.answer.content.clone(),
            session_id: start.session.as_uuid(),
            privacy_mode: start.mode.into(),
            memories_used: start.memories_used,
            memories_extracted: outcome.learning,
            metadata: AnswerMetadata::of(&outcome),
            user_message: start.question.into(),
            assistant_message: outcome.answer.into(),
            memories: start.memories.into_iter().map(Into::into).collect(),
            recall: start.recall.into(),
        }
    }
}

/// Send a message
///
/// Answers once the whole reply is there and stored. A client that hangs up does not lose it, unless
/// the session is incognito: then the turn stops. With an `Idempotency-Key` it can be sent again without
/// being asked twice.
#[utoipa::path(
    operation_id = "sendMessage", tag = tags::CHAT, params(SessionPath, IdempotencyHeader), request_body = ChatRequest,
    responses(
        (status = OK, description = "The answer.", body = ChatResponse),
        (status = CONFLICT, description = "The session is still answering a message (`session_busy`), or its newest message is another one (`history_changed`)."),
        (status = BAD_GATEWAY, description = "The model failed (`model_interrupted`, `model_refused`, `model_malformed`, `model_unauthorized`)."),
        (status = GATEWAY_TIMEOUT, description = "The model took too long (`model_timeout`)."),
    )
)]
#[post("/chat/{session_id}")]
async fn send_message(
    turns: Turns,
    caller: Caller,
    path: PathOf<SessionPath>,
    body: JsonBody<ChatRequest>,
) -> Result<Json<ChatResponse>, Problem> {
    let events = turns.ask(&caller, &path, body.into_inner()).await?;
    Ok(Json(turn_task::whole(events).await?.into()))
}

/// Send a message and stream the answer
///
/// Server-sent events, each one `data:` line of JSON: `metadata` once, `content` many times, `complete`
/// once, then the literal `data: [DONE]`. After a failure comes one `error` event and the stream ends.
/// Lines that start with a colon are heartbeats. A refusal before the first event is a problem as on
/// every other route. With an `Idempotency-Key` it can be sent again: an answer that is whole by then comes
/// in one piece. Try it with `curl -N`; the page `/docs` shows a stream only at its end.
#[utoipa::path(
    operation_id = "streamMessage", tag = tags::CHAT, params(SessionPath, IdempotencyHeader), request_body = ChatRequest,
    responses(
        (status = OK, description = "The events of the turn.", body = StreamEvent,
            content_type = "text/event-stream",
            example = json!({"success": true, "type": "content", "content": "Hello", "done": false})),
        (status = CONFLICT, description = "The session is still answering a message (`session_busy`), or its newest message is another one (`history_changed`)."),
        (status = BAD_GATEWAY, description = "The model failed (`model_interrupted`, `model_refused`, `model_malformed`, `model_unauthorized`)."),
        (status = GATEWAY_TIMEOUT, description = "The model took too long (`model_timeout`)."),
    )
)]
#[post("/chat/{session_id}/stream")]
async fn stream_message(
    turns: Turns,
    streams: Data<Streams>,
    settings: Data<HttpSettings>,
    caller: Caller,
    path: PathOf<SessionPath>,
    body: JsonBody<ChatRequest>,
) -> Result<HttpResponse, Problem> {
    let place = streams.open(caller.chats()?)?;
    let events = turns.ask(&caller, &path, body.into_inner()).await?;
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("Cache-Control", "no-cache"))
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(place.hold(sse::body(events, settings.heartbeat))))
}

/// What a turn needs from the server around it.
struct Turns {
    api: Data<Api>,
    metrics: Data<Metrics>,
    drain: Data<Drain>,
    places: Data<TurnPlaces>,
    key: Result<Option<IdempotencyKey>, ChatError>,
}

impl FromRequest for Turns {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let found = || {
            Some(Self {
                api: request.app_data::<Data<Api>>()?.clone(),
                metrics: request.app_data::<Data<Metrics>>()?.clone(),
                drain: request.app_data::<Data<Drain>>()?.clone(),
                places: request.app_data::<Data<TurnPlaces>>()?.clone(),
                key: sent_key(request.headers()),
            })
        };
        ready(found().ok_or_else(|| Problem::internal("the server is not wired for turns")))
    }
}

impl Turns {
    /// Starts a turn, unless the server is about to stop or has no place for it.
    async fn ask(
        self,
        caller: &Caller,
        path: &SessionPath,
        request: ChatRequest,
    ) -> Result<TurnEvents, Problem> {
        let asked = Asked {
            user: caller.chats()?,
            session: SessionId::new(path.session_id),
            question: Question::new(request.message)?
                .named(self.key?)
                .after(request.last_message_id.map(MessageId::new)),
        };
        self.drain.refuse_new_work()?;
        let place = self.places.take()?;
        let metrics = self.metrics.get_ref().clone();
        Ok(turn_task::begin(self.api.into_inner(), metrics, asked, place).await?)
    }
}
