//! The contract's event stream: one JSON object per `data:` line.

use std::convert::Infallible;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use domain::chat::{ChatError, TurnEvent, TurnOutcome, TurnStart};
use domain::error::Classify;
use futures::{Stream, stream};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::routes::chat::AnswerMetadata;
use crate::routes::memories::RecalledResponse;
use crate::routes::wire::{PrivacyModeName, RecallName};
use crate::turn_task::{TurnEvents, broken_off};

/// An event of a chat stream; the literal `[DONE]` follows the `complete` event.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(discriminator(property_name = "type", mapping(
    ("metadata" = "#/components/schemas/MetadataEvent"),
    ("content" = "#/components/schemas/ContentEvent"),
    ("complete" = "#/components/schemas/CompleteEvent"),
    ("error" = "#/components/schemas/ErrorEvent"),
)))]
pub(crate) enum StreamEvent {
    Metadata(MetadataEvent),
    Content(ContentEvent),
    Complete(CompleteEvent),
    Error(ErrorEvent),
}

/// Declares the only value of an event's `type`.
macro_rules! event_types {
    ($($name:ident is $variant:ident),+ $(,)?) => {$(
        #[derive(Serialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub(crate) enum $name {
            $variant,
        }
    )+};
}

event_types! {
    MetadataEventType is Metadata,
    ContentEventType is Content,
    CompleteEventType is Complete,
    ErrorEventType is Error,
}

/// The first event: what is known when the answer begins.
#[derive(Serialize, ToSchema)]
pub(crate) struct MetadataEvent {
    success: bool,
    #[schema(inline)]
    r#type: MetadataEventType,
    session_id: Uuid,
    /// The mode this turn runs in.
    privacy_mode: PrivacyModeName,
    /// How many memories are in the prompt.
    #[schema(minimum = 0)]
    memories_used: usize,
    /// These memories, best first; none where `recall` is `replayed`.
    memories: Vec<RecalledResponse>,
    recall: RecallName,
    /// Id of the question.
    user_message_id: Uuid,
}

/// The next words of the answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct ContentEvent {
    success: bool,
    #[schema(inline)]
    r#type: ContentEventType,
    #[schema(example = "Hello")]
    content: String,
    /// Always false.
    done: bool,
}

/// The answer is whole and, where the mode stores it, stored.
#[derive(Serialize, ToSchema)]
pub(crate) struct CompleteEvent {
    success: bool,
    #[schema(inline)]
    r#type: CompleteEventType,
    /// Is the extraction of memories from this turn durably stored as work to be done?
    memories_extracted: bool,
    /// Id of the answer.
    assistant_message_id: Uuid,
    metadata: AnswerMetadata,
}

/// The turn failed after it had started; the stream ends here.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorEvent {
    success: bool,
    #[schema(inline)]
    r#type: ErrorEventType,
    /// What went wrong, for a person.
    #[schema(max_length = 500, example = "The model broke off its answer.")]
    error: String,
    /// What went wrong, for a program.
    #[schema(max_length = 100, example = "model_interrupted")]
    error_type: &'static str,
}

impl From<TurnStart> for MetadataEvent {
    fn from(start: TurnStart) -> Self {
        Self {
            success: true,
            r#type: MetadataEventType::Metadata,
            session_id: start.session.as_uuid(),
            privacy_mode: start.mode.into(),
            memories_used: start.memories_used,
            memories: start.memories.into_iter().map(Into::into).collect(),
            recall: start.recall.into(),
            user_message_id: start.question.id.as_uuid(),
        }
    }
}

impl From<String> for ContentEvent {
    fn from(content: String) -> Self {
        Self {
            success: true,
            r#type: ContentEventType::Content,
            content,
            done: false,
        }
    }
}

impl From<TurnOutcome> for CompleteEvent {
    fn from(outcome: TurnOutcome) -> Self {
        Self {
            success: true,
            r#type: CompleteEventType::Complete,
            memories_extracted: outcome.learning,
            assistant_message_id: outcome.answer.id.as_uuid(),
            metadata: AnswerMetadata::of(&outcome),
        }
    }
}

impl From<&ChatError> for ErrorEvent {
    fn from(error: &ChatError) -> Self {
        Self {
            success: false,
            r#type: ErrorEventType::Error,
            error: error.detail(),
            error_type: error.code(),
        }
    }
}

/// The body of an event stream. Events that are ready together go out in one write. After `heartbeat`
/// of silence comes a comment: only by writing does the server notice that a client has gone.
pub(crate) fn body(
    events: TurnEvents,
    heartbeat: Duration,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(Some(events), move |events| async move {
        let mut events = events?;
        let mut out = BytesMut::new();
        let Ok(first) = tokio::time::timeout(heartbeat, events.recv()).await else {
            return Some((Ok(Bytes::from_static(b": hb\n\n")), Some(events)));
        };
        let mut next = Some(first.unwrap_or_else(|| TurnEvent::Failed(broken_off())));
        while let Some(event) = next {
            if write(&mut out, event) == Then::Close {
                return Some((Ok(out.freeze()), None));
            }
            next = events.try_recv().ok();
        }
        Some((Ok(out.freeze()), Some(events)))
    })
}

#[derive(PartialEq, Eq)]
enum Then {
    GoOn,
    Close,
}

fn write(out: &mut BytesMut, event: TurnEvent) -> Then {
    match event {
        TurnEvent::Started(start) => line(out, &StreamEvent::Metadata((*start).into())),
        TurnEvent::Delta(delta) => line(out, &StreamEvent::Content(delta.into())),
        TurnEvent::Completed(outcome) => {
            line(out, &StreamEvent::Complete((*outcome).into()));
            out.put_slice(b"data: [DONE]\n\n");
            return Then::Close;
        }
        TurnEvent::Failed(error) => {
            tracing::warn!(code = error.code(), "a turn failed after it had started");
            line(out, &StreamEvent::Error((&error).into()));
            return Then::Close;
        }
    }
    Then::GoOn
}

fn line(out: &mut BytesMut, event: &StreamEvent) {
    // JSON has no raw line breaks, so one event is one line. These types always serialise.
    if let Ok(json) = serde_json::to_vec(event) {
        out.put_slice(b"data: ");
        out.put_slice(&json);
        out.put_slice(b"\n\n");
    }
}
