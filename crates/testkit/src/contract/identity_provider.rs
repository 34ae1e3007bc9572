//! The contract of [`IdentityProvider`], as far as accounts kept here and accounts kept elsewhere
//! behave alike.

use std::any::Any;
use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use domain::account::{
    AccountError, Email, Identity, IdentityProvider, Password, SignUp, SignedIn,
};
use domain::store::Store;

use super::{Case, RACERS, race};
use crate::fakes::FixedClock;
use crate::fixtures::a_user;

/// A provider without any account, and what it stands on.
pub struct IdentityHarness {
    /// The provider.
    pub identity: Arc<dyn IdentityProvider>,
    /// Where the rows of its users are.
    pub store: Arc<dyn Store>,
    /// The time, for the provider and whoever is behind it.
    pub clock: Arc<FixedClock>,
    /// What must live as long as the case.
    pub keep: Box<dyn Any + Send + Sync>,
}

const CASES: &[Case<IdentityHarness>] = cases![
    signing_up_logs_in_and_makes_a_default_profile,
    an_address_is_registered_once,
    parallel_sign_ups_make_one_user,
    a_wrong_password_and_an_unknown_address_are_alike,
    a_token_speaks_for_its_user,
    each_log_in_is_one_of_its_own,
    a_refresh_gives_the_next_pair,
    an_answer_that_was_lost_is_given_again,
    parallel_refreshes_give_one_pair,
    an_old_refresh_token_ends_the_log_in,
    logging_out_ends_both_tokens_and_no_other_log_in,
    a_token_ends_with_time,
    a_token_bears_a_clock_that_is_a_little_slow,
    what_is_no_token_is_refused,
];

/// Checks a provider that makes accounts without confirmation; `fresh` makes one for each case.
pub async fn check<Fut: Future<Output = IdentityHarness>>(fresh: impl Fn() -> Fut) {
    super::run("identity provider", CASES, fresh).await;
}

fn password() -> Password {
    Password::choose("correct horse battery".to_owned()).unwrap()
}

fn done(made: SignUp) -> SignedIn {
    match made {
        SignUp::Done(signed_in) => *signed_in,
        SignUp::ConfirmationSent => panic!("no confirmation was asked for"),
    }
}

impl IdentityHarness {
    async fn sign_up(&self, email: &Email) -> Result<SignedIn, AccountError> {
        let made = self.identity.sign_up(email, &password(), None).await;
        made.map(done)
    }

    async fn someone(&self) -> SignedIn {
        self.sign_up(&a_user().email).await.unwrap()
    }

    async fn log_in(&self, email: &Email) -> SignedIn {
        self.identity
            .log_in(email, &password(), None)
            .await
            .unwrap()
    }

    async fn who(&self, signed_in: &SignedIn) -> Result<Identity, AccountError> {
        self.identity.authenticate(&signed_in.tokens.access).await
    }

    async fn refresh(&self, from: &SignedIn) -> Result<SignedIn, AccountError> {
        self.identity.refresh(&from.tokens.refresh, None).await
    }
}

#[track_caller]
fn assert_bad_token<T>(outcome: Result<T, AccountError>) {
    match outcome {
        Err(AccountError::BadToken) => {}
        Err(other) => panic!("expected a bad token, got: {other}"),
        Ok(_) => panic!("expected a bad token, got no error"),
    }
}

async fn signing_up_logs_in_and_makes_a_default_profile(h: &IdentityHarness) {
    let email = a_user().email;
    let signed_in = h.sign_up(&email).await.unwrap();
    assert_eq!(signed_in.user.email, email);
    assert!(signed_in.user.is_active);
    let mut work = h.store.read(signed_in.user.id).await.unwrap();
    assert_eq!(work.users().find().await.unwrap(), Some(signed_in.user));
    let profiles = work.profiles().list().await.unwrap();
    assert_eq!(profiles.len(), 1);
    assert!(profiles[0].profile.is_default());
}

async fn an_address_is_registered_once(h: &IdentityHarness) {
    let email = a_user().email;
    let first = h.sign_up(&email).await.unwrap();
    let upper: Email = email.as_str().to_uppercase().parse().unwrap();
    for spelling in [&email, &upper] {
        let taken = h.sign_up(spelling).await;
        assert!(matches!(taken, Err(AccountError::EmailTaken)));
        assert_eq!(h.log_in(spelling).await.user, first.user);
    }
}

async fn parallel_sign_ups_make_one_user(h: &IdentityHarness) {
    let email = a_user().email;
    let outcomes = race((0..RACERS).map(|_| {
        let (identity, email) = (Arc::clone(&h.identity), email.clone());
        async move { identity.sign_up(&email, &password(), None).await }
    }))
    .await;
    let mut made = 0;
    for outcome in outcomes {
        match outcome {
            Ok(_) => made += 1,
            Err(error) => assert!(matches!(error, AccountError::EmailTaken), "{error}"),
        }
    }
    assert_eq!(made, 1);
}

