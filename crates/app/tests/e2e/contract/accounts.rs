//! Signing up, logging in and out.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{USER, has_shape, start};
use crate::harness::{Answer, Caller};

#[tokio::test]
async fn accounts() {
    let (_model, server, ada) = start().await;
    let nobody = server.anonymous();
    let credentials = json!({"email": "Bob@Example.org", "password": "a long enough password"});
    let answer = nobody
        .post("/api/v1/auth/signup", &credentials)
        .await
        .expect(StatusCode::CREATED);
    has_shape(
        &answer,
        &[
            ("access_token", "s"),
            ("token_type", "s"),
            ("expires_in", "n"),
            ("user", "o"),
            ("refresh_token", "s"),
        ],
    );
    assert_eq!(answer["token_type"], "bearer");
    has_shape(&answer["user"], USER);
    assert_eq!(answer["user"]["email"], "bob@example.org");

    let taken = json!({"email": " bob@EXAMPLE.org", "password": "another good password"});
    nobody
        .post("/api/v1/auth/signup", &taken)
        .await
        .is_problem(409, "email_taken");
    let short = json!({"email": "c@example.org", "password": "short"});
    nobody
        .post("/api/v1/auth/signup", &short)
        .await
        .is_problem(422, "validation_failed");

    let wrong = json!({"email": "bob@example.org", "password": "not the password"});
    let unknown = json!({"email": "eve@example.org", "password": "not the password"});
    let (wrong, unknown) = (
        nobody.post("/api/v1/auth/login", &wrong).await,
        nobody.post("/api/v1/auth/login", &unknown).await,
    );
    wrong.is_problem(401, "invalid_credentials");
    let bare = |a: &Answer| {
        let mut body = a.json();
        body.as_object_mut().expect("object").remove("request_id");
        body
    };
    assert_eq!(bare(&wrong), bare(&unknown), "one and the same body");

    let login = nobody
        .post("/api/v1/auth/login", &credentials)
        .await
        .expect(StatusCode::OK);
    let bob = Caller {
        token: login["access_token"].as_str().map(str::to_owned),
        ..nobody.clone()
    };
    has_shape(
        &bob.get("/api/v1/auth/me").await.expect(StatusCode::OK),
        USER,
    );
    let refresh = json!({"refresh_token": login["refresh_token"]});
    nobody
        .post("/api/v1/auth/refresh", &refresh)
        .await
        .expect(StatusCode::OK);
    let out = bob
        .send(bob.request(Method::POST, "/api/v1/auth/logout"))
        .await
        .expect(StatusCode::OK);
    has_shape(&out, &[("message", "s")]);
    bob.get("/api/v1/auth/me")
        .await
        .is_problem(401, "invalid_token");
    nobody
        .post("/api/v1/auth/refresh", &refresh)
        .await
        .is_problem(401, "invalid_token");
    ada.get("/api/v1/auth/me").await.expect(StatusCode::OK);

    let refused = nobody.get("/api/v1/auth/me").await;
    assert!(
        refused.headers["www-authenticate"]
            .to_str()
            .expect("text")
            .starts_with("Bearer")
    );
    refused.is_problem(401, "credential_required");
}
