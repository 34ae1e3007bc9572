//! An answer out of the events of a stream.

use async_stream::stream;
use domain::chat::{ModelError, ReplyEvent, ReplyStream};
use domain::session::{FinishReason, TokenUsage};
use futures::StreamExt;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::client::Begun;
use crate::failure::{Failure, Refusal};
use crate::sse::SseParser;

/// Reads an answer to its end, which comes exactly once. The service's clock runs only while we wait
/// for it, not while nobody asks for the next event.
pub(crate) fn read(mut begun: Begun, model: String) -> ReplyStream {
    stream! {
        let (mut parser, mut reply) = (SseParser::default(), Reply::new(model));
        let mut events = Vec::new();
        loop {
            let deadline = if reply.begun { Instant::now() + begun.idle } else { begun.deadline };
            let piece = match begun.piece(deadline).await {
                Ok(Some(piece)) => piece,
                Ok(None) | Err(Failure::Transport(_)) => {
                    yield reply.cut_by(ModelError::Interrupted);
                    return;
                }
                Err(failure) => {
                    yield reply.cut_by(failure.into());
                    return;
                }
            };
            let parsed = parser.push(&piece, &mut events);
            for event in events.drain(..) {
                match reply.take(&event) {
                    Step::Nothing => {}
                    Step::Words(words) => yield Ok(ReplyEvent::Delta(words)),
                    Step::End(end) => {
                        yield end;
                        return;
                    }
                }
            }
            if let Err(bad) = parsed {
                yield Err(ModelError::Malformed(Box::new(bad)));
                return;
            }
        }
    }
    .boxed()
}

#[derive(Deserialize)]
struct Chunk {
    model: Option<String>,
    choices: Option<Vec<Choice>>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: u32,
    completion_tokens: Option<u32>,
}

/// What came of an event.
#[derive(Debug)]
enum Step {
    Nothing,
    Words(String),
    End(Result<ReplyEvent, ModelError>),
}

impl Step {
    fn fail(error: ModelError) -> Self {
        Self::End(Err(error))
    }
}

/// An answer as far as it has come.
struct Reply {
    model: String,
    begun: bool,
    finish: Option<FinishReason>,
    usage: Option<TokenUsage>,
}

impl Reply {
    fn new(model: String) -> Self {
        Self {
            model,
            begun: false,
            finish: None,
            usage: None,
        }
    }

    fn take(&mut self, data: &str) -> Step {
        if data.trim() == "[DONE]" {
            return Step::End(self.end(self.finish.unwrap_or(FinishReason::Stop)));
        }
        let malformed = || Step::fail(Failure::Malformed("a chunk that is not understood").into());
        let Ok(event) = serde_json::from_str::<Value>(data) else {
            return malformed();
        };
        if event.get("error").is_some_and(|error| !error.is_null()) {
            return Step::fail(Failure::Refused(Refusal::in_stream(&event)).into());
        }
        serde_json::from_value(event).map_or_else(|_| malformed(), |chunk| self.add(chunk))
    }

    fn add(&mut self, chunk: Chunk) -> Step {
        self.model = chunk
            .model
            .filter(|name| !name.is_empty())
            .unwrap_or(std::mem::take(&mut self.model));
        self.usage = chunk.usage.map(TokenUsage::from).or(self.usage);
        let Some(choice) = chunk.choices.and_then(|all| all.into_iter().next()) else {
            return Step::Nothing;
        };
        self.finish = choice
            .finish_reason
            .as_deref()
            .map(finish_reason)
            .or(self.finish);
        let Some(delta) = choice.delta else {
            return Step::Nothing;
        };
        if delta.refusal.is_some_and(|words| !words.is_empty()) {
            return Step::fail(ModelError::Refused);
        }
        match delta.content.filter(|words| !words.is_empty()) {
            None => Step::Nothing,
            Some(words) => {
                self.begun = true;
                Step::Words(words)
            }
        }
    }

