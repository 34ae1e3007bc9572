//! The contract of [`ChatModel`], over models that can be told what to do.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use domain::chat::{ChatModel, ModelError, Prompt, PromptMessage, ReplyEvent, complete};
use domain::error::Classify;
use domain::session::{FinishReason, Role, TokenUsage};
use futures::StreamExt;

use super::Case;

/// What a model is to do with its next call, and with every later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// Say these words, in these pieces or others, and end.
    Say {
        /// The pieces.
        deltas: Vec<String>,
        /// Why it ends.
        finish: FinishReason,
        /// What it took, where it tells.
        usage: Option<TokenUsage>,
    },
    /// Say these words, then lose the connection.
    BreakOff {
        /// The pieces.
        after: Vec<String>,
    },
    /// Refuse before the first word.
    Refuse(Refusal),
}

/// Ways to refuse a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Too many calls; come back after 7 seconds.
    RateLimited,
    /// A wrong key.
    Unauthorized,
    /// The prompt does not fit.
    PromptTooLong,
    /// The service itself fails, at every try.
    Unavailable,
}

/// Makes models that follow a script. An adapter's test implements it, with a scripted server for
/// instance, and so passes the same cases as the fake.
#[async_trait]
pub trait ModelScript: Send + Sync {
    /// A model that does this.
    async fn model_that(&self, script: Script) -> Arc<dyn ChatModel>;

    /// Resolves once the model has noticed that nobody listens any more; at once where that cannot be
    /// seen from here.
    async fn stopped(&self) {}
}

type Harness = Box<dyn ModelScript>;

const CASES: &[Case<Harness>] = cases![
    words_come_in_order_and_the_end_comes_once,
    the_reason_of_the_end_is_told,
    a_whole_answer_is_all_its_words,
    an_answer_can_be_empty,
    a_refusal_comes_before_the_stream,
    a_rate_limit_tells_how_long_to_wait,
    a_cut_stream_is_an_error_and_then_nothing,
    dropping_the_stream_stops_the_model,
    a_model_answers_again_and_again,
    limits_and_counts_make_sense,
];

/// Checks a model; `fresh` makes a maker of scripted models for each case.
pub async fn check<Fut: Future<Output = Box<dyn ModelScript>>>(fresh: impl Fn() -> Fut) {
    super::run("chat model", CASES, fresh).await;
}

const USAGE: TokenUsage = TokenUsage {
    prompt: 12,
    completion: 3,
};

fn prompt() -> Prompt {
    let say = |role, content: &str| PromptMessage {
        role,
        content: content.to_owned(),
    };
    let messages = vec![say(Role::System, "Be kind."), say(Role::User, "Hello?")];
    Prompt {
        messages,
        max_reply_tokens: 100,
    }
}

fn say(deltas: &[&str]) -> Script {
    let deltas = deltas.iter().map(|delta| (*delta).to_owned()).collect();
    Script::Say {
        deltas,
        finish: FinishReason::Stop,
        usage: Some(USAGE),
    }
}

/// Everything a stream gives, to its end.
async fn events(model: &dyn ChatModel) -> Vec<Result<ReplyEvent, ModelError>> {
    model
        .stream(prompt())
        .await
        .expect("it is not refused")
        .collect()
        .await
}

/// The words of events that must all be words.
fn words<'a>(events: impl IntoIterator<Item = &'a Result<ReplyEvent, ModelError>>) -> String {
    let delta = |event: &'a Result<ReplyEvent, ModelError>| match event {
        Ok(ReplyEvent::Delta(delta)) => {
            assert!(!delta.is_empty(), "an empty delta");
            delta.as_str()
        }
        other => panic!("expected words: {other:?}"),
    };
    events.into_iter().map(delta).collect()
}

async fn words_come_in_order_and_the_end_comes_once(maker: &Harness) {
    let deltas = ["Hel", "lo, ", "\n\n", "\"wörld\" ", "茶 😀", "!"];
    let model = maker.model_that(say(&deltas)).await;
    let events = events(&*model).await;
    let (last, before) = events.split_last().expect("there is an end");
    assert_eq!(words(before), deltas.concat());
    match last {
        Ok(ReplyEvent::Finished {
            model,
            finish,
            usage,
        }) => {
            assert!(!model.is_empty());
            assert_eq!((*finish, *usage), (FinishReason::Stop, Some(USAGE)));
        }
        other => panic!("expected the end: {other:?}"),
    }
}

