//! Forged and bent access tokens. They are signed with the right key wherever the signature is not
//! the point, so that each refusal is that of the flaw at hand.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::account::{AccessClaims, TokenAuthority, TokenError};
use domain::ids::{LoginId, UserId};
use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{JwtAuthority, JwtConfig, LEEWAY_SECONDS, MAX_TOKEN_BYTES, TokenAlgorithm};
use crate::secret::{Purpose, SigningSecret};

const SECRET: &str = "kq3V-9sLx0_TzM7bWcJ4hRy8GdNf2PaE";
const NOW: i64 = 1_800_000_000;
const HEADER: &str = r#"{"typ":"at+jwt","alg":"HS256"}"#;

fn secret() -> SigningSecret {
    SigningSecret::from_setting(SECRET).unwrap()
}

fn authority(algorithm: TokenAlgorithm) -> JwtAuthority {
    JwtAuthority::new(
        &secret(),
        JwtConfig {
            algorithm,
            ..JwtConfig::default()
        },
    )
}

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

fn claims() -> AccessClaims {
    AccessClaims {
        user: UserId::new(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001)),
        login: LoginId::new(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0002)),
        issued_at: at(NOW),
        expires_at: at(NOW + 1800),
    }
}

fn payload() -> Value {
    json!({
        "iss": "memorychat",
        "aud": "memorychat-api",
        "sub": claims().user.to_string(),
        "sid": claims().login.to_string(),
        "iat": NOW,
        "exp": NOW + 1800,
    })
}

fn payload_with(claim: &str, value: Value) -> String {
    let mut payload = payload();
    payload[claim] = value;
    payload.to_string()
}

fn parts(header: &str, payload: &str) -> String {
    format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(payload)
    )
}

/// A token with the right signature over any header and payload.
fn forge(header: &str, payload: &str) -> String {
    let key = secret().derive(Purpose::AccessToken(TokenAlgorithm::Hs256));
    let message = parts(header, payload);
    let tag = Hmac::<Sha256>::new_from_slice(&key)
        .unwrap()
        .chain_update(&message)
        .finalize();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag.into_bytes()))
}

fn verify(token: &str) -> Result<AccessClaims, TokenError> {
    authority(TokenAlgorithm::Hs256).verify_access(token, at(NOW))
}

#[test]
fn the_forge_of_these_tests_makes_tokens_that_pass() {
    assert_eq!(verify(&forge(HEADER, &payload().to_string())), Ok(claims()));
}

#[test]
fn the_wire_format_is_fixed() {
    let token = authority(TokenAlgorithm::Hs256).access(&claims()).unwrap();
    let decoded: Vec<Value> = token
        .split('.')
        .take(2)
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    assert_eq!(
        decoded,
        [json!({"typ": "at+jwt", "alg": "HS256"}), payload()]
    );
}

#[test]
fn each_algorithm_takes_its_own_tokens_and_no_others() {
    use TokenAlgorithm::{Hs256, Hs384, Hs512};
    for issuer in [Hs256, Hs384, Hs512] {
        let token = authority(issuer).access(&claims()).unwrap();
        for checker in [Hs256, Hs384, Hs512] {
            let verdict = authority(checker).verify_access(&token, at(NOW));
            assert_eq!(
                verdict.is_ok(),
                issuer == checker,
                "{issuer:?} checked as {checker:?}"
            );
        }
    }
}

#[test]
fn another_secret_makes_other_tokens() {
    let other = SigningSecret::from_setting("Zb8-uN1qKf5_xWm3RtYc6HvLd0JsGp7A").unwrap();
    let token = JwtAuthority::new(&other, JwtConfig::default())
        .access(&claims())
        .unwrap();
    assert_eq!(verify(&token), Err(TokenError));
}

