//! The REST contract, line by line, as a client sees it that knows nothing else.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Caller, Server, id};
use crate::model_server::ModelServer;

/// Checks names and types of an object's fields: `s` text, `n` number, `b` flag, `t` time, `i` id, `o`
/// object; `?` behind a letter allows null.
#[track_caller]
fn has_shape(object: &Value, fields: &[(&str, &str)]) {
    for (name, kind) in fields {
        let value = object
            .get(*name)
            .unwrap_or_else(|| panic!("no {name} in {object}"));
        if kind.ends_with('?') && value.is_null() {
            continue;
        }
        let text = value.as_str().unwrap_or_default();
        let ok = match &kind[..1] {
            "s" => value.is_string(),
            "n" => value.is_number(),
            "b" => value.is_boolean(),
            "t" => text.len() >= 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T',
            "i" => text.len() == 36 && text.matches('-').count() == 4,
            "o" => value.is_object(),
            _ => panic!("unknown kind {kind}"),
        };
        assert!(ok, "{name} is not {kind} in {object}");
    }
}

const USER: &[(&str, &str)] = &[
    ("id", "i"),
    ("email", "s"),
    ("created_at", "t"),
    ("updated_at", "t"),
    ("metadata", "o?"),
];
const PROFILE: &[(&str, &str)] = &[
    ("id", "i"),
    ("user_id", "i"),
    ("name", "s"),
    ("description", "s?"),
    ("is_default", "b"),
    ("created_at", "t"),
    ("updated_at", "t"),
    ("memory_count", "n"),
];
const SESSION: &[(&str, &str)] = &[
    ("id", "i"),
    ("user_id", "i"),
    ("memory_profile_id", "i?"),
    ("privacy_mode", "s"),
    ("created_at", "t"),
    ("updated_at", "t"),
    ("message_count", "n"),
];
const MESSAGE: &[(&str, &str)] = &[
    ("id", "i"),
    ("session_id", "i"),
    ("role", "s"),
    ("content", "s"),
    ("created_at", "t"),
    ("metadata", "o"),
];
const MEMORY: &[(&str, &str)] = &[
    ("id", "i"),
    ("memory", "s"),
    ("created_at", "t"),
    ("updated_at", "t"),
    ("user_id", "i"),
    ("metadata", "o"),
    ("memory_content", "s"),
    ("memory_profile_id", "i"),
    ("source", "o?"),
    ("version", "n"),
];

async fn start() -> (ModelServer, Server, Caller) {
    let model = ModelServer::start().await;
    let server = Server::with_model(&model).await;
    let ada = server.sign_up("ada").await;
    (model, server, ada)
}

#[tokio::test]
async fn accounts() {
    let (_model, server, ada) = start().await;
    let nobody = server.anonymous();
    let credentials = json!({"email": "Bob@Example.org", "password": "a long enough password"});
    let answer = nobody
        .post("/api/v1/auth/signup", &credentials)
        .await
        .expect(StatusCode::CREATED);
    has_shape(
        &answer,
        &[
            ("access_token", "s"),
            ("token_type", "s"),
            ("expires_in", "n"),
            ("user", "o"),
            ("refresh_token", "s"),
        ],
    );
    assert_eq!(answer["token_type"], "bearer");
    has_shape(&answer["user"], USER);
    assert_eq!(answer["user"]["email"], "bob@example.org");

    let taken = json!({"email": " bob@EXAMPLE.org", "password": "another good password"});
    nobody
        .post("/api/v1/auth/signup", &taken)
        .await
        .is_problem(409, "email_taken");
    let short = json!({"email": "c@example.org", "password": "short"});
    nobody
        .post("/api/v1/auth/signup", &short)
        .await
        .is_problem(422, "validation_failed");

    let wrong = json!({"email": "bob@example.org", "password": "not the password"});
    let unknown = json!({"email": "eve@example.org", "password": "not the password"});
    let (wrong, unknown) = (
        nobody.post("/api/v1/auth/login", &wrong).await,
        nobody.post("/api/v1/auth/login", &unknown).await,
    );
    wrong.is_problem(401, "invalid_credentials");
    let bare = |a: &crate::harness::Answer| {
        let mut body = a.json();
        body.as_object_mut().expect("object").remove("request_id");
        body
    };
    assert_eq!(bare(&wrong), bare(&unknown), "one and the same body");

    let login = nobody
        .post("/api/v1/auth/login", &credentials)
        .await
        .expect(StatusCode::OK);
    let bob = Caller {
        token: login["access_token"].as_str().map(str::to_owned),
        ..nobody.clone()
    };
    has_shape(
        &bob.get("/api/v1/auth/me").await.expect(StatusCode::OK),
        USER,
    );
    let refresh = json!({"refresh_token": login["refresh_token"]});
    nobody
        .post("/api/v1/auth/refresh", &refresh)
        .await
        .expect(StatusCode::OK);
    let out = bob
        .send(bob.request(Method::POST, "/api/v1/auth/logout"))
        .await
        .expect(StatusCode::OK);
    has_shape(&out, &[("message", "s")]);
    bob.get("/api/v1/auth/me")
        .await
        .is_problem(401, "invalid_token");
    nobody
        .post("/api/v1/auth/refresh", &refresh)
        .await
        .is_problem(401, "invalid_token");
    ada.get("/api/v1/auth/me").await.expect(StatusCode::OK);

    let refused = nobody.get("/api/v1/auth/me").await;
    assert!(
        refused.headers["www-authenticate"]
            .to_str()
            .expect("text")
            .starts_with("Bearer")
    );
    refused.is_problem(401, "credential_required");
}

