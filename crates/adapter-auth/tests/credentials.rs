//! Refresh tokens and API keys, seen from outside.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail by panicking")]

use adapter_auth::{JwtAuthority, JwtConfig, SigningSecret};
use domain::account::{RefreshClaims, TokenAuthority, TokenError};
use domain::ids::LoginId;
use proptest::prelude::*;
use uuid::Uuid;

fn authority(secret: &str) -> JwtAuthority {
    JwtAuthority::new(
        &SigningSecret::from_setting(secret).unwrap(),
        JwtConfig::default(),
    )
}

fn ours() -> JwtAuthority {
    authority("kq3V-9sLx0_TzM7bWcJ4hRy8GdNf2PaE")
}

fn theirs() -> JwtAuthority {
    authority("Zb8-uN1qKf5_xWm3RtYc6HvLd0JsGp7A")
}

fn claims(login: u128, generation: u32) -> RefreshClaims {
    RefreshClaims {
        login: LoginId::new(Uuid::from_u128(login)),
        generation,
    }
}

fn is_token_text(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// The text with one character changed.
fn changed(text: &str, place: prop::sample::Index, to: char) -> String {
    let place = place.index(text.len());
    text.char_indices()
        .map(|(i, c)| if i == place { to } else { c })
        .collect()
}

#[test]
fn a_refresh_token_fits_one_unbroken_word() {
    let token = ours().refresh(claims(u128::MAX, u32::MAX));
    assert!(token.starts_with("mcr_") && token.len() == 64 && is_token_text(&token));
}

#[test]
fn a_refresh_token_of_another_secret_is_refused() {
    let token = theirs().refresh(claims(1, 1));
    assert_eq!(ours().verify_refresh(&token), Err(TokenError));
}

#[test]
fn a_refresh_token_cut_or_glued_is_refused() {
    let token = ours().refresh(claims(1, 1));
    let bent = [
        String::new(),
        "mcr_".to_owned(),
        token[4..].to_owned(),
        token[..60].to_owned(),
        format!("{token}AAAA"),
        format!("{token}="),
        format!(" {token}"),
        format!("mcr_{token}"),
        token.replace("mcr_", "mck_"),
        "mcr_".repeat(5000),
    ];
    for token in bent {
        assert_eq!(ours().verify_refresh(&token), Err(TokenError), "{token:?}");
    }
}

#[test]
fn an_api_key_shows_its_first_twelve_characters_and_is_found_by_its_hash() {
    let key = ours().mint_api_key().unwrap();
    assert!(key.secret.starts_with("mck_") && key.secret.len() == 52 && is_token_text(&key.secret));
    assert_eq!(key.prefix, key.secret[..12]);
    assert_eq!(ours().api_key_hash(&key.secret), Some(key.hash.clone()));
    assert_eq!(key.hash.len(), 64);
    assert!(key.hash.chars().all(|c| c.is_ascii_hexdigit()));
}

#[test]
fn an_api_key_outlives_the_secret() {
    let key = ours().mint_api_key().unwrap();
    assert_eq!(theirs().api_key_hash(&key.secret), Some(key.hash));
}

#[test]
fn no_two_api_keys_are_alike() {
    let keys: std::collections::HashSet<String> = (0..100)
        .map(|_| ours().mint_api_key().unwrap().hash)
        .collect();
    assert_eq!(keys.len(), 100);
}

#[test]
fn what_has_not_the_form_of_a_key_has_no_hash() {
    let key = ours().mint_api_key().unwrap().secret;
    let bent = [
        String::new(),
        "mck_".to_owned(),
        key[4..].to_owned(),
        key[..48].to_owned(),
        format!("{key}AAAA"),
        format!("{key} "),
        key.replace("mck_", "mcr_"),
        format!("mck_{}", "A".repeat(48)),
        "mck_".repeat(5000),
    ];
    for key in bent {
        assert_eq!(ours().api_key_hash(&key), None, "{key:?}");
    }
}

proptest! {
    #[test]
    fn a_refresh_token_says_what_was_put_in(login: u128, generation: u32) {
        let claims = claims(login, generation);
        let token = ours().refresh(claims);
        prop_assert_eq!(ours().verify_refresh(&token), Ok(claims));
        prop_assert_eq!(ours().refresh(claims), token);
    }

    #[test]
    fn no_changed_character_of_a_refresh_token_goes_unnoticed(place: prop::sample::Index, to: char) {
        let token = ours().refresh(claims(1, 1));
        let changed = changed(&token, place, to);
        prop_assume!(changed != token);
        prop_assert_eq!(ours().verify_refresh(&changed), Err(TokenError));
    }

    #[test]
    fn a_mistyped_api_key_has_no_hash(place: prop::sample::Index, to: char) {
        let key = ours().mint_api_key().unwrap().secret;
        let changed = changed(&key, place, to);
        prop_assume!(changed != key);
        prop_assert_eq!(ours().api_key_hash(&changed), None);
    }

    #[test]
    fn any_text_is_refused_calmly(text in any::<String>()) {
        prop_assert_eq!(ours().verify_refresh(&text), Err(TokenError));
        prop_assert_eq!(ours().verify_refresh(&format!("mcr_{text}")), Err(TokenError));
        prop_assert_eq!(ours().api_key_hash(&format!("mck_{text}")), None);
    }
}
