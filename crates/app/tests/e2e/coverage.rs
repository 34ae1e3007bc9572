//! Every operation of the OpenAPI document, without a credential and as somebody else. A new operation
//! fails here until it is listed.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Caller, Server, id};
use crate::model_server::ModelServer;

/// Operations that anybody may call.
const PUBLIC: &[&str] = &["signUp", "logIn", "refreshToken"];

/// Operations on the caller's own things alone: there is no id of anybody else to name.
const OWN: &[&str] = &[
    "logOut",
    "getCurrentUser",
    "listMemoryProfiles",
    "createMemoryProfile",
    "listSessions",
    "createSession",
    "listApiKeys",
    "createApiKey",
];

/// A request of one operation: placeholders stand for ids.
struct Case {
    operation: &'static str,
    body: Option<Value>,
}

fn case(operation: &'static str, body: impl Into<Option<Value>>) -> Case {
    Case {
        operation,
        body: body.into(),
    }
}

/// Operations that name a thing that belongs to somebody.
fn owned() -> Vec<Case> {
    vec![
        case("revokeApiKey", None),
        case("getMemoryProfile", None),
        case("patchMemoryProfile", json!({"name": "Mine now"})),
        case("updateMemoryProfile", json!({"name": "Mine now"})),
        case("deleteMemoryProfile", None),
        case("setDefaultMemoryProfile", None),
        case("listMemories", None),
        case("createMemory", json!({"content": "I was here."})),
        case("deleteAllMemories", None),
        case("searchMemories", json!({"query": "dog"})),
        case(
            "copyMemories",
            json!({"target_profile_id": "{own_profile}"}),
        ),
        case("getMemory", None),
        case("patchMemory", json!({"content": "I was here."})),
        case("updateMemory", json!({"content": "I was here."})),
        case("deleteMemory", None),
        case("getSession", None),
        case("patchSession", json!({"privacy_mode": "normal"})),
        case("updateSession", json!({"privacy_mode": "normal"})),
        case("deleteSession", None),
        case("listMessages", None),
        case("deleteMessage", None),
        case("getSessionSummary", None),
        case("sendMessage", json!({"message": "Hello"})),
        case("streamMessage", json!({"message": "Hello"})),
    ]
}

struct Operation {
    id: String,
    method: Method,
    path: String,
}

async fn operations(caller: &Caller) -> Vec<Operation> {
    let document = caller.get("/openapi.json").await.expect(StatusCode::OK);
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            if !path.starts_with("/api/") {
                continue;
            }
            operations.push(Operation {
                id: operation["operationId"]
                    .as_str()
                    .expect("operation id")
                    .to_owned(),
                method: method.to_uppercase().parse().expect("method"),
                path: path.clone(),
            });
        }
    }
    assert!(operations.len() > 30, "the document is nearly empty");
    operations
}

/// One user's things.
struct Things {
    ids: Vec<(&'static str, String)>,
}

impl Things {
    async fn of(caller: &Caller) -> Self {
        let profile = caller.default_profile().await;
        let session = caller.session("normal").await;
        let turn = caller.chat(&session, "My dog is called Rex.").await;
        caller.wait_for_memories(&profile, 1).await;
        let memories = caller
            .get(&format!("/api/v1/memory-profiles/{profile}/memories"))
            .await
            .json();
        let key = json!({"name": "robot", "scopes": ["read", "write", "chat"]});
        let key = caller
            .post("/api/v1/api-keys", &key)
            .await
            .expect(StatusCode::CREATED);
        let ids = vec![
            ("{profile_id}", profile),
            ("{session_id}", session),
            ("{message_id}", id(&turn["user_message"])),
            ("{memory_id}", id(&memories[0])),
            ("{api_key_id}", id(&key)),
        ];
        Self { ids }
    }

    fn path(&self, path: &str) -> String {
        let filled = self
            .ids
            .iter()
            .fold(path.to_owned(), |path, (name, id)| path.replace(name, id));
        assert!(!filled.contains('{'), "no id for {filled}");
        filled
    }