async fn a_wrong_password_and_an_unknown_address_are_alike(h: &IdentityHarness) {
    let signed_in = h.someone().await;
    let wrong = Password::attempt("wrong horse battery".to_owned());
    let empty = Password::attempt(String::new());
    for (email, password) in [
        (&signed_in.user.email, &wrong),
        (&signed_in.user.email, &empty),
        (&a_user().email, &wrong),
        (&a_user().email, &password()),
    ] {
        let refused = h.identity.log_in(email, password, None).await;
        assert!(matches!(refused, Err(AccountError::BadCredentials)));
    }
}

async fn a_token_speaks_for_its_user(h: &IdentityHarness) {
    let (ada, bob) = (h.someone().await, h.someone().await);
    assert_eq!(h.who(&ada).await.unwrap().user, ada.user.id);
    assert_eq!(h.who(&bob).await.unwrap().user, bob.user.id);
    assert_ne!(ada.user.id, bob.user.id);
}

async fn each_log_in_is_one_of_its_own(h: &IdentityHarness) {
    let first = h.someone().await;
    let second = h.log_in(&first.user.email).await;
    let (one, two) = (h.who(&first).await.unwrap(), h.who(&second).await.unwrap());
    assert_eq!(one.user, two.user);
    assert_ne!(one.login, two.login);
}

async fn a_refresh_gives_the_next_pair(h: &IdentityHarness) {
    let first = h.someone().await;
    let second = h.refresh(&first).await.unwrap();
    assert_eq!(second.user, first.user);
    assert_ne!(second.tokens.refresh, first.tokens.refresh);
    let (one, two) = (h.who(&first).await.unwrap(), h.who(&second).await.unwrap());
    assert_eq!(one, two, "the same log-in");
}

async fn an_answer_that_was_lost_is_given_again(h: &IdentityHarness) {
    let first = h.someone().await;
    let second = h.refresh(&first).await.unwrap();
    let again = h.refresh(&first).await.unwrap();
    assert_eq!(again.tokens.refresh, second.tokens.refresh);
    assert!(h.refresh(&second).await.is_ok(), "the log-in lives");
}

async fn parallel_refreshes_give_one_pair(h: &IdentityHarness) {
    let first = h.someone().await;
    let outcomes = race((0..RACERS).map(|_| {
        let (identity, token) = (Arc::clone(&h.identity), first.tokens.refresh.clone());
        async move { identity.refresh(&token, None).await }
    }))
    .await;
    let next: HashSet<String> = outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap().tokens.refresh)
        .collect();
    assert_eq!(next.len(), 1);
}

async fn an_old_refresh_token_ends_the_log_in(h: &IdentityHarness) {
    let first = h.someone().await;
    let other = h.log_in(&first.user.email).await;
    let second = h.refresh(&first).await.unwrap();
    let third = h.refresh(&second).await.unwrap();
    for used in [&first, &second, &third] {
        assert_bad_token(h.refresh(used).await);
    }
    assert!(h.refresh(&other).await.is_ok());
}

async fn logging_out_ends_both_tokens_and_no_other_log_in(h: &IdentityHarness) {
    let here = h.someone().await;
    let there = h.log_in(&here.user.email).await;
    let identity = h.who(&here).await.unwrap();
    for _ in 0..2 {
        let ended = h.identity.log_out(&identity, &here.tokens.access).await;
        ended.expect("twice is no error");
    }
    assert_bad_token(h.who(&here).await);
    assert_bad_token(h.refresh(&here).await);
    assert!(h.who(&there).await.is_ok());
    assert!(h.refresh(&there).await.is_ok());
}

async fn a_token_ends_with_time(h: &IdentityHarness) {
    let signed_in = h.someone().await;
    let second = Duration::from_secs(1);
    h.clock
        .advance(signed_in.tokens.expires_in.saturating_sub(second));
    assert!(h.who(&signed_in).await.is_ok());
    h.clock.advance(Duration::from_secs(32));
    assert_bad_token(h.who(&signed_in).await);
    let next = h.refresh(&signed_in).await.unwrap();
    assert!(h.who(&next).await.is_ok());
}

async fn a_token_bears_a_clock_that_is_a_little_slow(h: &IdentityHarness) {
    let signed_in = h.someone().await;
    let now = domain::clock::Clock::now(&*h.clock);
    h.clock.set(now - Duration::from_secs(20));
    assert!(h.who(&signed_in).await.is_ok());
}

async fn what_is_no_token_is_refused(h: &IdentityHarness) {
    let SignedIn { tokens, .. } = h.someone().await;
    let changed = format!("{}x", tokens.access);
    let long = "a".repeat(100_000);
    for text in [
        "", " ", "a", "a.b", "a.b.c", "....", "mck_x", "mcr_x", &long,
    ] {
        assert_bad_token(h.identity.authenticate(text).await);
        assert_bad_token(h.identity.refresh(text, None).await);
    }
    assert_bad_token(h.identity.authenticate(&tokens.refresh).await);
    assert_bad_token(h.identity.authenticate(&changed).await);
    assert_bad_token(h.identity.refresh(&tokens.access, None).await);
}
