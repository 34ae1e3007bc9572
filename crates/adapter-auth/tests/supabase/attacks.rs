//! Forged, bent and misplaced tokens. They are rightly signed wherever the signature is not the point,
//! so that each refusal is that of the flaw at hand.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::account::{AccountError, IdentityProvider};
use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::fixtures::a_user;
use testkit::supabase::keys::{SigningKey, part, unsigned};

use crate::support::{World, access, is_bad_token, password, refresh, world, world_with};

#[tokio::test]
async fn the_forge_of_these_tests_makes_tokens_that_pass() {
    let world = world().await;
    let identity = world.who(&world.token(&world.claims())).await.unwrap();
    assert!(!identity.user.as_uuid().is_nil());
    let mut many = world.claims();
    many["aud"] = json!(["other", "authenticated"]);
    assert!(world.who(&world.token(&many)).await.is_ok());
    let mut rich = world.claims();
    for (claim, value) in [
        ("amr", json!(["password"])),
        ("client_id", json!("x")),
        ("scope", json!("openid")),
        ("aal", json!("aal2")),
        ("app_metadata", json!({"provider": "email"})),
        (
            "user_metadata",
            json!({"role": "service_role", "sub": "me"}),
        ),
        ("phone", json!("")),
    ] {
        rich[claim] = value;
    }
    assert!(world.who(&world.token(&rich)).await.is_ok());
    let mut bare = world.claims();
    bare.as_object_mut().unwrap().remove("email");
    assert!(world.who(&world.token(&bare)).await.is_ok());
}

#[tokio::test]
async fn every_claim_is_required_and_must_be_right() {
    let world = world().await;
    for claim in ["iss", "aud", "sub", "session_id", "role", "iat", "exp"] {
        let mut claims = world.claims();
        claims.as_object_mut().unwrap().remove(claim);
        is_bad_token(world.who(&world.token(&claims)).await, claim);
        claims[claim] = Value::Null;
        is_bad_token(world.who(&world.token(&claims)).await, claim);
    }
    let nil = "00000000-0000-0000-0000-000000000000";
    let other_issuer = format!("{}/", world.upstream.issuer());
    for (claim, value) in [
        ("iss", json!(other_issuer)),
        ("iss", json!("supabase")),
        ("iss", json!("memorychat")),
        ("aud", json!("anon")),
        ("aud", json!([])),
        ("aud", json!(["anon"])),
        ("aud", json!("")),
        ("role", json!("anon")),
        ("role", json!("service_role")),
        ("role", json!("Authenticated")),
        ("sub", json!("")),
        ("sub", json!("ada")),
        ("sub", json!(nil)),
        ("session_id", json!("")),
        ("session_id", json!(nil)),
    ] {
        let mut claims = world.claims();
        claims[claim] = value.clone();
        let what = format!("{claim}: {value}");
        is_bad_token(world.who(&world.token(&claims)).await, &what);
    }
}

#[tokio::test]
async fn claims_of_wrong_types_are_refused_and_never_passed_over() {
    let world = world().await;
    let now = world.claims()["iat"].as_i64().unwrap();
    for (claim, value) in [
        ("exp", json!((now + 60).to_string())),
        ("exp", json!(-1)),
        ("exp", json!(1e300)),
        ("exp", json!(f64::from(u32::MAX) + 0.5)),
        ("exp", json!(u64::MAX)),
        ("exp", json!([now + 60])),
        ("exp", json!(true)),
        ("nbf", json!("soon")),
        ("nbf", json!({})),
        ("nbf", Value::Null),
        ("nbf", json!(u64::MAX)),
        ("iat", json!("now")),
        ("iat", json!(u64::MAX)),
        ("aud", json!({})),
        ("aud", json!({"0": "authenticated"})),
        ("aud", json!([["authenticated"]])),
        ("aud", json!(7)),
        ("sub", json!(7)),
        ("session_id", json!(["x"])),
        ("role", json!(["authenticated"])),
        ("email", json!(7)),
        ("is_anonymous", json!("true")),
        ("is_anonymous", json!(1)),
    ] {
        let mut claims = world.claims();
        claims[claim] = value.clone();
        let what = format!("{claim}: {value}");
        is_bad_token(world.who(&world.token(&claims)).await, &what);
    }
}

