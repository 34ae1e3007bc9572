//! What every answer has in common, and how requests that cannot be read are refused.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::support::{TestServer, body_of, start, start_as};
use testkit::fakes::ScriptedChatModel;

/// Requests for one answer of each status that needs no account.
fn one_of_each(server: &TestServer) -> Vec<(u16, RequestBuilder)> {
    let login = || server.request(Method::POST, "/auth/login");
    let json = |body: &'static str| {
        login()
            .header("content-type", "application/json")
            .body(body)
    };
    let get = |path| server.at_root(Method::GET, path);
    let preflight = server
        .request(Method::OPTIONS, "/sessions")
        .header("origin", "http://elsewhere.example")
        .header("access-control-request-method", "GET");
    vec![
        (200, get("/healthz")),
        (200, get("/openapi.json")),
        (200, get("/docs/")),
        (200, get("/metrics")),
        (400, json("{")),
        (400, preflight),
        (401, get("/api/v1/sessions")),
        (401, json(r#"{"email":"a@example.org","password":"wrong"}"#)),
        (404, get("/")),
        (404, get("/api/v1/nowhere")),
        (404, get("/docs/nowhere")),
        (405, server.at_root(Method::DELETE, "/healthz")),
        (405, server.request(Method::PATCH, "/sessions")),
        (415, login().body("email=a")),
        (415, login()),
        (422, json("{}")),
    ]
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let server = start();
    for (status, request) in one_of_each(&server) {
        let response = request.send().await.unwrap();
        let url = response.url().clone();
        assert_eq!(response.status().as_u16(), status, "{url}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("x-xss-protection", "0"),
        ] {
            assert_eq!(response.headers()[name], value, "{url} {name}");
        }
        let policy = response.headers()["content-security-policy"].to_str();
        let policy = policy.unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{url}");
        assert!(policy.ends_with("frame-ancestors 'none'"), "{url}");
        assert!(response.headers().contains_key("cache-control"), "{url}");
        assert!(response.headers().contains_key("x-request-id"), "{url}");
        assert!(!response.headers().contains_key("strict-transport-security"));
    }
}

#[tokio::test]
async fn every_error_is_a_problem_document() {
    let server = start();
    for (status, request) in one_of_each(&server) {
        let response = request.send().await.unwrap();
        if status < 400 {
            continue;
        }
        let path = response.url().path().to_owned();
        let id = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json",
            "{path}"
        );
        let problem = response.json::<Value>().await.unwrap();
        let code = problem["code"].as_str().unwrap();
        assert_eq!(problem["type"], format!("urn:memorychat:problem:{code}"));
        assert_eq!(problem["status"], status);
        assert_eq!(problem["instance"], path);
        assert_eq!(problem["request_id"], id);
        assert!(problem["title"].is_string());
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|text| text.len() > 5)
        );
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let server = start();
    for (path, allowed) in [
        ("/healthz", "GET, HEAD"),
        ("/api/v1/sessions", "GET, HEAD, POST"),
        ("/api/v1/sessions/x", "GET, HEAD, PUT, PATCH, DELETE"),
    ] {
        let method = Method::from_bytes(b"BREW").unwrap();
        let response = server.at_root(method, path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(response.headers()["allow"], allowed, "{path}");
    }
}

#[tokio::test]
async fn a_sane_request_id_is_kept_and_another_is_replaced() {
    let server = start();
    let long = "a".repeat(65);
    for (sent, kept) in [("my-id.1", true), ("with space", false), (&long, false)] {
        let request = server
            .at_root(Method::GET, "/healthz")
            .header("x-request-id", sent);
        let response = request.send().await.unwrap();
        let id = response.headers()["x-request-id"].to_str().unwrap();
        assert_eq!(id == sent, kept, "{sent:?} became {id:?}");
    }
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_with_their_reason() {
    let server = start_as(ScriptedChatModel::echo(), |_, settings| {
        settings.body_limit = 64 * 1024;
    });
    let ada = server.user("ada@example.org").await;
    let deep = "[".repeat(10_000);
    let nested = format!("{{\"name\":{deep}");
    let huge = format!("{{\"name\":\"{}\"}}", "a".repeat(65 * 1024));
    for (body, code) in [
        (&b""[..], "malformed_json"),
        (b"{", "malformed_json"),
        (b"{\"name\":\"\xff\"}", "malformed_json"),
        (b"{\"name\":\"\\ud800\"}", "malformed_json"),
        (deep.as_bytes(), "malformed_json"),
        (nested.as_bytes(), "malformed_json"),
        (huge.as_bytes(), "body_too_large"),
        (b"null", "validation_failed"),
        (b"{\"name\":1}", "validation_failed"),
        (b"{\"name\":\"a\",\"user_id\":\"b\"}", "validation_failed"),
        (b"{\"name\":\"a\\u0000b\"}", "validation_failed"),
    ] {
        let request = ada
            .request(Method::POST, "/memory-profiles")
            .body(body.to_vec());
        let response = request
            .header("content-type", "application/json")
            .send()
            .await
            .unwrap();
        let expected = match code {
            "malformed_json" => StatusCode::BAD_REQUEST,
            "body_too_large" => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        assert_eq!(body_of(response, expected).await["code"], code);
    }
    ada.get("/auth/me").await;
}

#[tokio::test]
async fn a_wrong_field_is_pointed_at() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    for (path, body, pointer) in [
        ("/memory-profiles", json!({}), "/name"),
        ("/memory-profiles", json!({"name": "a", "more": 1}), "/more"),
        (
            "/sessions",
            json!({"memory_profile_id": "x"}),
            "/memory_profile_id",
        ),
        ("/sessions", json!({"privacy_mode": "off"}), "/privacy_mode"),
    ] {
        let problem = ada
            .post(path, &body, StatusCode::UNPROCESSABLE_ENTITY)
            .await;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
    }
}

#[tokio::test]
async fn bad_paths_and_parameters_are_client_errors() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    for (path, status) in [
        ("/sessions/x", 404),
        ("/sessions/00000000-0000-0000-0000-000000000000", 404),
        ("/sessions?limit=-1", 422),
        ("/sessions?limit=0", 422),
        ("/sessions?limit=101", 422),
        ("/sessions?limit=99999999999999999999", 422),
        ("/sessions?offset=-1", 422),
        ("/sessions?limit=x", 422),
        ("/sessions?memory_profile_id=x", 422),
        ("/sessions?cursor=%00", 422),
        ("/sessions/%00", 404),
        ("/sessions/%ff", 404),
    ] {
        assert_eq!(ada.fetch(path).await.status().as_u16(), status, "{path}");
    }
}