    fn nowhere(path: &str) -> String {
        let filled = path.split('/').map(|part| {
            if part.starts_with('{') {
                "00000000-0000-7000-8000-000000000000"
            } else {
                part
            }
        });
        filled.collect::<Vec<_>>().join("/")
    }
}

async fn send(
    caller: &Caller,
    operation: &Operation,
    path: &str,
    body: Option<&Value>,
) -> crate::harness::Answer {
    let mut request = caller.request(operation.method.clone(), path);
    if let Some(body) = body {
        request = request.json(body);
    }
    caller.send(request).await
}

#[tokio::test]
async fn every_operation_is_listed_here() {
    let model = ModelServer::start().await;
    let server = Server::with_model(&model).await;
    let documented: BTreeSet<String> = operations(&server.anonymous())
        .await
        .into_iter()
        .map(|o| o.id)
        .collect();
    let owned = owned();
    let listed = PUBLIC
        .iter()
        .chain(OWN)
        .copied()
        .chain(owned.iter().map(|c| c.operation));
    let listed: BTreeSet<String> = listed.map(str::to_owned).collect();
    assert_eq!(documented, listed);
}

#[tokio::test]
async fn without_a_credential_every_operation_but_the_public_ones_is_401() {
    let model = ModelServer::start().await;
    let server = Server::with_model(&model).await;
    let nobody = server.anonymous();
    let forger = Caller {
        token: Some("eyJhbGciOiJub25lIn0.e30.".to_owned()),
        ..nobody.clone()
    };
    for operation in operations(&nobody).await {
        let path = Things::nowhere(&operation.path);
        for (caller, code) in [(&nobody, "credential_required"), (&forger, "invalid_token")] {
            let answer = send(caller, &operation, &path, Some(&json!({}))).await;
            if PUBLIC.contains(&operation.id.as_str()) {
                assert!(
                    answer.status.is_client_error(),
                    "{}: {}",
                    operation.id,
                    answer.text
                );
            } else {
                answer.is_problem(401, code);
            }
        }
    }
    assert!(model.calls().is_empty(), "nobody reached the model");
}

#[tokio::test]
async fn somebody_elses_things_look_like_no_things_at_all() {
    let model = ModelServer::start().await;
    let server = Server::with_model(&model).await;
    let (ada, eve) = (server.sign_up("ada").await, server.sign_up("eve").await);
    let (adas, eves) = (Things::of(&ada).await, Things::of(&eve).await);
    let own_profile = &eves.ids[0].1;
    let snapshot = |caller: &Caller| {
        let caller = caller.clone();
        async move {
            let profile = caller.default_profile().await;
            let mut all = caller.get("/api/v1/memory-profiles").await.text;
            all += &caller
                .get(&format!("/api/v1/memory-profiles/{profile}/memories"))
                .await
                .text;
            all += &caller.get("/api/v1/sessions").await.text;
            all
        }
    };
    let before = snapshot(&ada).await;
    let calls = model.calls().len();
    let operations = operations(&ada).await;
    for Case { operation, body } in owned() {
        let operation = operations
            .iter()
            .find(|o| o.id == operation)
            .expect("documented");
        let body = body.map(|b| {
            serde_json::from_str::<Value>(&b.to_string().replace("{own_profile}", own_profile))
                .expect("JSON")
        });
        let foreign = send(&eve, operation, &adas.path(&operation.path), body.as_ref()).await;
        let absent = send(
            &eve,
            operation,
            &Things::nowhere(&operation.path),
            body.as_ref(),
        )
        .await;
        assert_eq!(
            foreign.status,
            StatusCode::NOT_FOUND,
            "{}: {}",
            operation.id,
            foreign.text
        );
        let bare = |answer: &crate::harness::Answer| {
            let mut body = answer.json();
            let fields = body.as_object_mut().expect("object");
            fields.remove("request_id");
            fields.remove("instance");
            body
        };
        assert_eq!(bare(&foreign), bare(&absent), "{}", operation.id);
    }
    assert_eq!(snapshot(&ada).await, before, "nothing of hers has changed");
    assert_eq!(model.calls().len(), calls, "no model was asked");
}

#[tokio::test]
async fn own_parent_and_foreign_child_is_404() {
    let model = ModelServer::start().await;
    let server = Server::with_model(&model).await;
    let (ada, eve) = (server.sign_up("ada").await, server.sign_up("eve").await);
    let (adas, eves) = (Things::of(&ada).await, Things::of(&eve).await);
    let get = |things: &Things, name: &str| {
        things
            .ids
            .iter()
            .find(|(n, _)| *n == name)
            .expect("id")
            .1
            .clone()
    };
    let memory = format!(
        "/api/v1/memory-profiles/{}/memories/{}",
        get(&eves, "{profile_id}"),
        get(&adas, "{memory_id}")
    );
    eve.get(&memory).await.is_problem(404, "memory_not_found");
    eve.delete(&memory)
        .await
        .is_problem(404, "memory_not_found");
    let message = format!(
        "/api/v1/sessions/{}/messages/{}",
        get(&eves, "{session_id}"),
        get(&adas, "{message_id}")
    );
    eve.delete(&message)
        .await
        .is_problem(404, "message_not_found");
    let foreign = json!({"memory_profile_id": get(&adas, "{profile_id}")});
    eve.post("/api/v1/sessions", &foreign)
        .await
        .is_problem(404, "profile_not_found");
    let session = format!("/api/v1/sessions/{}", get(&eves, "{session_id}"));
    eve.patch(&session, &foreign)
        .await
        .is_problem(404, "profile_not_found");
    let copy = format!(
        "/api/v1/memory-profiles/{}/memories/copy",
        get(&eves, "{profile_id}")
    );
    let target = json!({"target_profile_id": get(&adas, "{profile_id}")});
    eve.post(&copy, &target)
        .await
        .is_problem(404, "profile_not_found");
}

#[tokio::test]
async fn same_words_of_two_users_and_two_profiles_never_cross() {
    let model = ModelServer::start().await;
    let server = Server::with_model(&model).await;
    let (ada, eve) = (server.sign_up("ada").await, server.sign_up("eve").await);
    for (caller, name) in [(&ada, "Rex"), (&eve, "Max")] {
        let profile = caller.default_profile().await;
        let session = caller.session("normal").await;
        caller
            .chat(&session, &format!("My dog is called {name}."))
            .await;
        caller.wait_for_memories(&profile, 1).await;
    }
    let work = id(&ada
        .post("/api/v1/memory-profiles", &json!({"name": "Work"}))
        .await
        .expect(StatusCode::CREATED));
    let at_work = ada
        .post("/api/v1/sessions", &json!({"memory_profile_id": work}))
        .await;
    let at_work = id(&at_work.expect(StatusCode::CREATED));
    assert_eq!(
        ada.chat(&at_work, "What is my dog called?").await["memories_used"],
        0,
        "another profile"
    );
    for (caller, own, other) in [(&ada, "Rex", "Max"), (&eve, "Max", "Rex")] {
        let session = caller.session("normal").await;
        let answer = caller.chat(&session, "What is my dog called?").await;
        let memories = answer["memories"].to_string();
        assert!(
            memories.contains(own) && !memories.contains(other),
            "{memories}"
        );
        let prompt = model.chats().pop().expect("a call").body.to_string();
        assert!(prompt.contains(own) && !prompt.contains(other), "{prompt}");
    }
}

#[tokio::test]
async fn an_api_key_acts_for_its_user_within_its_scopes() {
    let model = ModelServer::start().await;
    let server = Server::with_model(&model).await;
    let ada = server.sign_up("ada").await;
    let session = ada.session("normal").await;
    let made = ada
        .post(
            "/api/v1/api-keys",
            &json!({"name": "reader", "scopes": ["read"]}),
        )
        .await;
    let made = made.expect(StatusCode::CREATED);
    let secret = made["api_key"].as_str().expect("shown once").to_owned();
    assert!(
        !ada.get("/api/v1/api-keys").await.text.contains(&secret),
        "and never again"
    );
    let nobody = server.anonymous();
    let with_key =
        |method: Method, path: String| nobody.request(method, &path).header("X-API-Key", &secret);
    let read = nobody
        .send(with_key(Method::GET, format!("/api/v1/sessions/{session}")))
        .await;
    assert_eq!(id(&read.expect(StatusCode::OK)), session);
    let write = with_key(Method::POST, "/api/v1/sessions".to_owned()).json(&json!({}));
    nobody.send(write).await.is_problem(403, "missing_scope");
    let chat = with_key(Method::POST, format!("/api/v1/chat/{session}"))
        .json(&json!({"message": "Hello"}));
    nobody.send(chat).await.is_problem(403, "missing_scope");
    nobody
        .send(with_key(Method::GET, "/api/v1/api-keys".to_owned()))
        .await
        .is_problem(403, "user_token_required");
    let both = ada
        .request(Method::GET, "/api/v1/sessions")
        .header("X-API-Key", &secret);
    assert_eq!(ada.send(both).await.status, StatusCode::BAD_REQUEST);
    ada.delete(&format!("/api/v1/api-keys/{}", id(&made)))
        .await
        .expect(StatusCode::OK);
    let revoked = nobody
        .send(with_key(Method::GET, "/api/v1/sessions".to_owned()))
        .await;
    revoked.is_problem(401, "invalid_api_key");
}
