//! Chat, whole and streamed.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{MEMORY, MESSAGE, has_shape, start};
use crate::harness::Server;

#[tokio::test]
async fn a_turn() {
    let (model, _server, ada) = start().await;
    let profile = ada.default_profile().await;
    let session = ada.session("normal").await;
    let answer = ada.chat(&session, "My dog is called Rex.").await;
    has_shape(
        &answer,
        &[
            ("success", "b"),
            ("content", "s"),
            ("session_id", "i"),
            ("privacy_mode", "s"),
            ("memories_used", "n"),
            ("memories_extracted", "b"),
            ("metadata", "o"),
            ("user_message", "o"),
            ("assistant_message", "o"),
        ],
    );
    assert_eq!(answer["content"], "You said: My dog is called Rex.");
    assert_eq!(
        (
            &answer["success"],
            &answer["memories_used"],
            &answer["memories_extracted"]
        ),
        (&json!(true), &json!(0), &json!(true))
    );
    let tokens = json!({"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12});
    assert_eq!(
        answer["metadata"],
        json!({"model": "stand-in", "tokens": tokens, "finish_reason": "stop"})
    );
    has_shape(&answer["user_message"], MESSAGE);
    has_shape(&answer["assistant_message"], MESSAGE);
    ada.wait_for_memories(&profile, 1).await;

    let later = ada.session("normal").await;
    let recalled = ada.chat(&later, "What is the name of my dog?").await;
    assert_eq!(recalled["memories_used"], 1);
    let memory = &recalled["memories"].as_array().expect("memories")[0];
    has_shape(memory, MEMORY);
    assert_eq!(memory["source"]["session_id"], session);
    assert_eq!(memory["source"]["message_id"], answer["user_message"]["id"]);
    let prompt = model.chats().pop().expect("a call").body;
    assert!(
        prompt["messages"][0]["content"]
            .as_str()
            .expect("system")
            .contains("My dog is called Rex.")
    );
    for (mode, used, learned) in [("pause_memories", 1, false), ("incognito", 0, false)] {
        let session = ada.session(mode).await;
        let answer = ada.chat(&session, "My dog is called Rex, right?").await;
        assert_eq!(
            (&answer["memories_used"], &answer["memories_extracted"]),
            (&json!(used), &json!(learned)),
            "{mode}"
        );
        assert_eq!(answer["privacy_mode"], mode);
    }
}

#[tokio::test]
async fn a_streamed_turn() {
    let (_model, _server, ada) = start().await;
    let session = ada.session("normal").await;
    let path = format!("/api/v1/chat/{session}/stream");
    let answer = ada
        .post(&path, &json!({"message": "I like tea.", "stream": false}))
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache"),
        ("x-accel-buffering", "no"),
    ] {
        assert!(
            answer.headers[name]
                .to_str()
                .expect("text")
                .starts_with(value),
            "{name}"
        );
    }
    let lines: Vec<&str> = answer
        .text
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with(':'))
        .collect();
    assert!(lines.iter().all(|l| l.starts_with("data: ")), "{lines:?}");
    assert_eq!(lines.last(), Some(&"data: [DONE]"));
    let events: Vec<Value> = lines[..lines.len() - 1]
        .iter()
        .map(|l| serde_json::from_str(&l[6..]).expect("JSON"))
        .collect();
    let first = &events[0];
    assert_eq!(
        (&first["success"], &first["type"], &first["session_id"]),
        (&json!(true), &json!("metadata"), &json!(session))
    );
    assert_eq!(
        (&first["privacy_mode"], &first["memories_used"]),
        (&json!("normal"), &json!(0))
    );
    let last = events.last().expect("events");
    assert_eq!(
        (&last["success"], &last["type"], &last["memories_extracted"]),
        (&json!(true), &json!("complete"), &json!(true))
    );
    let middle = &events[1..events.len() - 1];
    assert!(
        middle
            .iter()
            .all(|e| e["type"] == "content" && e["success"] == true && e["done"] == false)
    );
    let text: String = middle
        .iter()
        .map(|e| e["content"].as_str().expect("delta"))
        .collect();
    assert_eq!(text, "You said: I like tea.");

    let cut = ada
        .post(&path, &json!({"message": "[cut] one two three four"}))
        .await;
    let lines: Vec<&str> = cut
        .text
        .lines()
        .filter(|l| l.starts_with("data: "))
        .collect();
    let last: Value = serde_json::from_str(&lines.last().expect("a line")[6..]).expect("JSON");
    assert_eq!(
        (&last["success"], &last["type"], &last["error_type"]),
        (&json!(false), &json!("error"), &json!("model_interrupted"))
    );
    assert!(last["error"].is_string());
    let stored = ada.messages(&session).await;
    assert_eq!(stored.last().expect("messages")["status"], "interrupted");
}

#[tokio::test]
async fn what_the_model_refuses_is_an_ordinary_problem() {
    let (_model, _server, ada) = start().await;
    let session = ada.session("normal").await;
    for path in [
        format!("/api/v1/chat/{session}"),
        format!("/api/v1/chat/{session}/stream"),
    ] {
        ada.post(&path, &json!({"message": "[401]"}))
            .await
            .is_problem(502, "model_unauthorized");
        for message in ["", "   ", &"x".repeat(10_001)] {
            ada.post(&path, &json!({"message": message}))
                .await
                .is_problem(422, "validation_failed");
        }
        ada.post(&path, &json!({"message": "x".repeat(10_000)}))
            .await
            .expect_ok();
    }
}

#[tokio::test]
async fn without_weights_it_starts_recalls_by_words_and_says_how_to_mend_it() {
    let empty = tempfile::tempdir().expect("folder");
    let folder = empty.path().to_str().expect("path");
    let server = Server::start(&[
        ("MEMORYCHAT_MODELS_DIR", folder),
        ("MEMORYCHAT_MODELS_PULL", "false"),
    ])
    .await;
    let ada = server.sign_up("ada").await;
    let profile = ada.default_profile().await;
    let session = ada.session("normal").await;
    let refused = ada
        .post(
            &format!("/api/v1/chat/{session}"),
            &json!({"message": "Hello"}),
        )
        .await;
    assert!(
        refused.text.contains("memorychat models pull"),
        "{}",
        refused.text
    );
    refused.is_problem(503, "model_unavailable");
    let path = format!("/api/v1/memory-profiles/{profile}/memories");
    ada.post(&path, &json!({"content": "I play the violin."}))
        .await
        .expect(StatusCode::CREATED);
    let found = ada
        .post(&format!("{path}/search"), &json!({"query": "violins"}))
        .await
        .json();
    assert_eq!(found["count"], 1, "{found}");
}
