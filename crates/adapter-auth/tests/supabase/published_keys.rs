//! Keys that come and go, and a list of keys that cannot be had.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use testkit::fixtures::fresh_id;
use testkit::supabase::keys::SigningKey;
use testkit::supabase::{Fault, KeyState};

use crate::support::{World, access, is_bad_token, is_unavailable, world};

const JWKS: &str = "/.well-known/jwks.json";

fn unknown_key(world: &World) -> String {
    let key = SigningKey::es256();
    let mut header = key.header();
    header["kid"] = json!(fresh_id());
    key.forge(&header.to_string(), &world.claims().to_string())
}

fn minutes(n: u64) -> Duration {
    Duration::from_mins(n)
}

#[tokio::test]
async fn keys_are_fetched_once_for_ten_minutes() {
    let world = world().await;
    for _ in 0..20 {
        world.who(&access(&world.visitor())).await.unwrap();
    }
    assert_eq!(world.upstream.count(JWKS), 1);
    world.clock.advance(minutes(10));
    world.who(&access(&world.visitor())).await.unwrap();
    assert_eq!(world.upstream.count(JWKS), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_unknown_keys_cause_one_fetch() {
    let world = Arc::new(world().await);
    world.who(&access(&world.visitor())).await.unwrap();
    world.clock.advance(Duration::from_secs(31));
    let forger = SigningKey::es256();
    let tokens: Vec<String> = (0..1000)
        .map(|_| {
            let mut header = forger.header();
            header["kid"] = json!(fresh_id());
            forger.forge(&header.to_string(), &world.claims().to_string())
        })
        .collect();
    let tasks: tokio::task::JoinSet<()> = tokens
        .into_iter()
        .map(|token| {
            let world = Arc::clone(&world);
            async move { is_bad_token(world.who(&token).await, "an unknown key") }
        })
        .collect();
    tasks.join_all().await;
    assert_eq!(world.upstream.count(JWKS), 2, "the first, and one for all");
    // Half a minute later one more may be fetched.
    world.clock.advance(Duration::from_secs(29));
    is_bad_token(world.who(&unknown_key(&world)).await, "29 s");
    assert_eq!(world.upstream.count(JWKS), 2);
    world.clock.advance(Duration::from_secs(1));
    is_bad_token(world.who(&unknown_key(&world)).await, "30 s");
    assert_eq!(world.upstream.count(JWKS), 3);
}

#[tokio::test]
async fn a_rotation_goes_unnoticed() {
    let world = world().await;
    let before = access(&world.visitor());
    world.who(&before).await.unwrap();
    let next = SigningKey::rs256();
    let kid = next.kid().to_owned();
    world.upstream.add_key(next, KeyState::Standby);
    world.who(&access(&world.visitor())).await.unwrap();
    world.upstream.set_key(&kid, KeyState::InUse);
    world.clock.advance(Duration::from_secs(31));
    world.who(&access(&world.visitor())).await.unwrap();
    world
        .who(&before)
        .await
        .expect("the previous key still counts");
}

/// A token that was let in, and whose key was revoked then.
async fn with_a_revoked_key() -> (World, String) {
    let world = world().await;
    let old = world.upstream.kid();
    let token = access(&world.visitor());
    world.who(&token).await.unwrap();
    world.upstream.add_key(SigningKey::es256(), KeyState::InUse);
    world.upstream.set_key(&old, KeyState::Revoked);
    (world, token)
}

#[tokio::test]
async fn a_revoked_key_is_refused_after_ten_minutes() {
    let (world, token) = with_a_revoked_key().await;
    world.clock.advance(minutes(9));
    world.who(&token).await.unwrap();
    world.clock.advance(minutes(1));
    is_bad_token(world.who(&token).await, "a revoked key");
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_when_all_is_forgotten() {
    let (world, token) = with_a_revoked_key().await;
    world.who(&token).await.expect("still believed");
    world.identity.forget();
    is_bad_token(world.who(&token).await, "a revoked key");
    world.who(&access(&world.visitor())).await.unwrap();
    assert_eq!(world.upstream.count(JWKS), 2);
}

#[tokio::test]
async fn what_was_forgotten_during_an_outage_logs_nobody_out() {
    let world = world().await;
    let token = access(&world.visitor());
    world.who(&token).await.unwrap();
    world.upstream.fault(JWKS, Fault::Down);
    world.identity.forget();
    for _ in 0..20 {
        is_unavailable(world.who(&token).await, "no keys at the moment");
    }
    assert_eq!(world.upstream.count(JWKS), 2, "no storm of calls");
    world.upstream.heal();
    world.clock.advance(Duration::from_secs(30));
    world.who(&token).await.expect("it has passed by itself");
    // Whoever does not want to wait for the half minute asks again.
    world.upstream.fault(JWKS, Fault::Down);
    world.identity.forget();
    is_unavailable(world.who(&token).await, "down again");
    world.upstream.heal();
    world.identity.forget();
    world.who(&token).await.expect("it is asked at once");
}

#[tokio::test]
async fn keys_that_were_on_their_way_are_forgotten_too() {
    let world = Arc::new(world().await);
    let token = access(&world.visitor());
    let slow = Fault::Slow(Duration::from_millis(300));
    world.upstream.fault(JWKS, slow);
    let mut first = tokio::task::JoinSet::new();
    let (asker, asked) = (Arc::clone(&world), token.clone());
    first.spawn(async move { asker.who(&asked).await });
    world.is_asked(JWKS, 1).await;
    world.identity.forget();
    world.upstream.fault(JWKS, Fault::Down);
    is_unavailable(world.who(&token).await, "nothing is known");
    let first = first.join_next().await.unwrap().unwrap();
    is_unavailable(first, "what came was asked for before");
    is_unavailable(world.who(&token).await, "and is not kept");
}

#[tokio::test]
async fn known_keys_outlive_an_outage_of_twenty_minutes() {
    for fault in [
        Fault::Down,
        Fault::BadGateway,
        Fault::Refuses("unexpected_failure"),
    ] {
        let world = world().await;
        let token = access(&world.visitor());
        world.who(&token).await.unwrap();
        world.upstream.fault(JWKS, fault);
        world.clock.advance(minutes(19));
        world.who(&token).await.unwrap();
        // Whether there is such a key cannot be told now: no answer that would log anybody out.
        is_unavailable(world.who(&unknown_key(&world)).await, "an unknown key");
        world.clock.advance(minutes(1));
        is_unavailable(world.who(&token).await, "after twenty minutes");
        let asked = world.upstream.count(JWKS);
        for _ in 0..50 {
            is_unavailable(world.who(&token).await, "meanwhile");
        }
        assert_eq!(world.upstream.count(JWKS), asked, "no storm of calls");
        world.upstream.heal();
        world.clock.advance(Duration::from_secs(30));
        world.who(&token).await.expect("it has passed");
    }
}

#[tokio::test]
async fn without_any_keys_nothing_is_accepted_and_nobody_is_logged_out() {
    let slow = Fault::Slow(Duration::from_secs(10));
    for fault in [Fault::Down, Fault::BadGateway, slow] {
        let world = world().await;
        world.upstream.fault(JWKS, fault);
        let token = access(&world.visitor());
        is_unavailable(world.who(&token).await, "keys were never fetched");
        let mut expired = world.claims();
        expired["exp"] = json!(1);
        is_bad_token(world.who(&world.token(&expired)).await, "an expired token");
        world.upstream.heal();
        world.clock.advance(Duration::from_secs(30));
        world.who(&token).await.expect("it has passed");
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_bring_keys_back_or_lock_anybody_out() {
    let (world, token) = with_a_revoked_key().await;
    world.clock.advance(minutes(10));
    is_bad_token(world.who(&token).await, "a revoked key");
    let now = domain::clock::Clock::now(&*world.clock);
    world.clock.set(now - minutes(5));
    is_bad_token(world.who(&token).await, "a revoked key, five minutes ago");
    world.who(&access(&world.visitor())).await.unwrap();
}

#[tokio::test]
async fn whoever_hangs_up_does_not_stop_the_fetch_of_others() {
    let world = world().await;
    world
        .upstream
        .fault(JWKS, Fault::Slow(Duration::from_millis(300)));
    let token = access(&world.visitor());
    let impatient = tokio::time::timeout(Duration::from_millis(50), world.who(&token)).await;
    assert!(impatient.is_err());
    world.who(&token).await.unwrap();
    assert_eq!(world.upstream.count(JWKS), 1);
}
