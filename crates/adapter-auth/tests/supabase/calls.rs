//! Signing up, logging in and out, and refreshing, with the habits and faults of the other side.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use domain::account::{AccountError, IdentityProvider, Password, SignUp};
use domain::error::{Classify, ErrorKind};
use domain::store::Store;
use testkit::fixtures::a_user;
use testkit::supabase::Fault;

use crate::support::{
    access, is_bad_token, is_unavailable, password, refresh, signed_up, world, world_with,
};

const HERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)));

#[tokio::test]
async fn with_confirmation_a_sign_up_opens_nothing_and_known_addresses_look_alike() {
    let world = world_with(|config| config.confirm_email = true, |_| {}).await;
    let email = a_user().email;
    for _ in 0..2 {
        let made = world.identity.sign_up(&email, &password(), None).await;
        assert!(matches!(made.unwrap(), SignUp::ConfirmationSent));
    }
    let early = world.identity.log_in(&email, &password(), None).await;
    assert!(matches!(early, Err(AccountError::EmailNotConfirmed)));
    world.upstream.confirm(email.as_str());
    let signed_in = world
        .identity
        .log_in(&email, &password(), None)
        .await
        .unwrap();
    // Somebody tries the address of a confirmed user: the answer holds an invented one.
    let other = Password::choose("somebody else's".to_owned()).unwrap();
    let made = world.identity.sign_up(&email, &other, None).await.unwrap();
    assert!(matches!(made, SignUp::ConfirmationSent));
    let again = world
        .identity
        .log_in(&email, &password(), None)
        .await
        .unwrap();
    assert_eq!(again.user, signed_in.user);
    assert_eq!(world.upstream.users(), 1);
}

#[tokio::test]
async fn passwords_that_upstream_does_not_take_are_told_why() {
    let world = world().await;
    let email = a_user().email;
    for (text, says) in [
        ("password1234".to_owned(), "known from stolen lists"),
        ("x".repeat(73), "72 bytes"),
    ] {
        let chosen = Password::choose(text).unwrap();
        let error = world
            .identity
            .sign_up(&email, &chosen, None)
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Invalid, "validation_failed")
        );
        let fields = error.fields();
        assert_eq!(fields[0].field, "password");
        assert!(fields[0].detail.contains(says), "{}", fields[0].detail);
    }
}

#[tokio::test]
async fn a_closed_project_and_a_banned_user() {
    let closed = world_with(|config| config.signup = false, |_| {}).await;
    let refused = closed
        .identity
        .sign_up(&a_user().email, &password(), None)
        .await;
    assert!(matches!(refused, Err(AccountError::NotAllowed)));
    let world = world().await;
    let signed_in = signed_up(&world).await;
    world.upstream.ban(signed_in.user.email.as_str());
    let refused = world
        .identity
        .log_in(&signed_in.user.email, &password(), None)
        .await;
    assert!(matches!(refused, Err(AccountError::BadCredentials)));
    is_bad_token(
        world
            .identity
            .refresh(&signed_in.tokens.refresh, None)
            .await,
        "banned",
    );
}

#[tokio::test]
async fn a_secret_key_names_the_callers_address_and_another_does_not() {
    let secret = world_with(
        |config| config.attempts = Some(2),
        |settings| settings.service_key = Some("sb_secret_standin".into()),
    )
    .await;
    for last in 1..=4 {
        let from = Some(IpAddr::from([203, 0, 113, last]));
        secret
            .identity
            .sign_up(&a_user().email, &password(), from)
            .await
            .unwrap();
    }
    let call = &secret.upstream.calls()[0];
    assert_eq!(call.header("apikey"), "sb_secret_standin");
    assert_eq!(call.header("sb-forwarded-for"), "203.0.113.1");
    assert!(call.header("user-agent").starts_with("memorychat/"));
    assert_eq!(call.bearer(), None);
    assert_eq!(call.header("x-jwt-aud"), "");
    assert_eq!(call.header("x-supabase-api-version"), "2024-01-01");

    let public = world_with(|config| config.attempts = Some(2), |_| {}).await;
    for _ in 0..2 {
        public
            .identity
            .sign_up(&a_user().email, &password(), HERE)
            .await
            .unwrap();
    }
    let spent = public
        .identity
        .log_in(&a_user().email, &password(), HERE)
        .await;
    let error = spent.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::RateLimited, "rate_limited")
    );
    assert!(error.retry_after().is_some());
    let call = &public.upstream.calls()[0];
    assert_eq!(call.header("apikey"), "sb_publishable_standin");
    assert_eq!(call.header("sb-forwarded-for"), "");
}

#[tokio::test]
async fn an_old_service_key_is_not_sent_with_anybodys_call() {
    let old = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.x";
    let world = world_with(|_| {}, |settings| settings.service_key = Some(old.into())).await;
    world
        .identity
        .sign_up(&a_user().email, &password(), HERE)
        .await
        .unwrap();
    assert!(
        world
            .upstream
            .calls()
            .iter()
            .all(|call| call.header("apikey") != old)
    );
}

