//! Signing up, logging in, tokens and API keys.

use std::time::Duration;

use domain::account::{
    AccountError, AccountService, Actor, ApiKeyDraft, Password, PasswordHasher, Scope, SignUp,
    SignedIn, User,
};
use domain::error::{Classify, ErrorKind};
use domain::ids::ApiKeyId;
use domain::jobs::Maintenance;
use domain::store::{Store, StoreError};
use testkit::fixtures::{a_user, fresh_id};

use crate::common::World;

const PASSWORD: &str = "correct horse";

async fn sign_up(accounts: &AccountService, email: &str) -> Result<SignedIn, AccountError> {
    match accounts.sign_up(email, PASSWORD.to_owned(), None).await? {
        SignUp::Done(signed_in) => Ok(*signed_in),
        SignUp::ConfirmationSent => panic!("a local account needs no confirmation"),
    }
}

async fn actor(world: &World, email: &str) -> Actor {
    let signed_in = sign_up(&world.accounts, email).await.unwrap();
    world
        .accounts
        .authenticate(&signed_in.tokens.access)
        .await
        .unwrap()
}

#[tokio::test]
async fn signing_up_makes_account_credential_and_default_profile_at_once() {
    let world = World::new();
    let signed_in = sign_up(&world.accounts, "ada@example.org").await.unwrap();

    let actor = world
        .accounts
        .authenticate(&signed_in.tokens.access)
        .await
        .unwrap();
    assert_eq!(world.accounts.me(&actor).await.unwrap(), signed_in.user);
    let profiles = world.profiles.list(signed_in.user.id).await.unwrap();
    assert_eq!(profiles.len(), 1);
    assert!(profiles[0].profile.is_default());
    let again = world
        .accounts
        .log_in("ada@example.org", PASSWORD.to_owned(), None)
        .await
        .unwrap();
    assert_eq!(again.user.id, signed_in.user.id);
}