#[tokio::test]
async fn memory_profiles() {
    let (_model, _server, ada) = start().await;
    let all = ada
        .get("/api/v1/memory-profiles")
        .await
        .expect(StatusCode::OK);
    let first = &all.as_array().expect("a bare array")[0];
    has_shape(first, PROFILE);
    assert_eq!(
        (&first["name"], &first["is_default"]),
        (&json!("Default"), &json!(true))
    );
    let only = format!("/api/v1/memory-profiles/{}", id(first));
    ada.delete(&only).await.is_problem(400, "last_profile");

    let made = ada
        .post(
            "/api/v1/memory-profiles",
            &json!({"name": "Work", "description": "the office"}),
        )
        .await;
    let work = made.expect(StatusCode::CREATED);
    has_shape(&work, PROFILE);
    assert_eq!(
        (&work["is_default"], &work["description"]),
        (&json!(false), &json!("the office"))
    );
    ada.post("/api/v1/memory-profiles", &json!({"name": "Work"}))
        .await
        .is_problem(409, "profile_name_taken");
    ada.post("/api/v1/memory-profiles", &json!({"name": "work"}))
        .await
        .expect(StatusCode::CREATED);
    for name in ["", "   ", &"x".repeat(101)] {
        ada.post("/api/v1/memory-profiles", &json!({"name": name}))
            .await
            .is_problem(422, "validation_failed");
    }

    let path = format!("/api/v1/memory-profiles/{}", id(&work));
    for method in [Method::PUT, Method::PATCH] {
        let name = format!("Office {method}");
        let changed = ada
            .send(ada.request(method, &path).json(&json!({"name": name})))
            .await
            .expect(StatusCode::OK);
        assert_eq!(
            (&changed["name"], &changed["description"]),
            (&json!(name), &json!("the office"))
        );
    }
    let set = ada
        .send(ada.request(Method::POST, &format!("{path}/set-default")))
        .await
        .expect(StatusCode::OK);
    has_shape(
        &set,
        &[("message", "s"), ("profile_id", "i"), ("profile_name", "s")],
    );
    assert_eq!(ada.default_profile().await, id(&work));
    ada.patch(&only, &json!({"is_default": true}))
        .await
        .expect(StatusCode::OK);
    assert_eq!(
        ada.default_profile().await,
        id(first),
        "is_default moves the default"
    );

    let session = ada
        .post("/api/v1/sessions", &json!({"memory_profile_id": id(first)}))
        .await;
    let session = session.expect(StatusCode::CREATED);
    let gone = ada.delete(&only).await.expect(StatusCode::OK);
    assert_eq!(gone["profile_id"], id(first));
    assert!(gone["message"].is_string());
    assert_eq!(
        ada.default_profile().await,
        id(&work),
        "the oldest remaining becomes the default"
    );
    ada.get(&only).await.is_problem(404, "profile_not_found");
    let left = ada
        .get(&format!("/api/v1/sessions/{}", id(&session)))
        .await
        .expect(StatusCode::OK);
    assert_eq!(left["memory_profile_id"], Value::Null, "its sessions stay");
}

#[tokio::test]
async fn exactly_one_default_under_concurrency() {
    let (_model, _server, ada) = start().await;
    let mut paths = Vec::new();
    for n in 0..5 {
        let made = ada
            .post("/api/v1/memory-profiles", &json!({"name": format!("P{n}")}))
            .await;
        paths.push(format!(
            "/api/v1/memory-profiles/{}/set-default",
            id(&made.expect(StatusCode::CREATED))
        ));
    }
    let calls = (0..40).map(|n| ada.send(ada.request(Method::POST, &paths[n % 5])));
    for answer in futures::future::join_all(calls).await {
        answer.expect(StatusCode::OK);
    }
    let all = ada
        .get("/api/v1/memory-profiles")
        .await
        .expect(StatusCode::OK);
    let defaults = all
        .as_array()
        .expect("array")
        .iter()
        .filter(|p| p["is_default"] == true)
        .count();
    assert_eq!(defaults, 1);
}