#[tokio::test]
async fn a_claim_that_comes_twice_is_refused() {
    let world = world().await;
    let claims = world.claims().to_string();
    let header = world.header().to_string();
    for again in [
        r#""exp": 9999999999"#,
        r#""role": "authenticated""#,
        r#""aud": "authenticated""#,
        r#""sub": "0192f0c1-0000-7000-8000-000000000001""#,
    ] {
        let twice = claims.replacen('{', &format!("{{{again},"), 1);
        let token = world.upstream.forge(&header, &twice);
        is_bad_token(world.who(&token).await, again);
    }
    let twice = header.replacen('{', r#"{"alg":"ES256","#, 1);
    let token = world.upstream.forge(&twice, &claims);
    is_bad_token(world.who(&token).await, "two algorithms");
}

#[tokio::test]
async fn times_have_thirty_seconds_of_leeway_and_no_more() {
    let world = world().await;
    let now = world.claims()["iat"].as_i64().unwrap();
    for (claim, seconds, good) in [
        ("exp", -29, true),
        ("exp", -31, false),
        ("exp", -3600, false),
        ("nbf", 30, true),
        ("nbf", 32, false),
        ("nbf", 3600, false),
        ("iat", 30, true),
        ("iat", 32, false),
    ] {
        let mut claims = world.claims();
        claims[claim] = json!(now + seconds);
        let outcome = world.who(&world.token(&claims)).await;
        assert_eq!(outcome.is_ok(), good, "{claim} {seconds}");
    }
}

/// The token with another algorithm in its header, and this signature.
fn resigned(world: &World, alg: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let mut header = world.header();
    header["alg"] = json!(alg);
    let message = unsigned(&header.to_string(), &world.claims().to_string());
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

#[tokio::test]
async fn only_the_algorithm_of_the_key_is_taken() {
    // With the shared secret set too, each algorithm still has a key of its own.
    let secret = Some("qV7f0sLx-TzM7bWcJ4hRy8GdNf2PaEkq3V");
    for (key, secret) in [
        (SigningKey::es256 as fn() -> SigningKey, None),
        (SigningKey::rs256, None),
        (SigningKey::es256, secret),
        (SigningKey::rs256, secret),
    ] {
        let world = world_with(
            |config| config.key = key(),
            |settings| settings.jwt_secret = secret.map(Into::into),
        )
        .await;
        world.who(&access(&world.visitor())).await.unwrap();
        for alg in [
            "none", "None", "nOnE", "", "es256", "ES384", "PS256", "EdDSA", "RS512", "HS512",
        ] {
            is_bad_token(world.who(&resigned(&world, alg, |_| Vec::new())).await, alg);
        }
        let (jwk, bytes) = world.upstream.public_key();
        // The public key as a secret, in every form that a library might have taken for one.
        let coordinates = jwk["x"].as_str().or(jwk["n"].as_str()).unwrap();
        for secret in [
            bytes.clone(),
            jwk.to_string().into_bytes(),
            coordinates.as_bytes().to_vec(),
            URL_SAFE_NO_PAD.decode(coordinates).unwrap(),
            pem(&bytes),
            Vec::new(),
        ] {
            let forger = SigningKey::hs256(&secret);
            let token = resigned(&world, "HS256", |message| forger.sign(message));
            is_bad_token(world.who(&token).await, "a public key as a secret");
        }
        // Signatures that some verifiers took for good.
        for signature in [vec![0; 64], vec![0; 256], Vec::new(), vec![1]] {
            for alg in ["ES256", "RS256"] {
                let token = resigned(&world, alg, |_| signature.clone());
                is_bad_token(world.who(&token).await, "an empty signature");
            }
        }
    }
}

fn pem(der: &[u8]) -> Vec<u8> {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n").into_bytes()
}

#[tokio::test]
async fn a_key_of_another_kind_does_not_lend_its_id() {
    let world = world().await;
    let stranger = SigningKey::rs256();
    let mut header = world.header();
    header["alg"] = json!("RS256");
    let token = stranger.forge(&header.to_string(), &world.claims().to_string());
    is_bad_token(
        world.who(&token).await,
        "RS256 under the id of an ES256 key",
    );
    let twin = SigningKey::es256();
    let token = twin.forge(&world.header().to_string(), &world.claims().to_string());
    is_bad_token(world.who(&token).await, "another key under the id of ours");
    header["alg"] = json!("ES256");
    header.as_object_mut().unwrap().remove("kid");
    let token = world
        .upstream
        .forge(&header.to_string(), &world.claims().to_string());
    is_bad_token(world.who(&token).await, "no id");
}

#[tokio::test]
async fn keys_and_addresses_in_the_header_are_never_used() {
    let (world, host) = (world().await, world().await);
    world.who(&access(&world.visitor())).await.unwrap();
    let forger = SigningKey::es256();
    let elsewhere = format!("{}/.well-known/jwks.json", host.upstream.issuer());
    for (field, value) in [
        ("jku", json!(elsewhere)),
        ("x5u", json!(elsewhere)),
        ("x5c", json!(["AAAA"])),
        ("jwk", forger.jwk()),
    ] {
        let mut header = forger.header();
        header[field] = value;
        let token = forger.forge(&header.to_string(), &world.claims().to_string());
        is_bad_token(world.who(&token).await, field);
        // Beside the right key they change nothing.
        let mut header = world.header();
        header[field] = json!("nonsense");
        let token = forger.forge(&header.to_string(), &world.claims().to_string());
        is_bad_token(world.who(&token).await, field);
    }
    assert!(host.upstream.calls().is_empty());
    for crit in [json!(["exp"]), json!([]), json!("exp")] {
        let mut header = world.header();
        header["crit"] = crit;
        let header = header.to_string();
        let token = world.upstream.forge(&header, &world.claims().to_string());
        is_bad_token(world.who(&token).await, "crit");
    }
}

#[tokio::test]
async fn no_other_credential_passes_for_a_token() {
    let world = world().await;
    let visitor = world.visitor();
    let now = world.claims()["iat"].as_i64().unwrap();
    let project_key = |role: &str| {
        let claims = json!({"iss": "supabase", "ref": "abc", "role": role, "iat": now, "exp": now + 315_360_000});
        world.token(&claims)
    };
    let mut id_token = world.claims();
    id_token["aud"] = json!("client");
    let mut typed = world.header();
    typed["typ"] = json!("at+jwt");
    for (what, text) in [
        ("the anon key", project_key("anon")),
        ("the service_role key", project_key("service_role")),
        (
            "the publishable key",
            world.upstream.publishable_key().to_owned(),
        ),
        ("the secret key", world.upstream.secret_key().to_owned()),
        ("a refresh token", refresh(&visitor)),
        ("an identity token", world.token(&id_token)),
        (
            "a token of another type",
            world
                .upstream
                .forge(&typed.to_string(), &world.claims().to_string()),
        ),
        ("an API key", format!("mck_{}", "A".repeat(48))),
    ] {
        is_bad_token(world.who(&text).await, what);
    }
    let access = access(&visitor);
    for (what, text) in [
        ("an access token", access.clone()),
        (
            "the publishable key",
            world.upstream.publishable_key().to_owned(),
        ),
    ] {
        is_bad_token(world.identity.refresh(&text, None).await, what);
    }
    // Tokens of this service's own accounts are good, but not under the other issuer's name.
    let email = a_user().email;
    let own = world
        .local
        .sign_up(&email, &password(), None)
        .await
        .unwrap();
    let domain::account::SignUp::Done(own) = own else {
        panic!("no confirmation was asked for");
    };
    assert_eq!(
        world.who(&own.tokens.access).await.unwrap().user,
        own.user.id
    );
    let mut claims = part(&own.tokens.access, 1).unwrap();
    claims["iss"] = json!(world.upstream.issuer());
    let renamed = world
        .upstream
        .forge(&world.header().to_string(), &claims.to_string());
    is_bad_token(world.who(&renamed).await, "own claims under another name");
}

#[tokio::test]
async fn a_token_that_is_too_long_or_cut_is_refused() {
    let world = world().await;
    let mut claims = world.claims();
    claims["user_metadata"] = json!({"note": "x".repeat(9000)});
    is_bad_token(world.who(&world.token(&claims)).await, "9 KB");
    let good = access(&world.visitor());
    for bent in [
        good.replacen('.', "..", 1),
        format!("{good}."),
        format!("{good}.e30"),
        good.rsplit_once('.').unwrap().0.to_owned(),
        format!("{}.", good.rsplit_once('.').unwrap().0),
        good.replace('.', " "),
        format!("{good}="),
    ] {
        is_bad_token(world.who(&bent).await, &bent);
    }
}

#[tokio::test]
async fn an_anonymous_user_is_let_in_only_where_that_is_wanted() {
    let strict = world().await;
    let refused = strict.who(&access(&strict.upstream.anonymous())).await;
    assert!(matches!(refused, Err(AccountError::Anonymous)));
    let open = world_with(|_| {}, |settings| settings.allow_anonymous = true).await;
    assert!(open.who(&access(&open.upstream.anonymous())).await.is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_changed_character_goes_unnoticed(place: prop::sample::Index, to in "[A-Za-z0-9_-]") {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let world = Arc::new(world().await);
            let good = access(&world.visitor());
            let place = place.index(good.len());
            let mut changed = good.clone();
            changed.replace_range(place..=place, &to);
            // The last character of a signature holds bits that mean nothing.
            if changed != good && place + 1 < good.len() {
                assert!(world.who(&changed).await.is_err(), "{place}");
            }
        });
    }

    #[test]
    fn any_header_is_refused_calmly(alg in ".{0,12}", extra in "[a-z]{1,6}", value in ".{0,20}") {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let world = world().await;
            let mut header = json!({"typ": "JWT", "kid": world.upstream.kid()});
            header[&extra] = json!(value);
            header["alg"] = json!(alg);
            let token = SigningKey::es256().forge(&header.to_string(), &world.claims().to_string());
            is_bad_token(world.who(&token).await, &header.to_string());
        });
    }
}