#[test]
fn every_claim_is_required() {
    for claim in ["iss", "aud", "sub", "sid", "iat", "exp"] {
        let mut payload = payload();
        payload.as_object_mut().unwrap().remove(claim).unwrap();
        assert_eq!(
            verify(&forge(HEADER, &payload.to_string())),
            Err(TokenError),
            "no {claim}"
        );
    }
}

#[test]
fn a_claim_of_a_wrong_type_or_value_is_refused() {
    let strange = [
        json!(null),
        json!(true),
        json!(""),
        json!("someone-else"),
        json!([]),
        json!({}),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(i64::MAX),
        json!([{"deep": [[[]]]}]),
    ];
    for claim in ["iss", "aud", "sub", "sid", "iat", "exp", "nbf"] {
        for value in &strange {
            let token = forge(HEADER, &payload_with(claim, value.clone()));
            assert_eq!(verify(&token), Err(TokenError), "{claim}: {value}");
        }
    }
}

#[test]
fn a_right_value_in_a_wrong_wrapping_is_refused() {
    let user = claims().user.to_string();
    let bent = [
        ("iss", json!(["memorychat"])),
        ("iss", json!("MemoryChat")),
        ("aud", json!(["memorychat-api"])),
        ("aud", json!(["memorychat-api", "other"])),
        ("aud", json!({"memorychat-api": null})),
        ("aud", json!("authenticated")),
        ("sub", json!([user])),
        ("sub", json!(claims().user.as_uuid().as_bytes())),
        ("sub", json!(Uuid::nil())),
        ("sid", json!(Uuid::nil())),
        ("exp", json!((NOW + 1800).to_string())),
        ("exp", json!(1_800_001_800.0)),
        ("exp", json!([NOW + 1800])),
        ("exp", json!(253_402_300_800_i64)),
        ("nbf", json!(NOW.to_string())),
        ("nbf", json!(null)),
        ("iat", json!(NOW.to_string())),
    ];
    for (claim, value) in bent {
        let token = forge(HEADER, &payload_with(claim, value.clone()));
        assert_eq!(verify(&token), Err(TokenError), "{claim}: {value}");
    }
}

#[test]
fn numbers_beyond_any_type_are_refused() {
    for number in [
        "1e400",
        "99999999999999999999999999",
        "-0.0",
        "0x7fffffff",
        "NaN",
        "01",
    ] {
        for claim in ["exp", "iat", "nbf"] {
            let payload = payload_with(claim, json!("HERE")).replace("\"HERE\"", number);
            assert_eq!(
                verify(&forge(HEADER, &payload)),
                Err(TokenError),
                "{claim}: {number}"
            );
        }
    }
}

#[test]
fn a_claim_given_twice_is_refused() {
    for claim in ["iss", "aud", "sub", "sid", "iat", "exp"] {
        let payload = payload();
        let twice =
            payload
                .to_string()
                .replacen('{', &format!("{{\"{claim}\":{},", payload[claim]), 1);
        assert_eq!(
            verify(&forge(HEADER, &twice)),
            Err(TokenError),
            "{claim} twice"
        );
    }
}

#[test]
fn a_payload_that_is_no_object_is_refused() {
    for payload in ["", "null", "[]", "\"memorychat\"", "{", "{}", "\u{feff}{}"] {
        assert_eq!(
            verify(&forge(HEADER, payload)),
            Err(TokenError),
            "{payload:?}"
        );
    }
}

#[test]
fn times_count_with_thirty_seconds_of_leeway_and_no_more() {
    let accepts = |claim: &str, offset: i64| {
        verify(&forge(HEADER, &payload_with(claim, json!(NOW + offset)))).is_ok()
    };
    assert!(accepts("exp", -29));
    assert!(!accepts("exp", -30));
    assert!(accepts("nbf", 30));
    assert!(!accepts("nbf", 31));
}

