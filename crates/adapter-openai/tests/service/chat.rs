//! What is asked, what comes back, and what a service refuses.

use domain::chat::{ModelError, ReplyEvent, complete};
use domain::session::{FinishReason, TokenUsage};
use serde_json::json;
use wiremock::{MockServer, ResponseTemplate};

use crate::script::*;

#[tokio::test]
async fn an_answer_comes_in_pieces_and_ends_with_its_usage() {
    let server = MockServer::start().await;
    let chunks = [words("Hel"), words("lo"), finish("length"), usage(12, 2)];
    script(&server, CHAT, &[stream(&chunks)]).await;
    let (events, failure) = events(&model(&server.uri())).await;
    let delta = |text: &str| ReplyEvent::Delta(text.to_owned());
    let usage = Some(TokenUsage {
        prompt: 12,
        completion: 2,
    });
    let end = ReplyEvent::Finished {
        model: "m-1".to_owned(),
        finish: FinishReason::Length,
        usage,
    };
    assert!(failure.is_none());
    assert_eq!(events, [delta("Hel"), delta("lo"), end]);
}

#[tokio::test]
async fn a_call_holds_the_prompt_and_nothing_about_the_user() {
    let server = MockServer::start().await;
    script(&server, CHAT, &[saying("hi")]).await;
    complete(&model(&server.uri()), prompt()).await.unwrap();
    let expected = json!({
        "model": "gpt-4o-mini",
        "messages": [
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": SECRET },
        ],
        "stream": true,
        "stream_options": { "include_usage": true },
        "max_tokens": 50,
        "temperature": 0.7,
    });
    assert_eq!(calls(&server).await, [expected]);
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[0].headers["authorization"], "Bearer the-key");
}

#[tokio::test]
async fn a_service_that_tells_no_usage_is_believed() {
    let (reply, _) = ask(stream(&[words("hi"), finish("stop")])).await;
    let reply = reply.unwrap();
    assert_eq!(
        (reply.content.as_str(), reply.finish, reply.usage),
        ("hi", FinishReason::Stop, None)
    );
}

#[tokio::test]
async fn a_parameter_that_is_refused_is_left_out_from_then_on() {
    let server = MockServer::start().await;
    let answers = [
        refusal(
            400,
            "unsupported",
            "'max_tokens' is not supported, use 'max_completion_tokens'",
        ),
        refusal(400, "unsupported", "temperature must be 1"),
        refusal(422, "unsupported", "extra field stream_options"),
        saying("hi"),
    ];
    script(&server, CHAT, &answers).await;
    let model = model(&server.uri());
    for _ in 0..2 {
        assert_eq!(complete(&model, prompt()).await.unwrap().content, "hi");
    }
    let calls = calls(&server).await;
    assert_eq!(calls.len(), 5);
    for call in &calls[3..] {
        assert_eq!(call["max_completion_tokens"], 50);
        for param in ["max_tokens", "temperature", "stream_options"] {
            assert!(call.get(param).is_none(), "{param}");
        }
    }
}

#[tokio::test]
async fn a_parameter_that_is_not_to_blame_is_sent_again_next_time() {
    let server = MockServer::start().await;
    let no = refusal(400, "x", "temperature");
    script(&server, CHAT, &[no.clone(), no, saying("hi")]).await;
    let model = model(&server.uri());
    assert!(complete(&model, prompt()).await.is_err());
    assert!(complete(&model, prompt()).await.is_ok());
    assert!(calls(&server).await[2].get("temperature").is_some());
}

#[tokio::test]
async fn each_refusal_is_mapped_and_not_repeated() {
    type Is = fn(&ModelError) -> bool;
    let rows: [(ResponseTemplate, Is); 8] = [
        (refusal(401, "invalid_api_key", ""), |e| {
            matches!(e, ModelError::Unauthorized)
        }),
        (refusal(403, "forbidden", ""), |e| {
            matches!(e, ModelError::Unauthorized)
        }),
        (refusal(400, "context_length_exceeded", ""), |e| {
            matches!(e, ModelError::PromptTooLong)
        }),
        (refusal(413, "too_large", ""), |e| {
            matches!(e, ModelError::PromptTooLong)
        }),
        (refusal(400, "content_filter", ""), |e| {
            matches!(e, ModelError::Refused)
        }),
        (refusal(404, "model_not_found", ""), |e| {
            matches!(e, ModelError::Unavailable(_))
        }),
        (refusal(400, "invalid_request", ""), |e| {
            matches!(e, ModelError::Unavailable(_))
        }),
        (refusal(429, "insufficient_quota", ""), |e| {
            matches!(e, ModelError::RateLimited { .. })
        }),
    ];
    for (answer, is) in rows {
        let (reply, calls) = ask(answer).await;
        let error = reply.unwrap_err();
        assert!(is(&error), "{error:?}");
        assert_eq!(calls, 1, "{error:?}");
        assert!(!shown(&error).contains(SECRET), "{}", shown(&error));
    }
}

#[tokio::test]
async fn an_unknown_refusal_tells_its_status_and_code() {
    let (reply, _) = ask(refusal(404, "model_not_found", "")).await;
    let error = shown(&reply.unwrap_err());
    assert!(error.contains("404 (model_not_found)"), "{error}");
}

#[tokio::test]
async fn a_model_that_declines_has_refused() {
    let no =
        json!({ "choices": [{ "delta": { "refusal": "I will not." }, "finish_reason": null }] });
    for chunks in [vec![no], vec![finish("content_filter")]] {
        let (reply, calls) = ask(stream(&chunks)).await;
        assert!(matches!(reply, Err(ModelError::Refused)), "{reply:?}");
        assert_eq!(calls, 1);
    }
}

#[tokio::test]
async fn an_answer_that_is_no_stream_of_events_is_malformed() {
    let page = ResponseTemplate::new(200).set_body_raw("<html>Log in</html>", "text/html");
    let object = ResponseTemplate::new(200).set_body_json(json!({ "choices": [] }));
    for answer in [page, object] {
        let (reply, calls) = ask(answer).await;
        assert!(matches!(reply, Err(ModelError::Malformed(_))), "{reply:?}");
        assert_eq!(calls, 1);
    }
}