#[tokio::test]
async fn a_sign_up_that_cannot_be_stored_leaves_nothing() {
    let world = World::new();
    world.store.commit.always();
    let refused = sign_up(&world.accounts, "ada@example.org").await;
    assert!(matches!(
        refused,
        Err(AccountError::Store(StoreError::Unavailable(_)))
    ));

    world.store.commit.heal();
    let lost = world
        .accounts
        .log_in("ada@example.org", PASSWORD.to_owned(), None)
        .await;
    assert!(matches!(lost, Err(AccountError::BadCredentials)));
    let user = sign_up(&world.accounts, "ada@example.org")
        .await
        .unwrap()
        .user;
    assert_eq!(world.profiles.list(user.id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn one_address_has_one_account_in_whatever_spelling() {
    let world = World::new();
    sign_up(&world.accounts, "Ada@Example.org").await.unwrap();
    for spelling in ["ada@example.org", " ADA@EXAMPLE.ORG ", "ａda@example.org"] {
        let taken = sign_up(&world.accounts, spelling).await;
        assert!(matches!(taken, Err(AccountError::EmailTaken)), "{spelling}");
        assert!(
            world
                .accounts
                .log_in(spelling, PASSWORD.to_owned(), None)
                .await
                .is_ok(),
            "{spelling}"
        );
    }
}

#[tokio::test]
async fn bad_addresses_and_short_passwords_are_told_by_field() {
    let world = World::new();
    let address = world
        .accounts
        .sign_up("ada", PASSWORD.to_owned(), None)
        .await
        .unwrap_err();
    let password = world
        .accounts
        .sign_up("ada@example.org", "1234567".to_owned(), None)
        .await;
    let password = password.unwrap_err();
    assert_eq!(
        (address.kind(), address.fields()[0].field),
        (ErrorKind::Invalid, "email")
    );
    assert_eq!(
        (password.kind(), password.fields()[0].field),
        (ErrorKind::Invalid, "password")
    );
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_answer_alike() {
    let world = World::new();
    sign_up(&world.accounts, "ada@example.org").await.unwrap();
    let tries = [
        ("ada@example.org", "wrong horse"),
        ("bob@example.org", PASSWORD),
        ("no address", PASSWORD),
        ("ada@example.org", ""),
    ];
    for (email, password) in tries {
        let error = world
            .accounts
            .log_in(email, password.to_owned(), None)
            .await
            .unwrap_err();
        let seen = (error.kind(), error.code(), error.detail(), error.fields());
        let expected = AccountError::BadCredentials;
        let told = (
            expected.kind(),
            expected.code(),
            expected.detail(),
            Vec::new(),
        );
        assert_eq!(seen, told, "{email}");
    }
}

#[tokio::test]
async fn an_inactive_account_cannot_log_in() {
    let world = World::new();
    let user = User {
        is_active: false,
        ..a_user()
    };
    let hash = world
        .hasher
        .hash(&Password::attempt(PASSWORD.to_owned()))
        .await
        .unwrap();
    let mut work = world.store.begin(user.id).await.unwrap();
    work.users().add(&user, Some(&hash)).await.unwrap();
    work.commit().await.unwrap();

    let refused = world
        .accounts
        .log_in(user.email.as_str(), PASSWORD.to_owned(), None)
        .await;
    assert!(matches!(refused, Err(AccountError::BadCredentials)));
}

#[tokio::test]
async fn logging_out_kills_the_token_and_its_refresh_and_no_other_login() {
    let world = World::new();
    let here = sign_up(&world.accounts, "ada@example.org").await.unwrap();
    let there = world
        .accounts
        .log_in("ada@example.org", PASSWORD.to_owned(), None)
        .await
        .unwrap();
    let me = world
        .accounts
        .authenticate(&here.tokens.access)
        .await
        .unwrap();
    world
        .accounts
        .log_out(&me, &here.tokens.access)
        .await
        .unwrap();

    let access = world.accounts.authenticate(&here.tokens.access).await;
    let refresh = world.accounts.refresh(&here.tokens.refresh, None).await;
    assert!(matches!(access, Err(AccountError::BadToken)));
    assert!(matches!(refresh, Err(AccountError::BadToken)));
    assert!(
        world
            .accounts
            .authenticate(&there.tokens.access)
            .await
            .is_ok()
    );
    world
        .accounts
        .log_out(&me, &here.tokens.access)
        .await
        .expect("logging out twice is no error");
}

#[tokio::test]
async fn a_log_in_whose_row_is_gone_is_refused() {
    let world = World::new();
    let mine = sign_up(&world.accounts, "ada@example.org").await.unwrap();
    let tokens = mine.tokens;
    let ever = world.now() + Duration::from_hours(365 * 24);
    let removed = world.rows.remove_ended_logins(ever, 10).await.unwrap();
    assert_eq!(removed, 1);
    let access = world.accounts.authenticate(&tokens.access).await;
    assert!(matches!(access, Err(AccountError::BadToken)));
    let refresh = world.accounts.refresh(&tokens.refresh, None).await;
    assert!(matches!(refresh, Err(AccountError::BadToken)));
}

#[tokio::test]
async fn a_refresh_token_gives_the_next_pair_also_when_its_answer_was_lost() {
    let world = World::new();
    let first = sign_up(&world.accounts, "ada@example.org")
        .await
        .unwrap()
        .tokens;
    let second = world
        .accounts
        .refresh(&first.refresh, None)
        .await
        .unwrap()
        .tokens;
    assert_ne!(first.refresh, second.refresh);
    assert!(world.accounts.authenticate(&second.access).await.is_ok());

    let again = world
        .accounts
        .refresh(&first.refresh, None)
        .await
        .unwrap()
        .tokens;
    assert_eq!(
        again.refresh, second.refresh,
        "the pair in force, not a new one"
    );
    assert!(world.accounts.refresh(&second.refresh, None).await.is_ok());
}

#[tokio::test]
async fn an_old_refresh_token_ends_the_whole_login() {
    let world = World::new();
    let first = sign_up(&world.accounts, "ada@example.org")
        .await
        .unwrap()
        .tokens;
    let second = world
        .accounts
        .refresh(&first.refresh, None)
        .await
        .unwrap()
        .tokens;
    let third = world
        .accounts
        .refresh(&second.refresh, None)
        .await
        .unwrap()
        .tokens;

    assert!(matches!(
        world.accounts.refresh(&first.refresh, None).await,
        Err(AccountError::BadToken)
    ));
    assert!(matches!(
        world.accounts.refresh(&third.refresh, None).await,
        Err(AccountError::BadToken)
    ));
    assert!(matches!(
        world.accounts.authenticate(&third.access).await,
        Err(AccountError::BadToken)
    ));
}

#[tokio::test]
async fn tokens_end_with_time() {
    let world = World::new();
    let tokens = sign_up(&world.accounts, "ada@example.org")
        .await
        .unwrap()
        .tokens;
    world
        .clock
        .advance(tokens.expires_in + Duration::from_mins(1));
    assert!(matches!(
        world.accounts.authenticate(&tokens.access).await,
        Err(AccountError::BadToken)
    ));
    assert!(
        world.accounts.refresh(&tokens.refresh, None).await.is_ok(),
        "the log-in lives on"
    );

    world.clock.advance(Duration::from_hours(31 * 24));
    assert!(matches!(
        world.accounts.refresh(&tokens.refresh, None).await,
        Err(AccountError::BadToken)
    ));
}

fn draft(scopes: &[Scope]) -> ApiKeyDraft {
    ApiKeyDraft {
        name: "export".to_owned(),
        scopes: scopes.to_vec(),
        expires_at: None,
    }
}

#[tokio::test]
async fn an_api_key_may_do_what_its_scopes_say_and_nothing_only_a_person_may() {
    let world = World::new();
    let me = actor(&world, "ada@example.org").await;
    let (key, secret) = world
        .accounts
        .create_api_key(&me, draft(&[Scope::Read]))
        .await
        .unwrap();
    assert!(secret.starts_with(&key.prefix));

    let service = world.accounts.authenticate_key(&secret).await.unwrap();
    assert_eq!(service.user, me.user);
    assert!(service.require(Scope::Read).is_ok());
    assert!(matches!(
        service.require(Scope::Chat),
        Err(AccountError::MissingScope(Scope::Chat))
    ));
    let more = world
        .accounts
        .create_api_key(&service, draft(&[Scope::Chat]))
        .await;
    assert!(matches!(more, Err(AccountError::KeyNotAllowed)));
    assert!(matches!(
        world.accounts.list_api_keys(&service).await,
        Err(AccountError::KeyNotAllowed)
    ));
    assert!(matches!(
        world.accounts.log_out(&service, "").await,
        Err(AccountError::KeyNotAllowed)
    ));
}

#[tokio::test]
async fn an_api_key_ends_when_it_expires() {
    let world = World::new();
    let me = actor(&world, "ada@example.org").await;
    let expires_at = Some(world.now() + Duration::from_mins(10));
    let short = ApiKeyDraft {
        expires_at,
        ..draft(&[Scope::Chat])
    };
    let (_, secret) = world.accounts.create_api_key(&me, short).await.unwrap();
    assert!(world.accounts.authenticate_key(&secret).await.is_ok());
    world.clock.advance(Duration::from_mins(10));
    let late = world.accounts.authenticate_key(&secret).await;
    assert!(matches!(late, Err(AccountError::BadApiKey)));
}

#[tokio::test]
async fn a_revoked_api_key_is_refused_and_stays_visible() {
    let world = World::new();
    let me = actor(&world, "ada@example.org").await;
    let (key, secret) = world
        .accounts
        .create_api_key(&me, draft(&[Scope::Read]))
        .await
        .unwrap();
    world.accounts.revoke_api_key(&me, key.id).await.unwrap();

    let refused = world.accounts.authenticate_key(&secret).await;
    assert!(matches!(refused, Err(AccountError::BadApiKey)));
    let keys = world.accounts.list_api_keys(&me).await.unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0].revoked_at, Some(world.now()));
}

#[tokio::test]
async fn nobody_sees_or_revokes_the_key_of_another() {
    let world = World::new();
    let ada = actor(&world, "ada@example.org").await;
    let bob = actor(&world, "bob@example.org").await;
    let (key, secret) = world
        .accounts
        .create_api_key(&ada, draft(&[Scope::Read]))
        .await
        .unwrap();

    assert!(world.accounts.list_api_keys(&bob).await.unwrap().is_empty());
    for id in [key.id, ApiKeyId::new(fresh_id())] {
        let refused = world.accounts.revoke_api_key(&bob, id).await;
        assert!(matches!(refused, Err(AccountError::ApiKeyNotFound)));
    }
    assert!(world.accounts.authenticate_key(&secret).await.is_ok());
}

#[tokio::test]
async fn an_api_key_draft_is_checked_field_by_field() {
    let world = World::new();
    let me = actor(&world, "ada@example.org").await;
    let bad = ApiKeyDraft {
        name: "  ".to_owned(),
        scopes: Vec::new(),
        expires_at: Some(world.now()),
    };
    let error = world.accounts.create_api_key(&me, bad).await.unwrap_err();
    let fields: Vec<_> = error.fields().iter().map(|field| field.field).collect();
    assert_eq!(fields, ["name", "scopes", "expires_at"]);
    assert!(world.accounts.list_api_keys(&me).await.unwrap().is_empty());
}
