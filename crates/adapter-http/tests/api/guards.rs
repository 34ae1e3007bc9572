//! Who is let in: credentials, origins, limits.

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use testkit::fakes::ScriptedChatModel;

use crate::support::{TestServer, body_of, start, start_as};

#[tokio::test]
async fn every_operation_wants_a_credential_unless_it_says_otherwise() {
    let server = start();
    let request = server.at_root(Method::GET, "/openapi.json");
    let document = body_of(request.send().await.unwrap(), StatusCode::OK).await;
    let mut public = Vec::new();
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let path = with_ids(template);
            let method = method.to_uppercase().parse().unwrap();
            let response = server.at_root(method, &path).send().await.unwrap();
            let refused = response.status() == StatusCode::UNAUTHORIZED;
            let requirements = operation["security"].as_array();
            let is_public = requirements.is_some_and(|all| all.contains(&json!({})));
            assert_eq!(refused, !is_public, "{template}");
            if is_public {
                public.push(template.as_str());
            } else {
                assert_eq!(response.headers()["www-authenticate"], "Bearer");
            }
        }
    }
    public.sort_unstable();
    let expected = [
        "/api/v1/auth/login",
        "/api/v1/auth/refresh",
        "/api/v1/auth/signup",
        "/healthz",
        "/metrics",
        "/readyz",
    ];
    assert_eq!(public, expected);
}

/// The path with an id that nobody has in every place.
fn with_ids(template: &str) -> String {
    let parts = template
        .split('/')
        .map(|part| match part.strip_prefix('{') {
            Some(_) => "00000000-0000-0000-0000-000000000000",
            None => part,
        });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn a_credential_that_is_not_valid_is_refused() {
    let server = start();
    for (name, value) in [
        ("authorization", "Bearer nonsense"),
        ("authorization", "Bearer "),
        ("authorization", "Basic dTpw"),
        ("x-api-key", "nonsense"),
        ("x-api-key", ""),
    ] {
        let request = server.request(Method::GET, "/auth/me").header(name, value);
        let problem = body_of(request.send().await.unwrap(), StatusCode::UNAUTHORIZED).await;
        assert_ne!(problem["code"], "credential_required", "{name}: {value}");
    }
}

#[tokio::test]
async fn a_token_in_the_query_is_no_credential() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    for name in ["token", "access_token", "authorization"] {
        let path = format!("/auth/me?{name}={}", ada.token);
        let response = server.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{name}");
    }
}

#[tokio::test]
async fn an_api_key_has_the_same_rights_in_either_header_but_not_in_both() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let body = json!({"name": "reader", "scopes": ["read"]});
    let made = ada.post("/api-keys", &body, StatusCode::CREATED).await;
    let key = made["api_key"].as_str().unwrap();
    let new = json!({"name": "More"});
    let get = || server.request(Method::GET, "/memory-profiles");
    let post = || server.request(Method::POST, "/memory-profiles").json(&new);
    for (request, status) in [
        (get().header("x-api-key", key), 200),
        (get().bearer_auth(key), 200),
        (post().header("x-api-key", key), 403),
        (post().bearer_auth(key), 403),
        (get().bearer_auth(key).header("x-api-key", key), 400),
        (get().bearer_auth(&ada.token).header("x-api-key", key), 400),
    ] {
        assert_eq!(request.send().await.unwrap().status().as_u16(), status);
    }
}

async fn from_origin(server: &TestServer, method: Method, origin: &str) -> Response {
    let request = server.request(method, "/sessions").header("origin", origin);
    let request = request.header("access-control-request-method", "POST");
    let request = request.header(
        "access-control-request-headers",
        "authorization, content-type",
    );
    request.send().await.unwrap()
}

#[tokio::test]
async fn only_listed_origins_may_read_answers() {
    let server = start();
    for origin in [
        "http://localhost:5173",
        "http://localhost:3000",
        "http://localhost:8000",
    ] {
        for method in [Method::OPTIONS, Method::GET] {
            let response = from_origin(&server, method, origin).await;
            let headers = response.headers();
            assert_eq!(headers["access-control-allow-origin"], origin);
            assert_eq!(headers["access-control-allow-credentials"], "true");
            assert!(varies_by_origin(&response), "{origin}");
        }
    }
    for origin in [
        "null",
        "http://localhost",
        "http://localhost:51730",
        "https://localhost:5173",
        "http://localhost:5173.example.org",
        "http://evil.example/http://localhost:5173",
        "http://localhost:5173/",
    ] {
        for method in [Method::OPTIONS, Method::GET] {
            let response = from_origin(&server, method, origin).await;
            let headers = response.headers();
            assert!(
                !headers.contains_key("access-control-allow-origin"),
                "{origin}"
            );
            assert!(varies_by_origin(&response), "{origin}");
        }
    }
}