#[test]
fn a_token_outlives_a_clock_that_is_set_back() {
    let claims = claims();
    let authority = authority(TokenAlgorithm::Hs256);
    let token = authority.access(&claims).unwrap();
    let earlier = claims.issued_at - Duration::hours(1);
    assert_eq!(authority.verify_access(&token, earlier), Ok(claims));
}

#[test]
fn only_the_given_time_counts() {
    let claims = AccessClaims {
        issued_at: at(0),
        expires_at: at(60),
        ..claims()
    };
    let authority = authority(TokenAlgorithm::Hs256);
    let token = authority.access(&claims).unwrap();
    assert_eq!(authority.verify_access(&token, at(10)), Ok(claims));
    assert_eq!(authority.verify_access(&token, at(NOW)), Err(TokenError));
}

#[test]
fn parts_of_a_second_are_cut_off() {
    let precise = AccessClaims {
        issued_at: at(NOW) + Duration::microseconds(999_999),
        ..claims()
    };
    let token = authority(TokenAlgorithm::Hs256).access(&precise).unwrap();
    assert_eq!(verify(&token), Ok(claims()));
}

#[test]
fn a_header_with_anything_else_in_it_is_refused() {
    let headers = [
        r#"{"alg":"HS256"}"#,
        r#"{"typ":"JWT","alg":"HS256"}"#,
        r#"{"typ":"AT+JWT","alg":"HS256"}"#,
        r#"{"typ":null,"alg":"HS256"}"#,
        r#"{"typ":["at+jwt"],"alg":"HS256"}"#,
        r#"{"typ":"at+jwt"}"#,
        r#"{"typ":"at+jwt","alg":"HS256","alg":"HS256"}"#,
        r#"{"typ":"at+jwt","alg":"HS256","kid":"1"}"#,
        r#"{"typ":"at+jwt","alg":"HS256","crit":[]}"#,
        r#"{"typ":"at+jwt","alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"typ":"at+jwt","alg":"HS256","b64":false}"#,
        r#"{"typ":"at+jwt","alg":"HS256","jku":"http://127.0.0.1/keys"}"#,
        r#"{"typ":"at+jwt","alg":"HS256","x5u":"http://127.0.0.1/cert"}"#,
        r#"{"typ":"at+jwt","alg":"HS256","x5c":["AA=="]}"#,
        r#"{"typ":"at+jwt","alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}"#,
        r#"{"typ":"at+jwt","alg":"HS256","zip":"DEF"}"#,
        r#"{"typ":"at+jwt","alg":"HS256","own":1}"#,
    ];
    for header in headers {
        assert_eq!(
            verify(&forge(header, &payload().to_string())),
            Err(TokenError),
            "{header}"
        );
    }
}

#[test]
fn every_algorithm_but_the_set_one_is_refused() {
    let algorithms = [
        "none", "nOnE", "None", "NONE", "", " ", "hs256", "HS256 ", "HS384", "HS512", "RS256",
        "PS256", "ES256", "EdDSA", "HS1",
    ];
    for algorithm in algorithms {
        let header = json!({"typ": "at+jwt", "alg": algorithm}).to_string();
        let signed = forge(&header, &payload().to_string());
        let unsigned = format!("{}.", parts(&header, &payload().to_string()));
        assert_eq!(verify(&signed), Err(TokenError), "{algorithm:?}, signed");
        assert_eq!(
            verify(&unsigned),
            Err(TokenError),
            "{algorithm:?}, unsigned"
        );
    }
}

#[test]
fn another_hash_with_the_same_key_is_refused() {
    let key = secret().derive(Purpose::AccessToken(TokenAlgorithm::Hs256));
    let sign = |algorithm: &str| {
        let header = json!({"typ": "at+jwt", "alg": algorithm}).to_string();
        let message = parts(&header, &payload().to_string());
        let tag = if algorithm == "HS384" {
            let mac = Hmac::<Sha384>::new_from_slice(&key).unwrap();
            URL_SAFE_NO_PAD.encode(mac.chain_update(&message).finalize().into_bytes())
        } else {
            let mac = Hmac::<Sha512>::new_from_slice(&key).unwrap();
            URL_SAFE_NO_PAD.encode(mac.chain_update(&message).finalize().into_bytes())
        };
        format!("{message}.{tag}")
    };
    assert_eq!(verify(&sign("HS384")), Err(TokenError));
    assert_eq!(verify(&sign("HS512")), Err(TokenError));
}

