//! Memories, written by hand.

use reqwest::StatusCode;
use serde_json::json;

use super::{MEMORY, has_shape, start};
use crate::harness::id;

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
