//! Sessions and their messages.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{MESSAGE, SESSION, has_shape, start};
use crate::harness::id;

#[tokio::test]
async fn sessions() {
    let (_model, _server, ada) = start().await;
    let default = ada.default_profile().await;
    let made = ada
        .post("/api/v1/sessions", &json!({}))
        .await
        .expect(StatusCode::CREATED);
    has_shape(&made, SESSION);
    assert_eq!(
        (&made["privacy_mode"], &made["memory_profile_id"]),
        (&json!("normal"), &json!(default))
    );
    let hidden = ada
        .post("/api/v1/sessions", &json!({"privacy_mode": "incognito"}))
        .await
        .expect(StatusCode::CREATED);
    assert_eq!(hidden["memory_profile_id"], Value::Null);
    ada.get(&format!("/api/v1/sessions/{}", id(&hidden)))
        .await
        .expect(StatusCode::OK);
    for mode in ["Normal", "off", "", "incognito "] {
        ada.post("/api/v1/sessions", &json!({"privacy_mode": mode}))
            .await
            .is_problem(422, "validation_failed");
    }

    let session = id(&made);
    let path = format!("/api/v1/sessions/{session}");
    for n in 0..3 {
        ada.chat(&session, &format!("Hello {n}")).await;
    }
    let newer = ada.session("pause_memories").await;
    let list = ada.get("/api/v1/sessions").await.expect(StatusCode::OK);
    let ids: Vec<String> = list
        .as_array()
        .expect("a bare array")
        .iter()
        .map(id)
        .collect();
    assert_eq!(
        ids,
        [newer.clone(), session.clone()],
        "most recently updated first, incognito in no list"
    );
    ada.chat(&session, "Again").await;
    let page = ada.get("/api/v1/sessions?limit=1").await;
    let link = page.headers["link"].to_str().expect("text").to_owned();
    assert_eq!(id(&page.json()[0]), session, "a turn moves it up");
    assert!(link.contains("rel=\"next\""), "{link}");
    let next = link.split(['<', '>']).nth(1).expect("target");
    let next = next.strip_prefix(&ada.base).unwrap_or(next);
    assert_eq!(
        id(&ada.get(next).await.json()[0]),
        newer,
        "the cursor goes on"
    );
    assert_eq!(
        ada.get("/api/v1/sessions?limit=1&offset=1").await.json()[0]["id"],
        newer
    );
    let filtered = ada
        .get(&format!("/api/v1/sessions?memory_profile_id={default}"))
        .await
        .json();
    assert_eq!(filtered.as_array().expect("array").len(), 2);
    for query in [
        "limit=0",
        "limit=101",
        "offset=-1",
        "limit=x",
        "memory_profile_id=x",
    ] {
        let answer = ada.get(&format!("/api/v1/sessions?{query}")).await;
        assert_eq!(
            answer.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{query}: {}",
            answer.text
        );
    }

    for method in [Method::PUT, Method::PATCH] {
        let change = json!({"privacy_mode": "pause_memories"});
        let changed = ada
            .send(ada.request(method, &path).json(&change))
            .await
            .expect(StatusCode::OK);
        assert_eq!(
            (&changed["privacy_mode"], &changed["memory_profile_id"]),
            (&json!("pause_memories"), &json!(default))
        );
    }
    let gone = ada.delete(&path).await.expect(StatusCode::OK);
    assert_eq!(gone["session_id"], session);
    for left in [
        path.clone(),
        format!("{path}/messages"),
        format!("{path}/summary"),
    ] {
        ada.get(&left).await.is_problem(404, "session_not_found");
    }
}

#[tokio::test]
async fn messages() {
    let (_model, _server, ada) = start().await;
    let session = ada.session("normal").await;
    let path = format!("/api/v1/sessions/{session}");
    for n in 0..4 {
        ada.chat(&session, &format!("Hello {n}")).await;
    }
    let messages = ada.get(&format!("{path}/messages")).await.json();
    let messages = messages.as_array().expect("a bare array");
    assert_eq!(messages.len(), 8);
    assert_eq!(
        (&messages[0]["role"], &messages[0]["content"]),
        (&json!("user"), &json!("Hello 0"))
    );
    for message in messages {
        has_shape(message, MESSAGE);
    }
    has_shape(
        &messages[1]["metadata"],
        &[("model", "s"), ("tokens", "n"), ("finish_reason", "s")],
    );
    assert_eq!(messages[1]["metadata"]["tokens"], 12);
    let two = ada
        .get(&format!("{path}/messages?limit=2&offset=1"))
        .await
        .json();
    assert_eq!(two.as_array().expect("array")[0]["id"], messages[1]["id"]);

    let summary = ada
        .get(&format!("{path}/summary"))
        .await
        .expect(StatusCode::OK);
    has_shape(
        &summary,
        &[
            ("session_id", "i"),
            ("total_messages", "n"),
            ("user_messages", "n"),
            ("assistant_messages", "n"),
            ("first_message_at", "t"),
            ("last_message_at", "t"),
        ],
    );
    assert_eq!(
        (&summary["total_messages"], &summary["user_messages"]),
        (&json!(8), &json!(4))
    );
    assert_eq!(ada.get(&path).await.json()["message_count"], 8);
}