#[tokio::test]
async fn a_wrong_project_key_is_not_a_wrong_password() {
    let world = world_with(
        |_| {},
        |settings| settings.key = "sb_publishable_wrong".into(),
    )
    .await;
    let email = a_user().email;
    is_unavailable(
        world.identity.log_in(&email, &password(), None).await,
        "log-in",
    );
    is_unavailable(
        world.identity.sign_up(&email, &password(), None).await,
        "sign-up",
    );
    is_unavailable(
        world.identity.refresh("abcdefabcdef", None).await,
        "refresh",
    );
}

#[tokio::test]
async fn down_slow_or_answering_for_another_is_unavailable_and_passes() {
    let world = world().await;
    let signed_in = signed_up(&world).await;
    let (email, wrong) = (&signed_in.user.email, Password::attempt("wrong".to_owned()));
    for fault in [
        Fault::Down,
        Fault::BadGateway,
        Fault::CutAfter,
        Fault::Refuses("unexpected_failure"),
        Fault::Refuses("request_timeout"),
    ] {
        world.upstream.fault("/token", fault);
        let what = format!("{fault:?}");
        is_unavailable(world.identity.log_in(email, &password(), None).await, &what);
        is_unavailable(world.identity.log_in(email, &wrong, None).await, &what);
        world
            .who(&signed_in.tokens.access)
            .await
            .expect("known keys go on");
        world.upstream.fault("/", fault);
        let newcomer = a_user().email;
        let made = world.identity.sign_up(&newcomer, &password(), None).await;
        is_unavailable(made, &what);
        let refreshed = world.identity.refresh("abcdefabcdef", None).await;
        is_unavailable(refreshed, &what);
    }
    world
        .upstream
        .fault("/token", Fault::Slow(Duration::from_secs(10)));
    let begun = std::time::Instant::now();
    is_unavailable(
        world.identity.log_in(email, &password(), None).await,
        "slow",
    );
    assert!(begun.elapsed() < Duration::from_millis(9500));
    world.upstream.heal();
    world
        .identity
        .log_in(email, &password(), None)
        .await
        .unwrap();
}

#[tokio::test]
async fn nobody_is_followed_and_nothing_endless_is_read() {
    let (world, elsewhere) = (world().await, world().await);
    let visitor = world.visitor();
    let away: &'static str = Box::leak(elsewhere.upstream.issuer().to_owned().into_boxed_str());
    for fault in [Fault::SendsTo(away), Fault::TooLong] {
        world.upstream.fault("/", fault);
        let what = format!("{fault:?}");
        let email = a_user().email;
        is_unavailable(
            world.identity.log_in(&email, &password(), None).await,
            &what,
        );
        is_unavailable(
            world.identity.sign_up(&email, &password(), None).await,
            &what,
        );
        is_unavailable(world.identity.refresh("abcdefabcdef", None).await, &what);
        is_unavailable(world.who(&access(&visitor)).await, &what);
    }
    assert!(elsewhere.upstream.calls().is_empty());
}

#[tokio::test]
async fn a_lost_refresh_answer_costs_nobody_their_log_in() {
    let world = world().await;
    let first = signed_up(&world).await;
    world.upstream.fault("/token", Fault::CutAfter);
    is_unavailable(
        world.identity.refresh(&first.tokens.refresh, None).await,
        "cut",
    );
    let asked = world.upstream.count("/token");
    assert_eq!(
        asked, 1,
        "what may have succeeded is not repeated from here"
    );
    world.upstream.heal();
    let next = world
        .identity
        .refresh(&first.tokens.refresh, None)
        .await
        .unwrap();
    let again = world
        .identity
        .refresh(&first.tokens.refresh, None)
        .await
        .unwrap();
    assert_eq!(next.tokens.refresh, again.tokens.refresh);
    world
        .identity
        .refresh(&next.tokens.refresh, None)
        .await
        .expect("the log-in lives");
}

