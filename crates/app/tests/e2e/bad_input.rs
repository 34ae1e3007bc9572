//! Input that no client should send: a 4xx problem each time, and the process lives.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::Server;
use crate::model_server::ModelServer;

/// What no route accepts.
fn bad_bodies() -> Vec<Vec<u8>> {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let huge = format!("{{\"message\":\"{}\"}}", "x".repeat(3_000_000));
    vec![
        b"".to_vec(),
        b"{".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"\"text\"".to_vec(),
        b"{\"message\":1}".to_vec(),
        b"{\"message\":null}".to_vec(),
        b"{\"message\":[\"x\"]}".to_vec(),
        b"{\"message\":\"a\\u0000b\"}".to_vec(),
        b"{\"message\":\"\\ud800\"}".to_vec(),
        b"{\"message\":\"\xff\xfe\"}".to_vec(),
        b"{\"content\":\"a\\u0000b\"}".to_vec(),
        b"{\"name\":\"a\\u0000b\"}".to_vec(),
        b"{\"privacy_mode\":\"Incognito\"}".to_vec(),
        b"{\"memory_profile_id\":\"x\"}".to_vec(),
        b"{\"email\":\"a\\u0000@b.c\",\"password\":\"long enough password\"}".to_vec(),
        b"{\"query\":\"a\",\"limit\":-1}".to_vec(),
        b"{\"query\":\"a\",\"limit\":99999999999999999999}".to_vec(),
        b"{\"user_id\":\"00000000-0000-7000-8000-000000000000\"}".to_vec(),
        deep.into_bytes(),
        huge.into_bytes(),
    ]
}

#[tokio::test]
async fn bad_bodies_are_4xx_problems() {
    let model = ModelServer::start().await;
    let mut server = Server::with_model(&model).await;
    let ada = server.sign_up("ada").await;
    let session = ada.session("normal").await;
    let profile = ada.default_profile().await;
    let routes = [
        (Method::POST, "/api/v1/auth/signup".to_owned()),
        (Method::POST, "/api/v1/auth/login".to_owned()),
        (Method::POST, "/api/v1/auth/refresh".to_owned()),
        (Method::POST, "/api/v1/memory-profiles".to_owned()),
        (Method::POST, format!("/api/v1/chat/{session}")),
        (Method::POST, format!("/api/v1/chat/{session}/stream")),
        (
            Method::POST,
            format!("/api/v1/memory-profiles/{profile}/memories"),
        ),
        (
            Method::POST,
            format!("/api/v1/memory-profiles/{profile}/memories/search"),
        ),
        (
            Method::POST,
            format!("/api/v1/memory-profiles/{profile}/memories/copy"),
        ),
    ];
    for (method, path) in &routes {
        for body in &bad_bodies() {
            let request = ada
                .request(method.clone(), path)
                .header("content-type", "application/json");
            let answer = ada.send(request.body(body.clone())).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]);
            assert!(
                answer.status.is_client_error(),
                "{path} {shown}: {} {}",
                answer.status,
                answer.text
            );
            let kind = answer.headers["content-type"].to_str().expect("text");
            assert!(
                kind.starts_with("application/problem+json"),
                "{path} {shown}: {kind}"
            );
        }
        let wrong_kind = ada
            .request(method.clone(), path)
            .header("content-type", "text/plain")
            .body("{}");
        assert_eq!(
            ada.send(wrong_kind).await.status,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{path}"
        );
        let too_large = ada
            .request(method.clone(), path)
            .json(&json!({"message": "x".repeat(3_000_000)}));
        assert_eq!(
            ada.send(too_large).await.status,
            StatusCode::PAYLOAD_TOO_LARGE,
            "{path}"
        );
    }
    assert!(server.is_alive());
}

#[tokio::test]
async fn bad_paths_and_queries_are_4xx_problems() {
    let model = ModelServer::start().await;
    let mut server = Server::with_model(&model).await;
    let ada = server.sign_up("ada").await;
    let session = ada.session("normal").await;
    let profile = ada.default_profile().await;
    let queries = [
        format!("/api/v1/sessions?limit={}", u64::MAX),
        "/api/v1/sessions?limit=-5".to_owned(),
        "/api/v1/sessions?offset=99999999999999999999999".to_owned(),
        "/api/v1/sessions?cursor=%00%ff".to_owned(),
        "/api/v1/sessions?cursor=abc".to_owned(),
        format!("/api/v1/sessions/{session}/messages?limit=501"),
        format!("/api/v1/sessions/{session}/messages?cursor=!!"),
        "/api/v1/sessions/not-a-uuid".to_owned(),
        "/api/v1/sessions/%00".to_owned(),
        "/api/v1/sessions/..%2f..%2fetc".to_owned(),
        "/api/v1/nothing/here".to_owned(),
        format!(
            "/api/v1/memory-profiles/{profile}/memories/{}",
            "9".repeat(4000)
        ),
    ];
    for path in queries {
        let answer = ada.get(&path).await;
        assert!(
            answer.status.is_client_error(),
            "{path}: {} {}",
            answer.status,
            answer.text
        );
        let kind = answer.headers["content-type"].to_str().expect("text");
        assert!(
            kind.starts_with("application/problem+json"),
            "{path}: {kind}"
        );
    }
    let far = ada
        .get(&format!("/api/v1/sessions?offset={}", i64::MAX))
        .await;
    assert!(!far.status.is_server_error(), "{}", far.text);
    ada.send(ada.request(Method::DELETE, "/api/v1/sessions"))
        .await
        .is_problem(405, "method_not_allowed");
    assert!(server.is_alive());
    server.anonymous().get("/healthz").await.expect_ok();
}

#[tokio::test]
async fn limits_are_told_and_kept() {
    let model = ModelServer::start().await;
    let server = Server::start(&[
        ("OPENAI_BASE_URL", &model.base),
        ("RATE_LIMIT_ENABLED", "true"),
        ("RATE_LIMIT_PER_MINUTE", "5"),
        ("LOGIN_LIMIT_PER_MINUTE", "3"),
    ])
    .await;
    let ada = server.sign_up("ada").await;
    let mut last = ada.get("/api/v1/auth/me").await;
    assert!(last.headers.contains_key("ratelimit"), "{:?}", last.headers);
    for _ in 0..6 {
        last = ada.get("/api/v1/auth/me").await;
    }
    assert!(
        last.headers.contains_key("retry-after"),
        "{:?}",
        last.headers
    );
    last.is_problem(429, "rate_limited");
    let nobody = server.anonymous();
    let guess = json!({"email": "ada@example.org", "password": "guess guess guess"});
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(
            nobody
                .post("/api/v1/auth/login", &guess)
                .await
                .status
                .as_u16(),
        );
    }
    assert_eq!(answers.last(), Some(&429), "{answers:?}");
    nobody.get("/healthz").await.expect_ok();
}