#[tokio::test]
async fn sessions_and_messages() {
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
    let stored = ada
        .get(&format!("/api/v1/sessions/{session}/messages"))
        .await
        .json();
    assert_eq!(
        stored.as_array().and_then(|m| m.last()).expect("messages")["status"],
        "interrupted"
    );
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
async fn memories() {
    let (_model, _server, ada) = start().await;
    let profile = ada.default_profile().await;
    let path = format!("/api/v1/memory-profiles/{profile}/memories");
    let made = ada
        .post(&path, &json!({"content": "I play the violin."}))
        .await
        .expect(StatusCode::CREATED);
    has_shape(&made, MEMORY);
    assert_eq!(
        (&made["memory"], &made["memory_content"]),
        (&json!("I play the violin."), &json!("I play the violin."))
    );
    assert_eq!(made["metadata"]["memory_profile_id"], profile);
    ada.post(&path, &json!({"content": "I was born in Porto."}))
        .await
        .expect(StatusCode::CREATED);
    assert_eq!(
        ada.memories(&profile).await,
        ["I was born in Porto.", "I play the violin."],
        "newest first"
    );
    ada.post(&path, &json!({"content": "i play the  violin"}))
        .await
        .is_problem(409, "memory_exists");

    let found = ada
        .post(
            &format!("{path}/search"),
            &json!({"query": "Which musical instrument do I play?"}),
        )
        .await;
    let found = found.expect(StatusCode::OK);
    assert_eq!(
        found["count"],
        found["memories"].as_array().expect("array").len()
    );
    assert_eq!(found["memories"][0]["id"], made["id"], "by meaning");
    for body in [
        json!({"query": ""}),
        json!({"query": "x", "limit": 0}),
        json!({"query": "x", "limit": 51}),
    ] {
        ada.post(&format!("{path}/search"), &body)
            .await
            .is_problem(422, "validation_failed");
    }

    let one = format!("{path}/{}", id(&made));
    has_shape(&ada.get(&one).await.expect(StatusCode::OK), MEMORY);
    let changed = ada
        .patch(&one, &json!({"content": "I play the cello."}))
        .await
        .expect(StatusCode::OK);
    assert_eq!(
        (&changed["memory"], &changed["version"]),
        (&json!("I play the cello."), &json!(2))
    );
    let other = ada
        .post("/api/v1/memory-profiles", &json!({"name": "Other"}))
        .await
        .expect(StatusCode::CREATED);
    let copied = ada
        .post(
            &format!("{path}/copy"),
            &json!({"target_profile_id": id(&other)}),
        )
        .await;
    assert_eq!(copied.expect(StatusCode::OK)["copied"], 2);
    assert_eq!(ada.memories(&id(&other)).await.len(), 2);

    ada.delete(&one).await.expect(StatusCode::OK);
    ada.get(&one).await.is_problem(404, "memory_not_found");
    ada.patch(&one, &json!({"content": "I am back."}))
        .await
        .is_problem(404, "memory_not_found");
    let found = ada
        .post(
            &format!("{path}/search"),
            &json!({"query": "cello violin instrument"}),
        )
        .await
        .json();
    assert!(!found.to_string().contains("cello"), "{found}");
    let all = ada.delete(&path).await.expect(StatusCode::OK);
    assert_eq!(all["deleted"], 1);
    assert!(ada.memories(&profile).await.is_empty());
    assert_eq!(
        ada.memories(&id(&other)).await.len(),
        2,
        "the other profile is another profile"
    );
    let counted = ada
        .get(&format!("/api/v1/memory-profiles/{}", id(&other)))
        .await
        .json();
    assert_eq!(counted["memory_count"], 2);
}

#[tokio::test]
async fn docs_and_health() {
    let (_model, server, _ada) = start().await;
    let nobody = server.anonymous();
    nobody.get("/healthz").await.expect_ok();
    let ready = nobody.get("/readyz").await.expect(StatusCode::OK);
    for part in ["database", "memory_index"] {
        assert_eq!(ready["checks"][part]["ok"], true, "{ready}");
    }
    assert!(nobody.get("/metrics").await.text.contains("# TYPE"));
    let document = nobody.get("/openapi.json").await.expect(StatusCode::OK);
    assert!(
        document["openapi"]
            .as_str()
            .expect("version")
            .starts_with("3.1")
    );
    let docs = nobody.get("/docs/").await;
    docs.expect_ok();
    let origin = |o: &'static str| {
        nobody
            .request(Method::OPTIONS, "/api/v1/sessions")
            .header("origin", o)
            .header("access-control-request-method", "GET")
    };
    for allowed in [
        "http://localhost:5173",
        "http://localhost:3000",
        "http://localhost:8000",
    ] {
        let answer = nobody.send(origin(allowed)).await;
        assert_eq!(answer.headers["access-control-allow-origin"], allowed);
    }
    assert!(
        !nobody
            .send(origin("http://evil.example"))
            .await
            .headers
            .contains_key("access-control-allow-origin")
    );
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
