//! Tokens of the shared secret.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use testkit::supabase::keys::SigningKey;
use testkit::supabase::{Fault, KeyState};

use crate::support::{World, access, is_bad_token, is_unavailable, world_with};

const SECRET: &str = "qV7f0sLx-TzM7bWcJ4hRy8GdNf2PaEkq3V";

async fn old_project(secret_is_set: bool) -> World {
    world_with(
        |config| config.key = SigningKey::hs256(SECRET.as_bytes()),
        |settings| settings.jwt_secret = secret_is_set.then(|| SECRET.into()),
    )
    .await
}

#[tokio::test]
async fn the_service_is_asked_once_a_minute_and_no_keys_are_fetched() {
    let world = old_project(false).await;
    let token = access(&world.visitor());
    for _ in 0..10 {
        world.who(&token).await.unwrap();
    }
    assert_eq!(world.upstream.count("/user"), 1);
    world.clock.advance(Duration::from_secs(59));
    world.who(&token).await.unwrap();
    assert_eq!(world.upstream.count("/user"), 1);
    world.clock.advance(Duration::from_secs(1));
    world.who(&token).await.unwrap();
    assert_eq!(world.upstream.count("/user"), 2);
    assert_eq!(world.upstream.count("/.well-known/jwks.json"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_show_one_token_at_once_cause_one_call() {
    let world = Arc::new(old_project(false).await);
    let token = access(&world.visitor());
    world
        .upstream
        .fault("/user", Fault::Slow(Duration::from_millis(200)));
    let tasks: tokio::task::JoinSet<()> = (0..50)
        .map(|_| {
            let (world, token) = (Arc::clone(&world), token.clone());
            async move { assert!(world.who(&token).await.is_ok()) }
        })
        .collect();
    tasks.join_all().await;
    assert_eq!(world.upstream.count("/user"), 1);
}

#[tokio::test]
async fn a_forged_token_is_refused_and_asked_about_once() {
    let world = old_project(false).await;
    let forged = SigningKey::hs256(b"another").token(&world.claims());
    for _ in 0..5 {
        is_bad_token(world.who(&forged).await, "forged");
    }
    assert_eq!(world.upstream.count("/user"), 1);
}

#[tokio::test]
async fn the_projects_own_keys_of_old_are_nobodys_token() {
    for secret_is_set in [true, false] {
        let world = old_project(secret_is_set).await;
        let now = world.claims()["iat"].as_i64().unwrap();
        for role in ["anon", "service_role"] {
            let claims = json!({"iss": "supabase", "ref": "abc", "role": role, "iat": now, "exp": now + 315_360_000});
            is_bad_token(world.who(&world.token(&claims)).await, role);
            // Nor under the name of the service, with whatever else tokens have.
            let mut claims = world.claims();
            claims["role"] = json!(role);
            is_bad_token(world.who(&world.token(&claims)).await, role);
        }
        assert!(world.upstream.calls().is_empty());
    }
}

#[tokio::test]
async fn a_session_that_ended_upstream_is_noticed_within_a_minute() {
    let world = old_project(false).await;
    let email = testkit::fixtures::a_user().email;
    let token = access(&world.upstream.visitor(email.as_str()));
    world.who(&token).await.unwrap();
    world.upstream.remove(email.as_str());
    world.clock.advance(Duration::from_mins(1));
    is_bad_token(world.who(&token).await, "a removed user");
}

#[tokio::test]
async fn while_the_service_is_down_nobody_is_logged_out() {
    let slow = Fault::Slow(Duration::from_secs(10));
    for fault in [Fault::Down, Fault::BadGateway, slow] {
        let world = old_project(false).await;
        let token = access(&world.visitor());
        world.who(&token).await.unwrap();
        world.upstream.fault("/", fault);
        world.who(&token).await.expect("what was said is kept");
        world.clock.advance(Duration::from_mins(1));
        is_unavailable(world.who(&token).await, "nobody to ask");
        world.upstream.heal();
        world.who(&token).await.unwrap();
    }
}

#[tokio::test]
async fn what_the_service_said_is_forgotten_when_it_is_to_be() {
    let world = Arc::new(old_project(false).await);
    let token = access(&world.visitor());
    world.who(&token).await.unwrap();
    let old = world.upstream.kid();
    let next = SigningKey::hs256(b"the next secret");
    world.upstream.add_key(next, KeyState::InUse);
    world.upstream.set_key(&old, KeyState::Revoked);
    world.who(&token).await.expect("still believed");
    world.identity.forget();
    is_bad_token(world.who(&token).await, "a revoked secret");
    // Whoever asks afterwards does not share an answer that was under way before.
    let asked = world.upstream.count("/user");
    let slow = Fault::Slow(Duration::from_millis(300));
    world.upstream.fault("/user", slow);
    let token = access(&world.visitor());
    let mut first = tokio::task::JoinSet::new();
    let (asker, shown) = (Arc::clone(&world), token.clone());
    first.spawn(async move { asker.who(&shown).await.is_ok() });
    world.is_asked("/user", asked + 1).await;
    world.identity.forget();
    world.upstream.fault("/user", Fault::Down);
    is_unavailable(world.who(&token).await, "nobody to ask");
    assert!(first.join_next().await.unwrap().unwrap());
    is_unavailable(world.who(&token).await, "what came late is not kept");
}

#[tokio::test]
async fn a_positive_answer_does_not_outlive_its_token() {
    let world = world_with(
        |config| {
            config.key = SigningKey::hs256(SECRET.as_bytes());
            config.lifetime = Duration::from_secs(10);
        },
        |_| {},
    )
    .await;
    let token = access(&world.visitor());
    world.who(&token).await.unwrap();
    // Here it has half a minute more, there it has not.
    world.clock.advance(Duration::from_secs(11));
    for _ in 0..3 {
        is_bad_token(world.who(&token).await, "expired there");
    }
    assert_eq!(world.upstream.count("/user"), 2);
    world.clock.advance(Duration::from_secs(30));
    is_bad_token(world.who(&token).await, "expired");
    assert_eq!(world.upstream.count("/user"), 2);
}

#[tokio::test]
async fn with_the_secret_nobody_is_asked() {
    let world = old_project(true).await;
    let token = access(&world.visitor());
    world.upstream.fault("/", Fault::Down);
    world.who(&token).await.unwrap();
    let forged = SigningKey::hs256(b"another").token(&world.claims());
    is_bad_token(world.who(&forged).await, "forged");
    assert!(world.upstream.calls().is_empty());
}