    /// The connection ended. An answer whose reason to end is known is whole; only its usage is not.
    fn cut_by(&self, error: ModelError) -> Result<ReplyEvent, ModelError> {
        self.finish.map_or(Err(error), |finish| self.end(finish))
    }

    /// A filter that lets no word through has refused.
    fn end(&self, finish: FinishReason) -> Result<ReplyEvent, ModelError> {
        if finish == FinishReason::ContentFilter && !self.begun {
            return Err(ModelError::Refused);
        }
        Ok(ReplyEvent::Finished {
            model: self.model.clone(),
            finish,
            usage: self.usage,
        })
    }
}

impl From<Usage> for TokenUsage {
    fn from(usage: Usage) -> Self {
        Self {
            prompt: usage.prompt_tokens,
            completion: usage.completion_tokens.unwrap_or(0),
        }
    }
}

/// Services invent further reasons; all of them mean that the model is done.
fn finish_reason(name: &str) -> FinishReason {
    match name {
        "length" => FinishReason::Length,
        "content_filter" => FinishReason::ContentFilter,
        _ => FinishReason::Stop,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILTERED: &str = r#"{"choices":[{"delta":{},"finish_reason":"content_filter"}]}"#;
    const WORDS: &str =
        r#"{"model":"m","choices":[{"delta":{"content":"hi"},"finish_reason":null}]}"#;

    fn reply_after(events: &[&str]) -> Reply {
        let mut reply = Reply::new("asked".to_owned());
        for event in events {
            assert!(!matches!(reply.take(event), Step::End(_)), "{event}");
        }
        reply
    }

    #[test]
    fn chunks_that_say_nothing_are_read_over() {
        let silent = [
            r#"{"choices":[]}"#,
            r#"{"choices":null,"prompt_filter_results":[]}"#,
            r#"{"choices":[{"delta":{"role":"assistant","content":null}}]}"#,
            r#"{"choices":[{"delta":{"content":""}}],"error":null}"#,
        ];
        assert!(!reply_after(&silent).begun);
    }

    #[test]
    fn an_error_event_is_mapped_like_a_refusal() {
        let error = |event| match reply_after(&[WORDS]).take(event) {
            Step::End(Err(error)) => error,
            step => panic!("{step:?}"),
        };
        assert!(matches!(
            error(r#"{"error":{"code":429}}"#),
            ModelError::RateLimited { .. }
        ));
        assert!(matches!(
            error(r#"{"error":{"message":"overloaded"}}"#),
            ModelError::Unavailable(_)
        ));
    }

    #[test]
    fn a_filter_refuses_the_whole_or_cuts_the_rest() {
        assert!(matches!(
            reply_after(&[FILTERED]).take("[DONE]"),
            Step::End(Err(ModelError::Refused))
        ));
        let cut = reply_after(&[WORDS, FILTERED]).take("[DONE]");
        let Step::End(Ok(ReplyEvent::Finished {
            model,
            finish,
            usage,
        })) = cut
        else {
            panic!("{cut:?}")
        };
        assert_eq!(
            (model.as_str(), finish, usage),
            ("m", FinishReason::ContentFilter, None)
        );
    }

    #[test]
    fn an_answer_is_whole_once_its_reason_to_end_is_known() {
        assert!(reply_after(&[WORDS]).cut_by(ModelError::Timeout).is_err());
        let stop = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
        assert!(
            reply_after(&[WORDS, stop])
                .cut_by(ModelError::Timeout)
                .is_ok()
        );
    }

    #[test]
    fn an_error_holds_nothing_of_the_chunk() {
        let step = reply_after(&[]).take(r#"{"choices":"secret"}"#);
        assert!(matches!(&step, Step::End(Err(ModelError::Malformed(_)))));
        assert!(!format!("{step:?}").contains("secret"));
    }

    proptest! {
        #[test]
        fn any_event_is_taken_without_a_panic(event in r#"[\[\]{}":,a-z0-9\\ ]{0,60}"#) {
            Reply::new(String::new()).take(&event);
        }
    }
}
