//! The JSON of every route, field by field and type by type, as the contract writes it.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{User, body_of, start};

/// What stands for a type in a shape.
fn matches(value: &Value, shape: &Value) -> bool {
    match (shape, value) {
        (Value::String(kind), _) => is_a(value, kind),
        (Value::Object(fields), Value::Object(values)) => {
            fields.len() == values.len()
                && fields
                    .iter()
                    .all(|(name, shape)| values.get(name).is_some_and(|v| matches(v, shape)))
        }
        (Value::Array(shapes), Value::Array(values)) => {
            values.iter().all(|value| matches(value, &shapes[0]))
        }
        _ => shape == value,
    }
}

fn is_a(value: &Value, kind: &str) -> bool {
    if let Some(exact) = kind.strip_prefix('=') {
        return value == exact;
    }
    if let Some(kind) = kind.strip_suffix("|null") {
        return value.is_null() || is_a(value, kind);
    }
    let text = value.as_str();
    match kind {
        "string" => text.is_some(),
        "uuid" => text.is_some_and(|t| uuid::Uuid::parse_str(t).is_ok() && t.len() == 36),
        "time" => text.is_some_and(|t| t.ends_with('Z') && t.as_bytes().get(10) == Some(&b'T')),
        "bool" => value.is_boolean(),
        "count" => value.is_u64(),
        "number" => value.is_number(),
        "object" => value.is_object(),
        _ => panic!("no such kind: {kind}"),
    }
}

fn check(value: &Value, shape: &Value) {
    assert!(matches(value, shape), "{value:#}\nis not like\n{shape:#}");
}

fn user() -> Value {
    json!({"id": "uuid", "email": "string", "created_at": "time", "updated_at": "time",
        "metadata": "object|null"})
}

fn tokens() -> Value {
    json!({"access_token": "string", "token_type": "=bearer", "expires_in": "count",
        "refresh_token": "string", "user": user()})
}

fn profile() -> Value {
    json!({"id": "uuid", "user_id": "uuid", "name": "string", "description": "string|null",
        "is_default": "bool", "created_at": "time", "updated_at": "time", "memory_count": "count"})
}

fn memory() -> Value {
    json!({"id": "uuid", "memory": "string", "memory_content": "string", "created_at": "time",
        "updated_at": "time", "user_id": "uuid", "memory_profile_id": "uuid",
        "metadata": {"memory_profile_id": "uuid", "origin": "string"},
        "source": null, "version": "count"})
}

fn scored_memory() -> Value {
    let mut shape = memory();
    shape["score"] = json!("number");
    shape
}

fn session() -> Value {
    json!({"id": "uuid", "user_id": "uuid", "memory_profile_id": "uuid|null",
        "privacy_mode": "string", "created_at": "time", "updated_at": "time",
        "message_count": "count"})
}

fn question() -> Value {
    json!({"id": "uuid", "session_id": "uuid", "role": "=user", "content": "string",
        "created_at": "time", "metadata": {}, "status": "=complete"})
}

fn answer() -> Value {
    json!({"id": "uuid", "session_id": "uuid", "role": "=assistant", "content": "string",
        "created_at": "time", "status": "=complete",
        "metadata": {"model": "string", "tokens": "count", "finish_reason": "=stop",
            "memories_used": "count"}})
}

async fn memory_of(ada: &User<'_>, profile: &str, content: &str) -> Value {
    let path = format!("/memory-profiles/{profile}/memories");
    let body = json!({"content": content});
    ada.post(&path, &body, StatusCode::CREATED).await
}

