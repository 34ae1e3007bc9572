//! Running the service: health, readiness, numbers, documents, faults.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use adapter_http::{HttpSettings, serve};
use async_trait::async_trait;
use domain::health::{Ailment, Probe};
use domain::limits::{Counted, LimiterUnavailable, RateLimiter, Taken};
use futures::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::fakes::ScriptedChatModel;

use crate::support::{TestServer, body_of, parts, start, start_as};

/// A dependency in a state of our choice.
enum Dependency {
    Works,
    Broken {
        required: bool,
    },
    Panics,
    /// Counts the looks, and takes its time.
    Slow(Arc<AtomicUsize>),
}

#[async_trait]
impl Probe for Dependency {
    fn name(&self) -> &'static str {
        match self {
            Self::Works => "database",
            Self::Broken { .. } => "chat_model",
            Self::Panics => "panics",
            Self::Slow(_) => "slow",
        }
    }

    fn required(&self) -> bool {
        !matches!(self, Self::Broken { required: false })
    }

    async fn check(&self) -> Result<String, Ailment> {
        match self {
            Self::Works => Ok("answers".to_owned()),
            Self::Broken { .. } => Err(Ailment {
                problem: "there is none".to_owned(),
                way_out: "get one".to_owned(),
            }),
            Self::Panics => panic!("a probe panics"),
            Self::Slow(looks) => {
                let looks = looks.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::time::sleep(Duration::from_millis(500)).await;
                Ok(format!("look {looks}"))
            }
        }
    }
}

fn start_on(dependencies: Vec<Dependency>) -> TestServer {
    start_as(ScriptedChatModel::echo(), |api, _| {
        let probes = dependencies.into_iter();
        api.probes = probes.map(|d| Arc::new(d) as Arc<dyn Probe>).collect();
    })
}

async fn readiness(server: &TestServer, expected: StatusCode) -> Value {
    let request = server.at_root(Method::GET, "/readyz");
    body_of(request.send().await.unwrap(), expected).await
}

#[tokio::test]
async fn readiness_depends_on_what_is_required_only() {
    let server = start_on(vec![
        Dependency::Works,
        Dependency::Broken { required: false },
    ]);
    let works = json!({"ok": true, "required": true, "detail": "answers"});
    let broken =
        |required| json!({"ok": false, "required": required, "detail": "there is none; get one"});
    assert_eq!(
        readiness(&server, StatusCode::OK).await,
        json!({"status": "ready", "checks": {"database": works, "chat_model": broken(false)}})
    );
    let server = start_on(vec![Dependency::Broken { required: true }]);
    assert_eq!(
        readiness(&server, StatusCode::SERVICE_UNAVAILABLE).await,
        json!({"status": "unavailable", "checks": {"chat_model": broken(true)}})
    );
}

