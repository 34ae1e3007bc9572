//! Sending a question again over HTTP.

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::support::{User, start};

async fn send(ada: &User<'_>, path: &str, body: &Value, keys: &[&str]) -> Response {
    let mut request = ada.request(Method::POST, path).json(body);
    for key in keys {
        request = request.header("Idempotency-Key", *key);
    }
    request.send().await.unwrap()
}

async fn json_of(response: Response) -> Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn an_answer_is_told_again_whole_or_as_a_stream() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let session = ada.session("normal").await;
    let (whole, stream) = (
        format!("/chat/{session}"),
        format!("/chat/{session}/stream"),
    );
    let body = json!({"message": "Hello there"});
    let first = json_of(send(&ada, &whole, &body, &["\"k-1\""]).await).await;
    let mut again = json_of(send(&ada, &whole, &body, &["k-1"]).await).await;
    assert_eq!(
        (&first["recall"], &again["recall"]),
        (&json!("done"), &json!("replayed"))
    );
    again["recall"] = json!("done");
    assert_eq!(first, again, "all else is the same");

    let told = send(&ada, &stream, &body, &["k-1"])
        .await
        .text()
        .await
        .unwrap();
    let id = |message: &str| first[message]["id"].as_str().unwrap().to_owned();
    for part in [
        "\"content\":\"Hello there\"".to_owned(),
        "\"memories_extracted\":true".to_owned(),
        id("user_message"),
        id("assistant_message"),
    ] {
        assert!(told.contains(&part), "{part} in {told}");
    }
    assert!(told.ends_with("data: [DONE]\n\n"));
    assert_eq!(server.model.prompts().len(), 1);
    ada.settled_messages(&session, 2).await;
    let metrics = server
        .at_root(Method::GET, "/metrics")
        .send()
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    let replayed = r#"turns_total{mode="normal",outcome="replayed"} 2"#;
    assert!(metrics.contains(replayed), "{metrics}");
}

#[tokio::test]
async fn a_key_that_names_nothing_or_something_else_is_refused() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let path = format!("/chat/{}", ada.session("normal").await);
    let body = json!({"message": "Hello there"});
    let long = "k".repeat(256);
    for keys in [&[""][..], &["a b"], &[&long], &["one", "two"]] {
        let refused = send(&ada, &path, &body, keys).await;
        assert_eq!(
            refused.status(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "{keys:?}"
        );
        let problem = json_of(refused).await;
        assert_eq!(problem["code"], "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], "/Idempotency-Key");
    }
    assert_eq!(server.model.prompts().len(), 0);

    send(&ada, &path, &body, &["k-1"]).await;
    let other = send(&ada, &path, &json!({"message": "Goodbye"}), &["k-1"]).await;
    assert_eq!(other.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(json_of(other).await["code"], "idempotency_key_reused");
    assert_eq!(server.model.prompts().len(), 1);
}

#[tokio::test]
async fn a_message_without_the_newest_one_is_a_conflict() {
    let server = start();
    let ada = server.user("ada@example.org").await;
    let path = format!("/chat/{}", ada.session("normal").await);
    let ask = |last: Value| json!({"message": "Hello there", "last_message_id": last});
    let first = ada.post(&path, &ask(Value::Null), StatusCode::OK).await;
    let known = &first["assistant_message"]["id"];
    ada.post(&path, &ask(known.clone()), StatusCode::OK).await;
    let late = ada
        .post(&path, &ask(known.clone()), StatusCode::CONFLICT)
        .await;
    assert_eq!(late["code"], "history_changed");
    let odd = ada
        .post(&path, &ask(json!("x")), StatusCode::UNPROCESSABLE_ENTITY)
        .await;
    assert_eq!(odd["errors"][0]["pointer"], "/last_message_id");
    assert_eq!(server.model.prompts().len(), 2);
}
