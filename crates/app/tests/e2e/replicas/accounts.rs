//! Accounts, credentials and limits that hold on every replica.

use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::json;

use super::{Installation, at};
use crate::harness::{Server, id};

/// "Within a second" of the other replica's answer.
const SOON: Duration = Duration::from_secs(1);

#[tokio::test]
async fn twenty_sign_ups_of_one_address_make_one_user() {
    let Some(installation) = Installation::start().await else {
        return;
    };
    let (one, two) = installation.pair(&[]).await;
    let body = json!({"email": "ada@example.org", "password": "correct horse battery"});
    let sign_ups = (0..20).map(|n| {
        let caller = [&one, &two][n % 2].anonymous();
        let body = body.clone();
        async move {
            // Too many hashes at once are refused for a moment.
            loop {
                let answer = caller.post("/api/v1/auth/signup", &body).await;
                if answer.status != StatusCode::SERVICE_UNAVAILABLE {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    });
    let answers = join_all(sign_ups).await;
    let made = answers.iter().filter(|a| a.status == StatusCode::CREATED);
    assert_eq!(made.count(), 1);
    for answer in answers.iter().filter(|a| a.status != StatusCode::CREATED) {
        answer.is_problem(409, "email_taken");
    }
    assert_eq!(installation.count("select count(*) from users").await, 1);
    let profiles = installation.count("select count(*) from memory_profiles");
    assert_eq!(profiles.await, 1);
    for server in [&one, &two] {
        let answer = server.anonymous().post("/api/v1/auth/login", &body).await;
        answer.expect_ok();
    }
}

#[tokio::test]
async fn twenty_set_defaults_leave_one_default() {
    let Some(installation) = Installation::start().await else {
        return;
    };
    let (one, two) = installation.pair(&[]).await;
    let ada = one.sign_up("ada").await;
    let mut profiles = vec![ada.default_profile().await];
    for n in 0..4 {
        let body = json!({"name": format!("Profile {n}")});
        let made = ada.post("/api/v1/memory-profiles", &body).await;
        profiles.push(id(&made.expect(StatusCode::CREATED)));
    }
    let changes = (0..20).map(|n| {
        let caller = at(&ada, [&one, &two][n % 2]);
        let path = format!(
            "/api/v1/memory-profiles/{}/set-default",
            profiles[n % profiles.len()]
        );
        async move { caller.post(&path, &json!({})).await }
    });
    for answer in join_all(changes).await {
        answer.expect_ok();
    }
    let defaults = "select count(*) from memory_profiles where is_default";
    assert_eq!(installation.count(defaults).await, 1);
    assert_eq!(
        ada.default_profile().await,
        at(&ada, &two).default_profile().await
    );
}

#[tokio::test]
async fn a_logout_on_one_is_felt_on_the_other() {
    let Some(installation) = Installation::start().await else {
        return;
    };
    let (one, two) = installation.pair(&[]).await;
    let ada = one.sign_up("ada").await;
    let ada_there = at(&ada, &two);
    ada_there.get("/api/v1/auth/me").await.expect_ok();
    ada.post("/api/v1/auth/logout", &json!({}))
        .await
        .expect_ok();
    let ended = Instant::now();
    // At once, not only within the second: no replica keeps what it has looked up.
    let refused = ada_there.get("/api/v1/auth/me").await;
    refused.is_problem(401, "invalid_token");
    assert!(ended.elapsed() < SOON);
}

#[tokio::test]
async fn a_key_that_is_revoked_on_one_is_refused_by_the_other() {
    let Some(installation) = Installation::start().await else {
        return;
    };
    let (one, two) = installation.pair(&[]).await;
    let ada = one.sign_up("ada").await;
    let body = json!({"name": "export", "scopes": ["read"]});
    let made = ada.post("/api/v1/api-keys", &body).await;
    let made = made.expect(StatusCode::CREATED);
    let mut by_key = two.anonymous();
    by_key.token = made["api_key"].as_str().map(str::to_owned);
    by_key.get("/api/v1/auth/me").await.expect_ok();
    let path = format!("/api/v1/api-keys/{}", id(&made));
    ada.delete(&path).await.expect_ok();
    let ended = Instant::now();
    let refused = by_key.get("/api/v1/auth/me").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert!(ended.elapsed() < SOON);
}

#[tokio::test]
async fn one_quota_holds_over_all_replicas() {
    let Some(installation) = Installation::start().await else {
        return;
    };
    let limits = [
        ("RATE_LIMIT_ENABLED", "true"),
        ("RATE_LIMIT_PER_MINUTE", "10"),
        ("LOGIN_LIMIT_PER_MINUTE", "4"),
    ];
    let (one, two) = installation.pair(&limits).await;
    let ada = one.sign_up("ada").await;
    let mut granted = 0;
    let begun = Instant::now();
    for n in 0..24 {
        let caller = at(&ada, [&one, &two][n % 2]);
        let answer = caller.get("/api/v1/auth/me").await;
        granted += usize::from(answer.status == StatusCode::OK);
    }
    // Ten at once, and one more every six seconds.
    let most = 10 + usize::try_from(begun.elapsed().as_secs() / 6).expect("few");
    assert!(granted >= 10 && granted <= most + 1, "{granted} of {most}");

    let guess = json!({"email": "bob@example.org", "password": "a guess"});
    let mut let_in = 0;
    for n in 0..10 {
        let nobody = [&one, &two][n % 2].anonymous();
        let answer = nobody.post("/api/v1/auth/login", &guess).await;
        let_in += usize::from(answer.status == StatusCode::UNAUTHORIZED);
    }
    // The sign-up above came from the same address.
    assert!(let_in <= 4, "{let_in} guesses");
    let keys = installation.redis.command("KEYS *").expect("keys");
    for clear in ["bob", "127.0.0.1", "example"] {
        assert!(!keys.contains(clear), "{keys}");
    }
}

#[tokio::test]
async fn log_ins_that_ended_long_ago_are_forgotten() {
    let Some(installation) = Installation::start().await else {
        return;
    };
    let often = [("MEMORYCHAT_STALE_AFTER_SECONDS", "4")];
    let server = installation.replica(&often).await;
    let ages = [("ada", 89), ("bob", 91), ("eve", 0)];
    for (name, days) in ages {
        server.sign_up(name).await;
        let address = format!("{name}@example.org");
        let ended = format!(
            "update logins set expires_at = (extract(epoch from now()) - {days} * 86400) * 1000000 \
             where user_id = (select id from users where email = '{address}')"
        );
        installation.execute(&ended).await;
    }
    let logins = "select count(*) from logins";
    installation.wait_for_count(logins, 2).await;
    // Another round.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(installation.count(logins).await, 2);
}

#[tokio::test]
async fn a_replica_with_other_secrets_says_so() {
    let Some(installation) = Installation::start().await else {
        return;
    };
    let (one, two) = installation.pair(&[]).await;
    let other = [("JWT_SECRET_KEY", "a-key-that-no-other-replica-has-5Vd")];
    let third = installation.replica(&other).await;
    let complaint = "another replica has another JWT_SECRET_KEY";
    let says = |server: &Server| String::from_utf8_lossy(&server.log()).contains(complaint);
    assert!(says(&third));
    assert!(!says(&one) && !says(&two));
}
