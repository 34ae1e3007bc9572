//! What the tests share: a patient-enough client, prompts, and answers of a scripted service.

use std::time::Duration;

use adapter_openai::{OpenAi, OpenAiChatModel, OpenAiConfig, Patience};
use domain::chat::{
    ChatModel, ModelError, Prompt, PromptMessage, ReplyEvent, WholeReply, complete,
};
use domain::session::Role;
use futures::StreamExt;
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// Words that no error may repeat.
pub(crate) const SECRET: &str = "the-secret-words";

/// Waits long for answers, so that a slow machine fails no test, and never for the next try.
pub(crate) fn patience() -> Patience {
    Patience {
        backoff: Duration::ZERO,
        ..Patience::default()
    }
}

pub(crate) fn config(base_url: &str) -> OpenAiConfig {
    OpenAiConfig {
        base_url: format!("{base_url}/v1"),
        api_key: Some("the-key".into()),
        patience: patience(),
        ..OpenAiConfig::default()
    }
}

pub(crate) fn client(base_url: &str) -> OpenAi {
    OpenAi::new(config(base_url)).unwrap()
}

pub(crate) fn model(base_url: &str) -> OpenAiChatModel {
    OpenAiChatModel::new(client(base_url))
}

pub(crate) fn prompt() -> Prompt {
    let message = |role, content: &str| PromptMessage {
        role,
        content: content.to_owned(),
    };
    Prompt {
        messages: vec![
            message(Role::System, "Be brief."),
            message(Role::User, SECRET),
        ],
        max_reply_tokens: 50,
    }
}

/// Asks a service that answers every call like this.
pub(crate) async fn ask(answer: ResponseTemplate) -> (Result<WholeReply, ModelError>, usize) {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(answer)
        .mount(&server)
        .await;
    let reply = complete(&model(&server.uri()), prompt()).await;
    (reply, calls(&server).await.len())
}

/// All events of an answer, and the error it ended with.
pub(crate) async fn events(model: &OpenAiChatModel) -> (Vec<ReplyEvent>, Option<ModelError>) {
    let mut stream = model.stream(prompt()).await.unwrap();
    let (mut events, mut failure) = (Vec::new(), None);
    while let Some(event) = stream.next().await {
        assert!(failure.is_none(), "something follows an error");
        match event {
            Ok(event) => events.push(event),
            Err(error) => failure = Some(error),
        }
    }
    (events, failure)
}

/// The bodies of the calls that a service got.
pub(crate) async fn calls(server: &MockServer) -> Vec<Value> {
    let requests = server.received_requests().await.unwrap();
    requests
        .iter()
        .map(|request| serde_json::from_slice(&request.body).unwrap())
        .collect()
}

/// Scripts the answers to the next calls, one after the other; the last one stays.
pub(crate) async fn script(server: &MockServer, route: &str, answers: &[ResponseTemplate]) {
    for (i, answer) in answers.iter().enumerate() {
        let mock = Mock::given(method("POST"))
            .and(path(route))
            .respond_with(answer.clone());
        let last = i + 1 == answers.len();
        let mock = if last { mock } else { mock.up_to_n_times(1) };
        mock.mount(server).await;
    }
}

pub(crate) const CHAT: &str = "/v1/chat/completions";

pub(crate) fn words(content: &str) -> Value {
    json!({ "model": "m-1", "choices": [{ "index": 0, "delta": { "content": content }, "finish_reason": null }] })
}

pub(crate) fn finish(reason: &str) -> Value {
    json!({ "model": "m-1", "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] })
}

pub(crate) fn usage(prompt: u32, completion: u32) -> Value {
    json!({ "choices": [], "usage": { "prompt_tokens": prompt, "completion_tokens": completion } })
}

/// Events as they stand on the wire, without the mark of the end.
pub(crate) fn open_sse(chunks: &[Value]) -> String {
    let event = |chunk| format!("data: {chunk}\n\n");
    chunks.iter().map(event).collect::<Vec<_>>().concat()
}

pub(crate) fn sse(chunks: &[Value]) -> String {
    open_sse(chunks) + "data: [DONE]\n\n"
}

pub(crate) fn stream(chunks: &[Value]) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(sse(chunks), "text/event-stream")
}

/// An answer of these words.
pub(crate) fn saying(content: &str) -> ResponseTemplate {
    stream(&[words(content), finish("stop"), usage(3, 2)])
}

/// A refusal whose message repeats the prompt, as some services do.
pub(crate) fn refusal(status: u16, code: &str, message: &str) -> ResponseTemplate {
    let error = json!({ "code": code, "type": SECRET, "message": format!("{message} {SECRET}") });
    ResponseTemplate::new(status).set_body_json(json!({ "error": error }))
}

/// Everything that an error shows, with all that caused it.
pub(crate) fn shown(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let told: Vec<_> = causes.map(ToString::to_string).collect();
    format!("{error:?} / {}", told.join(" / "))
}