#[tokio::test]
async fn an_empty_list_lets_no_origin_in() {
    let server = start_as(ScriptedChatModel::echo(), |_, settings| {
        settings.cors_origins.clear();
    });
    for method in [Method::OPTIONS, Method::GET] {
        let response = from_origin(&server, method, "http://localhost:5173").await;
        assert!(
            !response
                .headers()
                .contains_key("access-control-allow-origin")
        );
    }
}

fn varies_by_origin(response: &Response) -> bool {
    let vary = response.headers().get_all("vary").iter();
    let names = vary
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','));
    names
        .map(str::trim)
        .any(|name| name.eq_ignore_ascii_case("origin"))
}

#[tokio::test]
async fn a_user_who_calls_too_often_has_to_wait_and_others_do_not() {
    let server = start_as(ScriptedChatModel::echo(), |_, settings| {
        settings.rate_limit = Some(5);
    });
    let ada = server.user("ada@example.org").await;
    let bob = server.user("bob@example.org").await;
    for left in (0..5).rev() {
        let response = ada.fetch("/auth/me").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(
            response.headers()["ratelimit-policy"],
            "\"default\";q=5;w=60"
        );
        let state = response.headers()["ratelimit"].to_str().unwrap();
        assert!(
            state.starts_with(&format!("\"default\";r={left};t=")),
            "{state}"
        );
    }
    let refused = ada.fetch("/auth/me").await;
    let wait = refused.headers()["retry-after"].to_str().unwrap();
    assert!((1..=12).contains(&wait.parse::<u64>().unwrap()), "{wait}");
    assert!(
        refused.headers()["ratelimit"]
            .to_str()
            .unwrap()
            .starts_with("\"default\";r=0;t=")
    );
    let problem = body_of(refused, StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!(problem["code"], "rate_limited");

    assert_eq!(bob.fetch("/auth/me").await.status(), StatusCode::OK);
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        let response = server.at_root(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert!(!response.headers().contains_key("ratelimit"), "{path}");
    }
}

#[tokio::test]
async fn a_header_of_the_client_does_not_buy_more_calls() {
    let server = start_as(ScriptedChatModel::echo(), |_, settings| {
        settings.rate_limit = Some(2);
    });
    let mut last = StatusCode::OK;
    for n in 0..3 {
        let request = server.request(Method::GET, "/auth/me");
        let request = request.header("x-forwarded-for", format!("192.0.2.{n}"));
        last = request.send().await.unwrap().status();
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn guessing_passwords_is_slow_for_one_address_and_for_one_account() {
    let proxy = "127.0.0.1".parse().unwrap();
    let server = start_as(ScriptedChatModel::echo(), |_, settings| {
        settings.login_limit = 3;
        settings.trusted_proxies = vec![proxy];
    });
    let guess = async |email: &str, from: &str| {
        let body = json!({"email": email, "password": "a guess"});
        let request = server.request(Method::POST, "/auth/login").json(&body);
        let response = request
            .header("x-forwarded-for", from)
            .send()
            .await
            .unwrap();
        (
            response.status().as_u16(),
            response.json::<Value>().await.unwrap(),
        )
    };
    for n in 0..3 {
        let (status, _) = guess(&format!("user{n}@example.org"), "192.0.2.1").await;
        assert_eq!(status, 401);
    }
    assert_eq!(guess("user9@example.org", "192.0.2.1").await.0, 429);

    for n in 0..3 {
        let email = ["ada@example.org", "ADA@example.org", " ada@Example.org "][n];
        assert_eq!(guess(email, &format!("192.0.2.1{n}")).await.0, 401);
    }
    let (status, problem) = guess("ada@example.org", "192.0.2.20").await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (429, Some("rate_limited"))
    );
    assert_eq!(guess("bob@example.org", "192.0.2.20").await.0, 401);
}