#[tokio::test]
async fn a_refresh_in_the_way_of_another_keeps_the_log_in() {
    let world = world().await;
    let first = signed_up(&world).await;
    for (fault, kind) in [
        (Fault::Refuses("conflict"), ErrorKind::Conflict),
        (
            Fault::Refuses("over_request_rate_limit"),
            ErrorKind::RateLimited,
        ),
        (Fault::BadGateway, ErrorKind::Unavailable),
    ] {
        world.upstream.fault("/token", fault);
        let refused = world.identity.refresh(&first.tokens.refresh, None).await;
        assert_eq!(refused.unwrap_err().kind(), kind, "{fault:?}");
    }
    world.upstream.heal();
    world
        .identity
        .refresh(&first.tokens.refresh, None)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_refreshes_at_once_are_one_call() {
    let world = Arc::new(world().await);
    let first = signed_up(&world).await;
    world
        .upstream
        .fault("/token", Fault::Slow(Duration::from_millis(300)));
    let tasks: tokio::task::JoinSet<String> = (0..20)
        .map(|_| {
            let (world, token) = (Arc::clone(&world), first.tokens.refresh.clone());
            async move {
                let next = world.identity.refresh(&token, None).await.unwrap();
                next.tokens.refresh
            }
        })
        .collect();
    let mut next = tasks.join_all().await;
    next.dedup();
    assert_eq!(next.len(), 1);
    assert_eq!(world.upstream.count("/token"), 1);
}

#[tokio::test]
async fn a_token_is_dead_here_after_log_out_although_it_verifies() {
    let world = world().await;
    let signed_in = signed_up(&world).await;
    let token = &signed_in.tokens.access;
    let identity = world.who(token).await.unwrap();
    world.identity.log_out(&identity, token).await.unwrap();
    is_bad_token(world.who(token).await, "after log-out");
    let calls = world.upstream.calls();
    let call = calls.last().unwrap();
    assert_eq!(
        (call.path.as_str(), call.bearer()),
        ("/logout", Some(token.as_str()))
    );
    assert_eq!(call.query["scope"], "local");
    assert_eq!(call.header("apikey"), "sb_publishable_standin");
}

#[tokio::test]
async fn logging_out_works_while_the_service_is_down_and_holds_afterwards() {
    for fault in [Fault::Down, Fault::BadGateway] {
        let world = world().await;
        let signed_in = signed_up(&world).await;
        let token = &signed_in.tokens.access;
        let identity = world.who(token).await.unwrap();
        world.upstream.fault("/", fault);
        world.identity.log_out(&identity, token).await.unwrap();
        world.upstream.heal();
        is_bad_token(world.who(token).await, "the access token");
        // Upstream's session lives on; what it gives is of a log-in that was ended here.
        let refreshed = world
            .identity
            .refresh(&signed_in.tokens.refresh, None)
            .await;
        is_bad_token(refreshed, "the refresh token");
    }
}

#[tokio::test]
async fn logging_out_of_what_is_gone_upstream_is_no_error() {
    let world = world().await;
    let signed_in = signed_up(&world).await;
    let identity = world.who(&signed_in.tokens.access).await.unwrap();
    world.upstream.remove(signed_in.user.email.as_str());
    world
        .identity
        .log_out(&identity, &signed_in.tokens.access)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_first_requests_of_a_visitor_make_one_user_with_one_profile() {
    let world = Arc::new(world().await);
    let token = access(&world.visitor());
    let tasks: tokio::task::JoinSet<_> = (0..20)
        .map(|_| {
            let (world, token) = (Arc::clone(&world), token.clone());
            async move { world.who(&token).await.unwrap().user }
        })
        .collect();
    let mut users = tasks.join_all().await;
    users.dedup();
    assert_eq!(users.len(), 1);
    let mut work = world.store.read(users[0]).await.unwrap();
    assert_eq!(work.profiles().list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_visitor_and_a_log_in_here_are_one_person_whose_address_follows() {
    let world = world().await;
    let signed_in = signed_up(&world).await;
    let email = signed_in.user.email.clone();
    let moved = a_user().email;
    world.upstream.change_email(email.as_str(), moved.as_str());
    let next = world
        .identity
        .refresh(&signed_in.tokens.refresh, None)
        .await
        .unwrap();
    assert_eq!((next.user.id, next.user.email), (signed_in.user.id, moved));
    // The old address is somebody else's now.
    let other = world.visitor();
    let newcomer = world.upstream.visitor(email.as_str());
    let (one, two) = (
        world.who(&access(&other)).await,
        world.who(&access(&newcomer)).await,
    );
    assert_ne!(one.unwrap().user, two.unwrap().user);
    let session = refresh(&newcomer);
    let newcomer = world.identity.refresh(&session, None).await.unwrap();
    assert_ne!(newcomer.user.id, signed_in.user.id);
    assert_eq!(newcomer.user.email, email);
}

#[tokio::test]
async fn an_address_is_no_proof_of_who_somebody_is() {
    let world = world().await;
    let email = a_user().email;
    let SignUp::Done(own) = (world.local.sign_up(&email, &password(), None).await).unwrap() else {
        panic!("no confirmation was asked for");
    };
    // The same address at the project, whoever has it there.
    let visitor = world.upstream.visitor(email.as_str());
    let there = world.who(&access(&visitor)).await.unwrap();
    assert_ne!(there.user, own.user.id);
    let here = world.who(&own.tokens.access).await.unwrap();
    assert_eq!(here.user, own.user.id);
}

#[tokio::test]
async fn log_ins_that_this_service_opened_before_go_on() {
    let world = world().await;
    let email = a_user().email;
    let SignUp::Done(own) = world
        .local
        .sign_up(&email, &password(), None)
        .await
        .unwrap()
    else {
        panic!("no confirmation was asked for");
    };
    world.upstream.fault("/", Fault::Down);
    let identity = world.who(&own.tokens.access).await.unwrap();
    assert_eq!(identity.user, own.user.id);
    let next = world
        .identity
        .refresh(&own.tokens.refresh, None)
        .await
        .unwrap();
    world
        .identity
        .log_out(&identity, &next.tokens.access)
        .await
        .unwrap();
    is_bad_token(world.who(&next.tokens.access).await, "after log-out");
    assert!(
        world.upstream.calls().is_empty(),
        "nothing of it goes upstream"
    );
}