#[test]
fn a_token_cut_or_glued_is_refused() {
    let token = authority(TokenAlgorithm::Hs256).access(&claims()).unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let bent = [
        String::new(),
        "..".to_owned(),
        message.to_owned(),
        format!("{message}."),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{signature}"),
        format!("{token}="),
        format!(" {token}"),
        format!("{token}\n"),
        format!("Bearer {token}"),
        format!("{payload}.{header}.{signature}"),
        format!("{message}.{}", &signature[..signature.len() - 2]),
        format!("{message}.{signature}AA"),
    ];
    for token in bent {
        assert_eq!(verify(&token), Err(TokenError), "{token:?}");
    }
}

#[test]
fn a_token_beyond_the_size_limit_is_refused_unread() {
    let padded = |length: usize| forge(HEADER, &payload_with("own", json!("x".repeat(length))));
    assert_eq!(verify(&padded(5_000)), Ok(claims()));
    let long = padded(6_500);
    assert!(long.len() > MAX_TOKEN_BYTES);
    assert_eq!(verify(&long), Err(TokenError));
}

#[test]
fn times_before_1970_are_not_signed() {
    let early = AccessClaims {
        issued_at: at(-1),
        ..claims()
    };
    assert_eq!(
        authority(TokenAlgorithm::Hs256).access(&early),
        Err(TokenError)
    );
}

#[test]
fn credentials_of_other_kinds_are_no_access_tokens() {
    let authority = authority(TokenAlgorithm::Hs256);
    let refresh = authority.refresh(domain::account::RefreshClaims {
        login: claims().login,
        generation: 1,
    });
    let key = authority.mint_api_key().unwrap().secret;
    let access = authority.access(&claims()).unwrap();
    for other in [&refresh, &key] {
        assert_eq!(authority.verify_access(other, at(NOW)), Err(TokenError));
    }
    for other in [&access, &key] {
        assert_eq!(authority.verify_refresh(other), Err(TokenError));
    }
    for other in [&access, &refresh] {
        assert_eq!(authority.api_key_hash(other), None);
    }
}

proptest! {
    #[test]
    fn no_changed_byte_goes_unnoticed(at_byte: prop::sample::Index, byte: u8) {
        let token = authority(TokenAlgorithm::Hs256).access(&claims()).unwrap();
        let mut bytes = token.clone().into_bytes();
        let place = at_byte.index(bytes.len());
        bytes[place] = byte;
        let changed = String::from_utf8_lossy(&bytes).into_owned();
        prop_assume!(changed != token);
        prop_assert_eq!(verify(&changed), Err(TokenError));
    }

    #[test]
    fn what_passes_holds_every_claim(claim in "(iss|aud|sub|sid|iat|exp|nbf|own)", value in any_json()) {
        let token = forge(HEADER, &payload_with(&claim, value));
        if let Ok(passed) = verify(&token) {
            prop_assert_eq!(passed.user, claims().user);
            prop_assert_eq!(passed.login, claims().login);
            prop_assert!(passed.expires_at > at(NOW - LEEWAY_SECONDS));
        }
    }

    #[test]
    fn any_text_is_refused_calmly(text in any::<String>(), dots in r"[\w.+-]{0,80}\.[\w-]{0,80}\.[\w-]{0,80}") {
        prop_assert_eq!(verify(&text), Err(TokenError));
        prop_assert_eq!(verify(&dots), Err(TokenError));
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (NOW - 100..NOW + 100).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
