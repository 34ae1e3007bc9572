//! Sessions that end at the project, where that is to count here too.

use std::sync::Arc;
use std::time::Duration;

use adapter_auth::SupabaseConfig;
use domain::account::IdentityProvider;
use testkit::fixtures::a_user;
use testkit::supabase::Fault;
use testkit::supabase::keys::SigningKey;

use crate::support::{
    World, access, is_bad_token, is_unavailable, refresh, signed_up, world, world_with,
};

const SECRET: &str = "qV7f0sLx-TzM7bWcJ4hRy8GdNf2PaEkq3V";
const USER: &str = "/user";

fn checked(settings: &mut SupabaseConfig) {
    settings.check_sessions = true;
}

async fn checking() -> World {
    world_with(|_| {}, checked).await
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[tokio::test]
async fn a_sign_out_elsewhere_counts_within_a_minute() {
    for key in [SigningKey::es256(), SigningKey::hs256(SECRET.as_bytes())] {
        let world = world_with(
            |config| config.key = key,
            |settings| {
                checked(settings);
                settings.jwt_secret = Some(SECRET.into());
            },
        )
        .await;
        let email = a_user().email;
        let (one, two) = (
            access(&world.upstream.visitor(email.as_str())),
            access(&world.visitor()),
        );
        world.who(&one).await.unwrap();
        world.who(&two).await.unwrap();
        world.sign_out_elsewhere(&one, "global").await;
        world.clock.advance(seconds(59));
        world.who(&one).await.expect("believed for a minute");
        world.clock.advance(seconds(1));
        is_bad_token(world.who(&one).await, "signed out elsewhere");
        world.who(&two).await.expect("somebody else's session");
    }
}

/// What else ends a session at the project.
#[tokio::test]
async fn every_end_elsewhere_counts() {
    for what in ["others", "password", "ban", "removal", "reuse"] {
        let world = checking().await;
        let email = a_user().email;
        let (session, other) = (
            world.upstream.visitor(email.as_str()),
            world.log_in_elsewhere(&email).await,
        );
        let (token, other) = (access(&session), access(&other));
        world.who(&token).await.unwrap();
        world.who(&other).await.unwrap();
        match what {
            "others" => world.sign_out_elsewhere(&other, "others").await,
            "password" => world.change_password_elsewhere(&other).await,
            "ban" => world.upstream.ban(email.as_str()),
            "removal" => world.upstream.remove(email.as_str()),
            // A stolen refresh token, used after two others: nobody may go on.
            _ => {
                let second = world.identity.refresh(&refresh(&session), None).await;
                let second = second.unwrap().tokens.refresh;
                world.identity.refresh(&second, None).await.unwrap();
                let stolen = world.identity.refresh(&refresh(&session), None).await;
                is_bad_token(stolen, what);
            }
        }
        world.clock.advance(seconds(60));
        is_bad_token(world.who(&token).await, what);
        let both = ["ban", "removal"].contains(&what);
        assert_eq!(world.who(&other).await.is_err(), both, "{what}");
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_lets_nobody_stay_longer() {
    let world = checking().await;
    let token = access(&world.visitor());
    world.clock.advance(seconds(600));
    world.who(&token).await.unwrap();
    world.sign_out_elsewhere(&token, "local").await;
    let now = domain::clock::Clock::now(&*world.clock);
    world.clock.set(now - seconds(300));
    is_bad_token(
        world.who(&token).await,
        "what was said later is not believed",
    );
}

#[tokio::test]
async fn without_the_setting_a_token_lives_until_it_expires() {
    let world = world().await;
    let token = access(&world.visitor());
    world.who(&token).await.unwrap();
    world.sign_out_elsewhere(&token, "local").await;
    world.clock.advance(seconds(600));
    world.who(&token).await.expect("verifies");
    assert_eq!(world.upstream.count(USER), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_asked_about_once_a_minute_however_many_show_it() {
    let world = Arc::new(checking().await);
    let token = access(&world.visitor());
    let slow = Fault::Slow(Duration::from_millis(200));
    world.upstream.fault(USER, slow);
    let tasks: tokio::task::JoinSet<()> = (0..50)
        .map(|_| {
            let (world, token) = (Arc::clone(&world), token.clone());
            async move { assert!(world.who(&token).await.is_ok()) }
        })
        .collect();
    tasks.join_all().await;
    assert_eq!(world.upstream.count(USER), 1);
    world.clock.advance(seconds(59));
    world.who(&token).await.unwrap();
    assert_eq!(world.upstream.count(USER), 1);
    world.clock.advance(seconds(1));
    world.who(&token).await.unwrap();
    assert_eq!(world.upstream.count(USER), 2);
}

#[tokio::test]
async fn the_minute_begins_with_the_question() {
    let world = Arc::new(checking().await);
    let token = access(&world.visitor());
    let slow = Fault::Slow(Duration::from_millis(300));
    world.upstream.fault(USER, slow);
    let mut first = tokio::task::JoinSet::new();
    let (asker, shown) = (Arc::clone(&world), token.clone());
    first.spawn(async move { asker.who(&shown).await.is_ok() });
    world.is_asked(USER, 1).await;
    world.clock.advance(seconds(30));
    assert!(first.join_next().await.unwrap().unwrap());
    world.clock.advance(seconds(30));
    world.who(&token).await.unwrap();
    assert_eq!(world.upstream.count(USER), 2);
}

#[tokio::test]
async fn while_nobody_can_be_asked_nobody_is_let_in_or_logged_out() {
    for fault in [
        Fault::Down,
        Fault::BadGateway,
        Fault::Refuses("unexpected_failure"),
        Fault::Refuses("over_request_rate_limit"),
    ] {
        let world = checking().await;
        let token = access(&world.visitor());
        world.who(&token).await.unwrap();
        world.upstream.fault(USER, fault);
        world.clock.advance(seconds(59));
        world.who(&token).await.expect("what was said is kept");
        world.clock.advance(seconds(1));
        is_unavailable(world.who(&token).await, &format!("{fault:?}"));
        world.upstream.heal();
        world.who(&token).await.expect("it has passed");
    }
}

#[tokio::test]
async fn whoever_logs_out_here_is_out_at_once() {
    let world = checking().await;
    let tokens = signed_up(&world).await.tokens;
    let identity = world.who(&tokens.access).await.unwrap();
    // The project does not hear of it, and what it said before is still believed.
    world.upstream.fault("/", Fault::Down);
    let out = world.identity.log_out(&identity, &tokens.access).await;
    out.unwrap();
    is_bad_token(world.who(&tokens.access).await, "after log-out");
    world.upstream.heal();
    world.clock.advance(seconds(60));
    is_bad_token(world.who(&tokens.access).await, "for good");
}

#[tokio::test]
async fn what_does_not_verify_is_not_asked_about() {
    let world = checking().await;
    let header = world.header().to_string();
    for (what, token) in [
        (
            "another key",
            SigningKey::es256().forge(&header, &world.claims().to_string()),
        ),
        ("an unknown key", SigningKey::es256().token(&world.claims())),
    ] {
        is_bad_token(world.who(&token).await, what);
    }
    assert_eq!(world.upstream.count(USER), 0);
    // What only the service can verify is asked about, but not twice.
    let old = world_with(
        |config| config.key = SigningKey::hs256(SECRET.as_bytes()),
        checked,
    )
    .await;
    old.who(&access(&old.visitor())).await.unwrap();
    assert_eq!(old.upstream.count(USER), 1);
}

#[tokio::test]
async fn forgeries_that_are_asked_about_take_nobodys_turn() {
    let world = Arc::new(checking().await);
    let token = access(&world.visitor());
    let slow = Fault::Slow(seconds(2));
    world.upstream.fault(USER, slow);
    let mut forged: tokio::task::JoinSet<()> = (0..20)
        .map(|_| {
            let world = Arc::clone(&world);
            let token = SigningKey::hs256(b"another").token(&world.claims());
            async move { is_bad_token(world.who(&token).await, "forged") }
        })
        .collect();
    world.is_asked(USER, 8).await;
    world.upstream.heal();
    world.who(&token).await.unwrap();
    assert!(forged.try_join_next().is_none(), "they still wait");
    forged.abort_all();
}