#[tokio::test]
async fn a_look_that_panics_is_told_and_is_not_the_last() {
    let server = start_on(vec![Dependency::Works, Dependency::Panics]);
    let found = readiness(&server, StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(
        found["checks"]["panics"]["detail"],
        "could not be looked at"
    );
    assert_eq!(found["checks"]["database"]["ok"], true);
}

#[tokio::test]
async fn however_many_ask_there_is_one_look_at_a_time_and_one_a_second() {
    let looks = Arc::new(AtomicUsize::new(0));
    let server = start_on(vec![Dependency::Slow(Arc::clone(&looks))]);
    // Whoever asks first and leaves does not take the look away.
    let impatient = server.at_root(Method::GET, "/readyz");
    let impatient = impatient.timeout(Duration::from_millis(100)).send().await;
    assert!(impatient.is_err(), "it left");
    let asked = (0..20).map(|_| readiness(&server, StatusCode::OK));
    for found in join_all(asked).await {
        assert_eq!(found["checks"]["slow"]["detail"], "look 1");
    }
    let begun = Instant::now();
    while looks.load(Ordering::SeqCst) < 3 {
        readiness(&server, StatusCode::OK).await;
    }
    // The first had begun before; the next two are a second apart.
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn whatever_answers_get_answers_head_alike_without_a_body() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let document = server.at_root(Method::GET, "/openapi.json").send().await;
    let document: Value = document.unwrap().json().await.unwrap();
    let mut looked_at = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        if path.contains('{') || path == "/metrics" {
            continue;
        }
        let ask = async |method| {
            let request = server.at_root(method, path).bearer_auth(&ada.token);
            request.send().await.unwrap()
        };
        let head = ask(Method::HEAD).await;
        if item.get("get").is_none() {
            assert_eq!(head.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
            continue;
        }
        looked_at += 1;
        let get = ask(Method::GET).await;
        assert_eq!(head.status(), get.status(), "{path}");
        for name in ["content-type", "content-length", "cache-control"] {
            assert_eq!(head.headers().get(name), get.headers().get(name), "{path}");
        }
        assert!(head.bytes().await.unwrap().is_empty(), "{path}");
    }
    assert!(looked_at >= 5, "{looked_at}");
    let refused = server.at_root(Method::POST, "/healthz").send().await;
    assert_eq!(refused.unwrap().headers()["allow"], "GET, HEAD");
    let refused = server.request(Method::HEAD, "/auth/me").send().await;
    assert_eq!(refused.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_server_about_to_stop_takes_no_new_turns_but_answers_the_rest() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let session = ada.session("normal").await;
    server.drain.begin();
    let ready = readiness(&server, StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(ready["status"], "shutting_down");
    for path in [
        format!("/chat/{session}"),
        format!("/chat/{session}/stream"),
    ] {
        let body = json!({"message": "hello"});
        let problem = ada
            .post(&path, &body, StatusCode::SERVICE_UNAVAILABLE)
            .await;
        assert_eq!(problem["code"], "shutting_down");
    }
    ada.get("/sessions").await;
}

/// Counts by panicking.
struct PanickingLimiter;

#[async_trait]
impl RateLimiter for PanickingLimiter {
    async fn take(&self, _: &Counted, _: NonZeroU32) -> Result<Taken, LimiterUnavailable> {
        panic!("a limiter panics")
    }
}

#[tokio::test]
async fn a_panic_is_answered_and_the_server_lives() {
    let server = start_as(ScriptedChatModel::echo(), |api, settings| {
        api.limiter = Some(Arc::new(PanickingLimiter));
        settings.rate_limit = Some(60);
    });
    for _ in 0..3 {
        let request = server.request(Method::GET, "/auth/me");
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        let id = response.headers()["x-request-id"].clone();
        let problem = body_of(response, StatusCode::INTERNAL_SERVER_ERROR).await;
        assert_eq!(problem["code"], "internal");
        assert_eq!(problem["detail"], "Something went wrong on our side.");
        assert_eq!(problem["request_id"], id.to_str().unwrap());
    }
    let request = server.at_root(Method::GET, "/healthz");
    body_of(request.send().await.unwrap(), StatusCode::OK).await;
}

#[tokio::test]
async fn the_numbers_count_routes_and_name_nobody() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let session = ada.session("normal").await;
    ada.get(&format!("/sessions/{session}")).await;
    ada.post(
        &format!("/chat/{session}"),
        &json!({"message": "hello"}),
        StatusCode::OK,
    )
    .await;
    let request = server.at_root(Method::GET, "/metrics");
    let response = request.send().await.unwrap();
    assert!(
        response.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/plain")
    );
    let text = response.text().await.unwrap();
    for line in [
        r#"http_requests_total{method="GET",route="/api/v1/sessions/{session_id}",status="200"} 1"#,
        r#"http_request_duration_seconds_count{route="/api/v1/chat/{session_id}"} 1"#,
        r#"turns_total{mode="normal",outcome="completed"} 1"#,
        "jobs_dead 0",
        "streams_open 0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
    assert!(text.contains("\njobs_pending "));
    assert!(!text.contains(&session));
}

#[tokio::test]
async fn the_document_is_sent_once_to_those_who_keep_it() {
    let server = start();
    let first = server
        .at_root(Method::GET, "/openapi.json")
        .send()
        .await
        .unwrap();
    let tag = first.headers()["etag"].clone();
    assert_eq!(first.headers()["cache-control"], "no-cache");
    assert_eq!(
        body_of(first, StatusCode::OK).await["info"]["title"],
        "MemoryChat"
    );
    let again = server
        .at_root(Method::GET, "/openapi.json")
        .header("if-none-match", tag);
    assert_eq!(
        again.send().await.unwrap().status(),
        StatusCode::NOT_MODIFIED
    );
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let server = start();
    let page = server.at_root(Method::GET, "/docs").send().await.unwrap();
    assert_eq!(page.url().path(), "/docs/");
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(
        !policy.contains("http") && !policy.contains('*'),
        "{policy}"
    );
    let html = page.text().await.unwrap();
    for loaded in html.split(['"', '\'']).filter(|part| part.contains("//")) {
        assert!(
            !loaded.starts_with("http") && !loaded.starts_with("//"),
            "{loaded}"
        );
    }
    let scripts = html.matches("<script").count();
    assert_eq!(
        html.matches("<script src=\"./").count(),
        scripts,
        "no inline script"
    );
    for file in [
        "swagger-ui.css",
        "swagger-ui-bundle.js",
        "swagger-initializer.js",
    ] {
        let path = format!("/docs/{file}");
        let response = server.at_root(Method::GET, &path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{file}");
    }
}

#[tokio::test]
async fn an_origin_that_lets_in_everybody_is_refused_at_the_start() {
    for origin in ["*", "null"] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let settings = HttpSettings {
            cors_origins: vec![origin.to_owned()],
            ..HttpSettings::default()
        };
        let refused = serve(listener, parts(), settings)
            .err()
            .expect("is refused");
        assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
        assert!(refused.to_string().contains(origin));
    }
}