#[tokio::test]
async fn accounts_answer_as_the_contract_says() {
    let server = start();
    let signed_up = server.sign_up("ada@example.org").await;
    check(&signed_up, &tokens());
    let credentials = json!({"email": "ada@example.org", "password": "correct horse"});
    let login = server
        .request(Method::POST, "/auth/login")
        .json(&credentials);
    let logged_in = body_of(login.send().await.unwrap(), StatusCode::OK).await;
    check(&logged_in, &tokens());
    let body = json!({"refresh_token": logged_in["refresh_token"]});
    let refresh = server.request(Method::POST, "/auth/refresh").json(&body);
    let refreshed = body_of(refresh.send().await.unwrap(), StatusCode::OK).await;
    check(&refreshed, &tokens());
    let ada = server.user("lovelace@example.org").await;
    check(&ada.get("/auth/me").await, &user());
    let gone = ada.post("/auth/logout", &json!({}), StatusCode::OK).await;
    check(&gone, &json!({"message": "string"}));
    assert_eq!(
        ada.fetch("/auth/me").await.status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn api_keys_are_shown_once() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let mut shape = json!({"id": "uuid", "name": "string", "prefix": "string",
        "scopes": ["string"], "created_at": "time", "expires_at": "time|null",
        "revoked_at": "time|null"});
    let body = json!({"name": "export", "scopes": ["read"], "expires_at": "2099-01-01T00:00:00Z"});
    let key = ada.post("/api-keys", &body, StatusCode::CREATED).await;
    let listed = ada.get("/api-keys").await;
    check(&listed[0], &shape);
    shape["api_key"] = json!("string");
    check(&key, &shape);
    let secret = key["api_key"].as_str().unwrap();
    let me = server
        .request(Method::GET, "/auth/me")
        .header("X-API-Key", secret);
    check(
        &body_of(me.send().await.unwrap(), StatusCode::OK).await,
        &user(),
    );
    let path = format!("/api-keys/{}", key["id"].as_str().unwrap());
    let revoked = ada.delete(&path).await;
    check(
        &revoked,
        &json!({"message": "string", "api_key_id": "uuid"}),
    );
}

#[tokio::test]
async fn memory_profiles_answer_as_the_contract_says() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    check(&ada.get("/memory-profiles").await, &json!([profile()]));
    let body = json!({"name": "Work", "description": "for colleagues"});
    let work = ada
        .post("/memory-profiles", &body, StatusCode::CREATED)
        .await;
    check(&work, &profile());
    let path = format!("/memory-profiles/{}", work["id"].as_str().unwrap());
    check(&ada.get(&path).await, &profile());
    let default = ada
        .post(&format!("{path}/set-default"), &json!({}), StatusCode::OK)
        .await;
    let shape = json!({"message": "string", "profile_id": "uuid", "profile_name": "=Work"});
    check(&default, &shape);
    let gone = ada.delete(&path).await;
    check(&gone, &json!({"message": "string", "profile_id": "uuid"}));
}

#[tokio::test]
async fn a_partial_update_tells_absent_from_null() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let body = json!({"name": "Work", "description": "for colleagues"});
    let work = ada
        .post("/memory-profiles", &body, StatusCode::CREATED)
        .await;
    let path = format!("/memory-profiles/{}", work["id"].as_str().unwrap());
    for method in [Method::PUT, Method::PATCH] {
        let send = |body: Value| {
            let (ada, path, method) = (&ada, &path, method.clone());
            async move { ada.send(method, path, &body, StatusCode::OK).await }
        };
        let text = "for colleagues";
        assert_eq!(
            send(json!({"description": text})).await["description"],
            text
        );
        assert_eq!(send(json!({"name": "Play"})).await["description"], text);
        let cleared = send(json!({"description": null})).await;
        assert_eq!(cleared["description"], Value::Null);
        assert_eq!(cleared["name"], "Play");
    }
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    ada.send(Method::PUT, &path, &json!({"name": null}), status)
        .await;
}

#[tokio::test]
async fn memories_answer_as_the_contract_says() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let profile = ada.default_profile().await;
    let all = format!("/memory-profiles/{profile}/memories");
    let rex = memory_of(&ada, &profile, "My dog is called Rex.").await;
    check(&rex, &memory());
    assert_eq!(rex["memory"], rex["memory_content"]);
    assert_eq!(rex["metadata"]["memory_profile_id"], profile.as_str());
    check(&ada.get(&all).await, &json!([memory()]));
    let one = format!("{all}/{}", rex["id"].as_str().unwrap());
    check(&ada.get(&one).await, &memory());
    let text = json!({"content": "My dog is called Max."});
    let changed = ada.send(Method::PUT, &one, &text, StatusCode::OK).await;
    assert_eq!(
        (&changed["memory"], &changed["version"]),
        (&text["content"], &json!(2))
    );
    let query = json!({"query": "dog"});
    let found = ada
        .post(&format!("{all}/search"), &query, StatusCode::OK)
        .await;
    let shape = json!({"memories": [scored_memory()], "count": 1, "words_only": false});
    check(&found, &shape);
    let gone = ada.delete(&one).await;
    check(&gone, &json!({"message": "string", "memory_id": "uuid"}));
}

#[tokio::test]
async fn memories_are_copied_and_deleted_as_a_whole() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let profile = ada.default_profile().await;
    let work = ada
        .post(
            "/memory-profiles",
            &json!({"name": "Work"}),
            StatusCode::CREATED,
        )
        .await;
    memory_of(&ada, &profile, "My dog is called Rex.").await;
    memory_of(&ada, &profile, "I live in Turin.").await;
    let all = format!("/memory-profiles/{profile}/memories");
    let target = json!({"target_profile_id": work["id"]});
    let copied = ada
        .post(&format!("{all}/copy"), &target, StatusCode::OK)
        .await;
    check(&copied, &json!({"message": "string", "copied": 2}));
    let deleted = ada.delete(&all).await;
    check(
        &deleted,
        &json!({"message": "string", "profile_id": "uuid", "deleted": 2}),
    );
    assert_eq!(ada.get(&all).await, json!([]));
}

