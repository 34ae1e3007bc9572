//! When a call is repeated, and when it is not.

use std::net::TcpListener;
use std::time::Duration;

use adapter_openai::{OpenAi, OpenAiChatModel, OpenAiConfig, Patience};
use domain::chat::{ChatModel, ModelError, complete};
use wiremock::{MockServer, ResponseTemplate};

use crate::raw::{RawService, Then};
use crate::script::*;

#[tokio::test]
async fn a_service_that_comes_back_is_called_again() {
    for status in [429, 500, 503, 529] {
        let server = MockServer::start().await;
        script(
            &server,
            CHAT,
            &[ResponseTemplate::new(status), saying("hi")],
        )
        .await;
        let reply = complete(&model(&server.uri()), prompt()).await.unwrap();
        assert_eq!(
            (reply.content.as_str(), calls(&server).await.len()),
            ("hi", 2),
            "{status}"
        );
    }
}

#[tokio::test]
async fn three_tries_are_all() {
    let (reply, calls) = ask(refusal(500, "server_error", "")).await;
    let error = reply.unwrap_err();
    assert!(matches!(error, ModelError::Unavailable(_)), "{error:?}");
    assert!(!shown(&error).contains(SECRET));
    assert_eq!(calls, 3);
}

#[tokio::test]
async fn a_service_that_asks_for_a_short_wait_gets_it() {
    let server = MockServer::start().await;
    let later = ResponseTemplate::new(429).insert_header("retry-after", "0");
    script(&server, CHAT, &[later.clone(), later, saying("hi")]).await;
    // The wait is the service's, not our own, which would be far longer.
    let patience = Patience {
        backoff: Duration::from_hours(1),
        longest_pause: Duration::from_hours(1),
        ..patience()
    };
    let config = OpenAiConfig {
        patience,
        ..config(&server.uri())
    };
    let model = OpenAiChatModel::new(OpenAi::new(config).unwrap());
    assert!(complete(&model, prompt()).await.is_ok());
    assert_eq!(calls(&server).await.len(), 3);
}

#[tokio::test]
async fn a_service_that_asks_for_a_long_wait_is_left_alone() {
    let (reply, calls) = ask(ResponseTemplate::new(429).insert_header("retry-after", "60")).await;
    let Err(ModelError::RateLimited { retry_after }) = reply else {
        panic!("{reply:?}")
    };
    assert_eq!((retry_after, calls), (Some(Duration::from_mins(1)), 1));
}

#[tokio::test]
async fn a_service_that_is_not_there_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://user:hunter2@{}", listener.local_addr().unwrap());
    drop(listener);
    let error = complete(&model(&base_url), prompt()).await.unwrap_err();
    assert!(matches!(error, ModelError::Unavailable(_)), "{error:?}");
    assert!(!shown(&error).contains("hunter2"), "{}", shown(&error));
}

#[tokio::test]
async fn a_connection_that_is_never_made_is_a_timeout() {
    // A socket that takes the connection but never shakes hands for TLS.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("https://{}", listener.local_addr().unwrap());
    let patience = Patience {
        connect: Duration::from_millis(50),
        ..patience()
    };
    let config = OpenAiConfig {
        patience,
        ..config(&base_url)
    };
    let model = OpenAiChatModel::new(OpenAi::new(config).unwrap());
    let error = complete(&model, prompt()).await.unwrap_err();
    assert!(matches!(error, ModelError::Timeout), "{error:?}");
}

#[tokio::test]
async fn nothing_is_repeated_once_an_answer_has_begun() {
    let first = open_sse(&[words("Hel")]).into_bytes();
    for (pieces, then) in [
        (vec![first], Then::Cut),
        (vec![], Then::Cut),
        (vec![], Then::End),
    ] {
        let service = RawService::start(pieces, then);
        let failure = complete(&model(&service.base_url), prompt())
            .await
            .unwrap_err();
        assert!(matches!(failure, ModelError::Interrupted), "{failure:?}");
        assert_eq!(service.calls(), 1);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = MockServer::start().await;
    script(&other, CHAT, &[saying("hi")]).await;
    let elsewhere = format!("{}{CHAT}", other.uri());
    let (reply, calls) = ask(ResponseTemplate::new(307).insert_header("location", elsewhere)).await;
    assert!(
        matches!(reply, Err(ModelError::Unavailable(_))),
        "{reply:?}"
    );
    assert_eq!(
        (calls, other.received_requests().await.unwrap().len()),
        (1, 0)
    );
}

#[tokio::test]
async fn a_failed_call_is_an_error_of_the_call_and_not_of_the_stream() {
    let server = MockServer::start().await;
    script(&server, CHAT, &[ResponseTemplate::new(401)]).await;
    assert!(model(&server.uri()).stream(prompt()).await.is_err());
}
