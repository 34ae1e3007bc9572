//! Answers that come in odd pieces, stop, or break.

use std::time::Duration;

use adapter_openai::{OpenAi, OpenAiChatModel, OpenAiConfig, Patience};
use domain::chat::{ChatModel, ModelError, ReplyEvent, complete};
use domain::session::FinishReason;
use futures::StreamExt;
use serde_json::json;

use crate::raw::{RawService, Then};
use crate::script::*;

const SHORT: Duration = Duration::from_millis(100);

fn hurried(service: &RawService, patience: Patience) -> OpenAiChatModel {
    let config = OpenAiConfig {
        patience,
        ..config(&service.base_url)
    };
    OpenAiChatModel::new(OpenAi::new(config).unwrap())
}

fn pieces(chunks: &[serde_json::Value]) -> Vec<Vec<u8>> {
    chunks
        .iter()
        .map(|chunk| open_sse(std::slice::from_ref(chunk)).into_bytes())
        .collect()
}

#[tokio::test]
async fn characters_are_whole_however_the_network_cuts_them() {
    let text = "Größe 漢字 😀 й";
    for (end_of_line, size) in [("\n", 1), ("\r\n", 1), ("\n", 3), ("\r\n", 10_000)] {
        let body = sse(&[words(text), finish("stop")]).replace('\n', end_of_line);
        let pieces = body.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
        let service = RawService::start(pieces, Then::End);
        let reply = complete(&model(&service.base_url), prompt()).await.unwrap();
        assert_eq!(reply.content, text, "{end_of_line:?} {size}");
    }
}

#[tokio::test]
async fn comments_and_empty_events_are_read_over() {
    let body = format!(
        ": connected\n\ndata: \n\n: ping\n{}",
        sse(&[words("hi"), finish("stop")])
    );
    let service = RawService::start(vec![body.into_bytes()], Then::End);
    assert_eq!(
        complete(&model(&service.base_url), prompt())
            .await
            .unwrap()
            .content,
        "hi"
    );
}

#[tokio::test]
async fn an_answer_ends_once_whatever_follows() {
    let body = sse(&[words("hi"), finish("stop")]) + &sse(&[words("more"), finish("stop")]);
    let service = RawService::start(vec![body.into_bytes()], Then::Hang);
    let (events, failure) = events(&model(&service.base_url)).await;
    assert!(failure.is_none());
    assert!(
        matches!(
            &events[..],
            [ReplyEvent::Delta(_), ReplyEvent::Finished { .. }]
        ),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_cut_stream_is_interrupted_after_what_had_come() {
    for then in [Then::Cut, Then::End] {
        let service = RawService::start(pieces(&[words("Hel")]), then);
        let (events, failure) = events(&model(&service.base_url)).await;
        assert_eq!(events, [ReplyEvent::Delta("Hel".to_owned())]);
        assert!(
            matches!(failure, Some(ModelError::Interrupted)),
            "{failure:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_was_whole_when_it_was_cut_is_whole() {
    let service = RawService::start(pieces(&[words("hi"), finish("stop")]), Then::Cut);
    let reply = complete(&model(&service.base_url), prompt()).await.unwrap();
    assert_eq!(
        (reply.content.as_str(), reply.finish),
        ("hi", FinishReason::Stop)
    );
}

#[tokio::test]
async fn a_chunk_that_is_not_understood_is_malformed() {
    let broken = [
        b"data: {\"choices\":[\n\n".to_vec(),
        b"data: \xFF\n\n".to_vec(),
    ];
    for bad in broken
        .into_iter()
        .chain(pieces(&[json!({ "choices": SECRET })]))
    {
        let pieces = [pieces(&[words("Hel")]), vec![bad]].concat();
        let service = RawService::start(pieces, Then::Hang);
        let (events, failure) = events(&model(&service.base_url)).await;
        assert_eq!(events, [ReplyEvent::Delta("Hel".to_owned())]);
        let failure = failure.unwrap();
        assert!(matches!(failure, ModelError::Malformed(_)), "{failure:?}");
        assert!(!shown(&failure).contains(SECRET));
        assert_eq!(service.calls(), 1);
    }
}

#[tokio::test]
async fn a_line_without_end_is_given_up() {
    let service = RawService::start(vec![vec![b'x'; 64 * 1024]; 17], Then::Hang);
    let failure = complete(&model(&service.base_url), prompt())
        .await
        .unwrap_err();
    assert!(matches!(failure, ModelError::Malformed(_)), "{failure:?}");
}

#[tokio::test]
async fn no_first_word_in_time_is_a_timeout() {
    let role = json!({ "choices": [{ "delta": { "role": "assistant", "content": "" } }] });
    for first in [vec![], vec![role]] {
        let service = RawService::start(pieces(&first), Then::Hang);
        let model = hurried(
            &service,
            Patience {
                first_token: SHORT,
                ..patience()
            },
        );
        let failure = complete(&model, prompt()).await.unwrap_err();
        assert!(matches!(failure, ModelError::Timeout), "{failure:?}");
        assert_eq!(service.calls(), 1);
    }
}

#[tokio::test]
async fn a_service_that_takes_the_call_and_says_nothing_at_all_is_a_timeout() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let patience = Patience {
        first_token: SHORT,
        ..patience()
    };
    let config = OpenAiConfig {
        patience,
        ..config(&base_url)
    };
    let model = OpenAiChatModel::new(OpenAi::new(config).unwrap());
    let failure = complete(&model, prompt()).await.unwrap_err();
    assert!(matches!(failure, ModelError::Timeout), "{failure:?}");
}

#[tokio::test]
async fn a_silence_in_the_middle_is_a_timeout() {
    let service = RawService::start(pieces(&[words("Hel")]), Then::Hang);
    let model = hurried(
        &service,
        Patience {
            idle: SHORT,
            ..patience()
        },
    );
    let (events, failure) = events(&model).await;
    assert_eq!(events, [ReplyEvent::Delta("Hel".to_owned())]);
    assert!(matches!(failure, Some(ModelError::Timeout)), "{failure:?}");
    assert_eq!(service.calls(), 1);
}

#[tokio::test]
async fn dropping_an_answer_hangs_up() {
    let service = RawService::start(pieces(&[words("Hel")]), Then::Hang);
    let mut stream = model(&service.base_url).stream(prompt()).await.unwrap();
    assert!(stream.next().await.is_some());
    assert_eq!(service.hung_up(), 0);
    drop(stream);
    while service.hung_up() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
