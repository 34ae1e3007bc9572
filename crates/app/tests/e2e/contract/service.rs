//! Docs, health, origins.

use reqwest::{Method, StatusCode};

use super::start;

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