async fn the_reason_of_the_end_is_told(maker: &Harness) {
    for expected in [
        FinishReason::Stop,
        FinishReason::Length,
        FinishReason::ContentFilter,
    ] {
        let deltas = vec!["Hello".to_owned()];
        let script = Script::Say {
            deltas,
            finish: expected,
            usage: None,
        };
        let model = maker.model_that(script).await;
        let reply = complete(&*model, prompt()).await.unwrap();
        assert_eq!((reply.finish, reply.usage), (expected, None));
    }
}

async fn a_whole_answer_is_all_its_words(maker: &Harness) {
    let model = maker.model_that(say(&["One ", "two ", "three."])).await;
    let reply = complete(&*model, prompt()).await.unwrap();
    assert_eq!(
        (reply.content.as_str(), reply.usage),
        ("One two three.", Some(USAGE))
    );
}

async fn an_answer_can_be_empty(maker: &Harness) {
    let model = maker.model_that(say(&[])).await;
    let events = events(&*model).await;
    assert!(
        matches!(events[..], [Ok(ReplyEvent::Finished { .. })]),
        "{events:?}"
    );
}

async fn a_refusal_comes_before_the_stream(maker: &Harness) {
    for (refusal, code) in [
        (Refusal::RateLimited, "model_rate_limited"),
        (Refusal::Unauthorized, "model_unauthorized"),
        (Refusal::PromptTooLong, "context_too_long"),
        (Refusal::Unavailable, "model_unavailable"),
    ] {
        let model = maker.model_that(Script::Refuse(refusal)).await;
        let error = model.stream(prompt()).await.err().expect("it is refused");
        assert_eq!(error.code(), code);
    }
}

async fn a_rate_limit_tells_how_long_to_wait(maker: &Harness) {
    let model = maker.model_that(Script::Refuse(Refusal::RateLimited)).await;
    let error = model.stream(prompt()).await.err().expect("it is refused");
    assert_eq!(error.retry_after().map(|wait| wait.as_secs()), Some(7));
}

async fn a_cut_stream_is_an_error_and_then_nothing(maker: &Harness) {
    let after = vec!["One ".to_owned(), "two".to_owned()];
    let model = maker.model_that(Script::BreakOff { after }).await;
    let events = events(&*model).await;
    let (last, before) = events.split_last().expect("there is an error");
    assert_eq!(words(before), "One two");
    assert!(matches!(last, Err(ModelError::Interrupted)), "{last:?}");
    let error = complete(&*model, prompt())
        .await
        .expect_err("half an answer is none");
    assert!(matches!(error, ModelError::Interrupted), "{error:?}");
}

async fn dropping_the_stream_stops_the_model(maker: &Harness) {
    let deltas = ["word "; 1000];
    let model = maker.model_that(say(&deltas)).await;
    let mut stream = model.stream(prompt()).await.unwrap();
    let first = stream.next().await.expect("there are words");
    assert!(matches!(first, Ok(ReplyEvent::Delta(_))), "{first:?}");
    drop(stream);
    maker.stopped().await;
    let reply = complete(&*model, prompt())
        .await
        .expect("its place is free again");
    assert_eq!(reply.content, deltas.concat());
}

async fn a_model_answers_again_and_again(maker: &Harness) {
    let model = maker.model_that(say(&["Hello."])).await;
    for _ in 0..5 {
        assert_eq!(complete(&*model, prompt()).await.unwrap().content, "Hello.");
    }
}

async fn limits_and_counts_make_sense(maker: &Harness) {
    let model = maker.model_that(say(&[])).await;
    let limits = model.limits();
    assert!(
        limits.reply_tokens > 0 && limits.context_tokens > limits.reply_tokens,
        "{limits:?}"
    );
    assert!(!model.name().is_empty());
    assert_eq!(model.count_tokens(""), 0);
    let (short, long) = (
        model.count_tokens("Hello."),
        model.count_tokens(&"Hello. ".repeat(50)),
    );
    assert!(short > 0 && long > 20 * short, "{short} and {long}");
}
