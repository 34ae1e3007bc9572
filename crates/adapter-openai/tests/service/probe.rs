//! What the probe says, and what it advises.

use std::net::TcpListener;

use adapter_openai::OpenAiProbe;
use domain::health::{Ailment, Probe};
use wiremock::matchers::{header, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::script::client;

async fn check(base_url: &str) -> Result<String, Ailment> {
    OpenAiProbe::new(client(base_url)).check().await
}

async fn check_answer(status: u16) -> Result<String, Ailment> {
    let server = MockServer::start().await;
    let asked = Mock::given(path("/v1/models")).and(header("authorization", "Bearer the-key"));
    asked
        .respond_with(ResponseTemplate::new(status))
        .expect(1)
        .mount(&server)
        .await;
    check(&server.uri()).await
}

#[tokio::test]
async fn a_service_that_answers_is_well() {
    for status in [200, 404] {
        assert_eq!(
            check_answer(status).await,
            Ok("gpt-4o-mini at 127.0.0.1".to_owned())
        );
    }
}

#[tokio::test]
async fn what_is_wrong_comes_with_a_way_out() {
    for (status, way_out) in [
        (401, "OPENAI_API_KEY"),
        (403, "OPENAI_API_KEY"),
        (429, "limit"),
        (503, "later"),
    ] {
        let ailment = check_answer(status).await.unwrap_err();
        assert!(ailment.way_out.contains(way_out), "{status}: {ailment}");
        assert!(!ailment.to_string().contains("the-key"));
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_is_told_by_its_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let ailment = check(&base_url).await.unwrap_err();
    assert!(ailment.problem.contains("127.0.0.1"), "{ailment}");
    assert!(ailment.way_out.contains("OPENAI_BASE_URL"), "{ailment}");
}
