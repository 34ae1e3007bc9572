//! The contract of [`TokenAuthority`].

use std::future::Future;
use std::sync::Arc;

use domain::account::{AccessClaims, RefreshClaims, TokenAuthority, TokenError};
use domain::ids::{LoginId, UserId};
use time::{Duration, OffsetDateTime, macros::datetime};

use super::Case;
use crate::fixtures::fresh_id;

type Harness = Arc<dyn TokenAuthority>;

const CASES: &[Case<Harness>] = cases![
    an_access_token_says_what_was_signed,
    an_access_token_ends,
    an_access_token_outlives_a_clock_that_is_set_back,
    a_refresh_token_says_what_it_was_made_for,
    equal_claims_make_equal_refresh_tokens,
    one_kind_is_never_taken_for_another,
    a_changed_token_is_refused,
    nonsense_is_refused,
    an_api_key_is_found_by_its_hash,
    no_two_api_keys_are_alike,
    a_changed_api_key_has_another_hash,
    tokens_live_for_a_while,
];

/// Checks an authority; cases may share one.
pub async fn check<Fut: Future<Output = Arc<dyn TokenAuthority>>>(fresh: impl Fn() -> Fut) {
    super::run("token authority", CASES, fresh).await;
}

/// Leeway for clocks that differ.
const LEEWAY: Duration = Duration::seconds(30);
const ISSUED: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);
const EXPIRES: OffsetDateTime = datetime!(2026-01-01 13:00 UTC);

fn some_claims() -> AccessClaims {
    let (user, login) = (UserId::new(fresh_id()), LoginId::new(fresh_id()));
    AccessClaims {
        user,
        login,
        issued_at: ISSUED,
        expires_at: EXPIRES,
    }
}

fn some_refresh() -> RefreshClaims {
    RefreshClaims {
        login: LoginId::new(fresh_id()),
        generation: 7,
    }
}

async fn an_access_token_says_what_was_signed(tokens: &Harness) {
    let claims = some_claims();
    let token = tokens.access(&claims).unwrap();
    for now in [
        ISSUED,
        ISSUED + Duration::minutes(30),
        EXPIRES - Duration::SECOND,
    ] {
        assert_eq!(
            tokens.verify_access(&token, now),
            Ok(claims.clone()),
            "{now}"
        );
    }
}

async fn an_access_token_ends(tokens: &Harness) {
    let token = tokens.access(&some_claims()).unwrap();
    for late in [
        LEEWAY + Duration::SECOND,
        Duration::hours(1),
        Duration::days(9000),
    ] {
        assert_eq!(
            tokens.verify_access(&token, EXPIRES + late),
            Err(TokenError),
            "{late}"
        );
    }
}

async fn an_access_token_outlives_a_clock_that_is_set_back(tokens: &Harness) {
    let token = tokens.access(&some_claims()).unwrap();
    let verified = tokens.verify_access(&token, ISSUED - Duration::hours(1));
    assert_eq!(verified, Ok(some_claims()));
}

async fn a_refresh_token_says_what_it_was_made_for(tokens: &Harness) {
    for generation in [1, 7, u32::MAX] {
        let claims = RefreshClaims {
            generation,
            ..some_refresh()
        };
        assert_eq!(tokens.verify_refresh(&tokens.refresh(claims)), Ok(claims));
    }
}

async fn equal_claims_make_equal_refresh_tokens(tokens: &Harness) {
    let claims = some_refresh();
    let token = tokens.refresh(claims);
    assert_eq!(token, tokens.refresh(claims));
    let next = RefreshClaims {
        generation: 8,
        ..claims
    };
    let other = RefreshClaims {
        generation: 7,
        ..some_refresh()
    };
    assert_ne!(token, tokens.refresh(next));
    assert_ne!(token, tokens.refresh(other));
}

async fn one_kind_is_never_taken_for_another(tokens: &Harness) {
    let access = tokens.access(&some_claims()).unwrap();
    let refresh = tokens.refresh(some_refresh());
    let key = tokens.mint_api_key().unwrap().secret;
    for wrong in [&refresh, &key] {
        assert_eq!(tokens.verify_access(wrong, ISSUED), Err(TokenError));
    }
    for wrong in [&access, &key] {
        assert_eq!(tokens.verify_refresh(wrong), Err(TokenError));
    }
    for wrong in [&access, &refresh] {
        assert_eq!(tokens.api_key_hash(wrong), None);
    }
}

/// Every text that differs from this one in one place: a character, or one more or less at the end.
fn changed(token: &str) -> Vec<String> {
    let characters: Vec<char> = token.chars().collect();
    let flipped = (0..characters.len()).map(|n| {
        let mut changed = characters.clone();
        changed[n] = if changed[n] == 'A' { 'B' } else { 'A' };
        changed.into_iter().collect()
    });
    let shorter = characters[..characters.len() - 1].iter().collect();
    flipped
        .chain([shorter, format!("{token}A"), format!("{token} ")])
        .collect()
}

async fn a_changed_token_is_refused(tokens: &Harness) {
    for wrong in changed(&tokens.access(&some_claims()).unwrap()) {
        assert_eq!(tokens.verify_access(&wrong, ISSUED), Err(TokenError));
    }
    for wrong in changed(&tokens.refresh(some_refresh())) {
        assert_eq!(tokens.verify_refresh(&wrong), Err(TokenError));
    }
}

async fn nonsense_is_refused(tokens: &Harness) {
    let long = "A".repeat(100_000);
    let unsigned = "eyJhbGciOiJub25lIn0.e30.";
    for wrong in ["", " ", ".", "..", "a.b.c", "😀", "a\0b", unsigned, &long] {
        assert_eq!(tokens.verify_access(wrong, ISSUED), Err(TokenError));
        assert_eq!(tokens.verify_refresh(wrong), Err(TokenError));
        assert_eq!(tokens.api_key_hash(wrong), None);
    }
}

async fn an_api_key_is_found_by_its_hash(tokens: &Harness) {
    let key = tokens.mint_api_key().unwrap();
    assert_eq!(tokens.api_key_hash(&key.secret), Some(key.hash.clone()));
    assert!(key.secret.starts_with(&key.prefix) && !key.prefix.is_empty());
    assert!(
        key.secret.len() >= key.prefix.len() + 30,
        "the prefix gives too much away"
    );
    assert!(!key.hash.contains(&key.secret));
}

async fn no_two_api_keys_are_alike(tokens: &Harness) {
    let (one, two) = (
        tokens.mint_api_key().unwrap(),
        tokens.mint_api_key().unwrap(),
    );
    assert!(one.secret != two.secret && one.hash != two.hash);
}

async fn a_changed_api_key_has_another_hash(tokens: &Harness) {
    let key = tokens.mint_api_key().unwrap();
    for wrong in changed(&key.secret) {
        assert_ne!(tokens.api_key_hash(&wrong), Some(key.hash.clone()));
    }
}

async fn tokens_live_for_a_while(tokens: &Harness) {
    assert!(tokens.access_lifetime() >= std::time::Duration::from_mins(1));
}