#[tokio::test]
async fn sessions_answer_as_the_contract_says() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let opened = ada.post("/sessions", &json!({}), StatusCode::CREATED).await;
    check(&opened, &session());
    assert_eq!(opened["privacy_mode"], "normal");
    assert_eq!(
        opened["memory_profile_id"],
        ada.default_profile().await.as_str()
    );
    check(&ada.get("/sessions").await, &json!([session()]));
    let path = format!("/sessions/{}", opened["id"].as_str().unwrap());
    check(&ada.get(&path).await, &session());
    let change = json!({"privacy_mode": "pause_memories", "memory_profile_id": null});
    let changed = ada
        .send(Method::PATCH, &path, &change, StatusCode::OK)
        .await;
    assert_eq!(changed["privacy_mode"], "pause_memories");
    assert_eq!(changed["memory_profile_id"], Value::Null);
    let kept = ada
        .send(Method::PUT, &path, &json!({}), StatusCode::OK)
        .await;
    assert_eq!(kept["privacy_mode"], "pause_memories");
    let empty = json!({"session_id": "uuid", "total_messages": 0, "user_messages": 0,
        "assistant_messages": 0, "first_message_at": null, "last_message_at": null});
    check(&ada.get(&format!("{path}/summary")).await, &empty);
    let gone = ada.delete(&path).await;
    check(&gone, &json!({"message": "string", "session_id": "uuid"}));
}

#[tokio::test]
async fn an_incognito_session_takes_no_profile_and_is_in_no_list() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let body = json!({"privacy_mode": "incognito"});
    let opened = ada.post("/sessions", &body, StatusCode::CREATED).await;
    check(&opened, &session());
    assert_eq!(opened["memory_profile_id"], Value::Null);
    assert_eq!(ada.get("/sessions").await, json!([]));
}

#[tokio::test]
async fn a_wrong_privacy_mode_is_named() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let session = format!("/sessions/{}", ada.session("normal").await);
    let wrong = json!({"privacy_mode": "off"});
    for (method, path) in [(Method::POST, "/sessions"), (Method::PUT, session.as_str())] {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        let problem = ada.send(method, path, &wrong, status).await;
        assert_eq!(
            problem["errors"][0]["pointer"], "/privacy_mode",
            "{problem}"
        );
    }
}

#[tokio::test]
async fn an_unknown_field_is_refused() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let session = ada.session("normal").await;
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    let wrong = json!({"name": "Work", "user_id": "someone"});
    ada.post("/memory-profiles", &wrong, status).await;
    ada.post("/sessions", &json!({"id": 1}), status).await;
    let chat = json!({"message": "hello", "model": "other"});
    ada.post(&format!("/chat/{session}"), &chat, status).await;
}

#[tokio::test]
async fn a_turn_and_its_messages_answer_as_the_contract_says() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let profile = ada.default_profile().await;
    memory_of(&ada, &profile, "My dog is called Rex.").await;
    let session = ada.session("normal").await;
    let body = json!({"message": "What is my dog called?", "stream": true});
    let turn = ada
        .post(&format!("/chat/{session}"), &body, StatusCode::OK)
        .await;
    let shape = json!({"success": true, "content": "=What is my dog called?",
        "session_id": format!("={session}"), "privacy_mode": "=normal", "memories_used": 1,
        "memories_extracted": true, "recall": "=done",
        "metadata": {"model": "=scripted", "finish_reason": "=stop", "tokens":
            {"prompt_tokens": "count", "completion_tokens": "count", "total_tokens": "count"}},
        "user_message": question(), "assistant_message": answer(), "memories": [scored_memory()]});
    check(&turn, &shape);
    let messages = ada.get(&format!("/sessions/{session}/messages")).await;
    check(&messages[0], &question());
    check(&messages[1], &answer());
    assert_eq!(messages[1], turn["assistant_message"]);
    let total = &turn["metadata"]["tokens"]["total_tokens"];
    assert_eq!(&messages[1]["metadata"]["tokens"], total);
    let summary = ada.get(&format!("/sessions/{session}/summary")).await;
    let shape = json!({"session_id": "uuid", "total_messages": 2, "user_messages": 1,
        "assistant_messages": 1, "first_message_at": "time", "last_message_at": "time"});
    check(&summary, &shape);
    let one = messages[0]["id"].as_str().unwrap();
    let gone = ada
        .delete(&format!(
            "/sessions/{session}/messages/{one}?memories=delete"
        ))
        .await;
    check(&gone, &json!({"message": "string", "message_id": "uuid"}));
}
