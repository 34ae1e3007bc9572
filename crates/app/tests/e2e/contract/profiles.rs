//! Memory profiles.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{PROFILE, has_shape, start};
use crate::harness::id;

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
