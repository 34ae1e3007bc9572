//! Schemes old and new, hostile stored hashes, and the bounds on concurrent work.

use std::sync::mpsc;

use domain::account::PasswordVerdict::{Match, MatchOutdated, NoMatch};
use domain::account::{HashError, Password, PasswordHash, PasswordHasher, PasswordVerdict};
use proptest::prelude::*;

use super::{BadCost, BcryptConfig, BcryptHasher, Scheme, Stored, TAG, decoy};
use crate::secret::SigningSecret;

const SECRET: &str = "kq3V-9sLx0_TzM7bWcJ4hRy8GdNf2PaE";
const CHEAP: BcryptConfig = BcryptConfig {
    cost: 4,
    workers: 1,
    queue: 0,
};

fn hasher(config: BcryptConfig) -> BcryptHasher {
    BcryptHasher::new(&SigningSecret::from_setting(SECRET).unwrap(), config).unwrap()
}

fn scheme(cost: u32) -> Scheme {
    hasher(BcryptConfig { cost, ..CHEAP }).scheme
}

fn password(text: &str) -> Password {
    Password::choose(text.to_owned()).unwrap()
}

fn verdict(text: &str, hash: &str) -> PasswordVerdict {
    scheme(4)
        .verify(&password(text), Some(&PasswordHash(hash.to_owned())))
        .unwrap()
}

/// Does the hash of one password verify another?
fn alike(chosen: &str, tried: &str) -> bool {
    let hash = scheme(4).hash(&password(chosen)).unwrap();
    scheme(4).verify(&password(tried), Some(&hash)).unwrap() != NoMatch
}

#[test]
fn a_hash_names_its_scheme() {
    let hash = scheme(4).hash(&password("correct horse")).unwrap();
    assert!(hash.0.starts_with("$mc1$2b$04$"));
    assert_eq!(verdict("correct horse", &hash.0), Match);
    assert_eq!(verdict("wrong battery", &hash.0), NoMatch);
}

#[test]
fn a_plain_bcrypt_hash_still_counts_and_is_outdated() {
    let plain = bcrypt::hash("correct horse", 4).unwrap();
    assert_eq!(verdict("correct horse", &plain), MatchOutdated);
    assert_eq!(verdict("correct hors", &plain), NoMatch);
}

#[test]
fn a_plain_hash_does_not_judge_what_bcrypt_would_cut_off() {
    let full = "x".repeat(72);
    let plain = bcrypt::hash(&full, 4).unwrap();
    assert_eq!(verdict(&full, &plain), MatchOutdated);
    assert_eq!(verdict(&format!("{full}y"), &plain), NoMatch);
}

#[test]
fn a_lower_cost_is_outdated_and_a_higher_is_not() {
    let old = scheme(4).hash(&password("correct horse")).unwrap();
    let new = scheme(5).hash(&password("correct horse")).unwrap();
    let check = |cost, hash| {
        scheme(cost)
            .verify(&password("correct horse"), Some(hash))
            .unwrap()
    };
    assert_eq!(check(5, &old), MatchOutdated);
    assert_eq!(check(5, &new), Match);
    assert_eq!(check(4, &new), Match);
}

#[test]
fn a_hash_is_worthless_without_the_pepper() {
    let hash = scheme(4).hash(&password("correct horse")).unwrap();
    let other = SigningSecret::from_setting("Zb8-uN1qKf5_xWm3RtYc6HvLd0JsGp7A").unwrap();
    let other = BcryptHasher::new(&other, CHEAP).unwrap().scheme;
    assert_eq!(
        other
            .verify(&password("correct horse"), Some(&hash))
            .unwrap(),
        NoMatch
    );
    assert!(!bcrypt::verify("correct horse", hash.0.strip_prefix(TAG).unwrap()).unwrap());
}

#[test]
fn a_hash_of_one_scheme_does_not_pass_for_the_other() {
    let plain = bcrypt::hash("correct horse", 4).unwrap();
    assert_eq!(verdict("correct horse", &format!("{TAG}{plain}")), NoMatch);
    let hash = scheme(4).hash(&password("correct horse")).unwrap();
    assert_eq!(
        verdict("correct horse", hash.0.strip_prefix(TAG).unwrap()),
        NoMatch
    );
}

#[test]
fn passwords_that_differ_late_are_different() {
    for length in [70, 71, 72, 73, 200, 1000] {
        let chosen = "a".repeat(length);
        assert!(alike(&chosen, &chosen), "{length}");
        assert!(!alike(&chosen, &format!("{chosen}b")), "{length}");
        assert!(
            !alike(&format!("{chosen}c"), &format!("{chosen}b")),
            "{length}"
        );
    }
}

#[test]
fn nul_bytes_and_any_script_count() {
    assert!(alike("with\0nul bytes", "with\0nul bytes"));
    assert!(!alike("with\0nul bytes", "with\0nul bytez"));
    assert!(!alike("\0\0\0\0\0\0\0\0", "\0\0\0\0\0\0\0\0\0"));
    let emoji = "\u{1f9e0}".repeat(64);
    assert!(alike(&emoji, &emoji));
    assert!(!alike(&emoji, &"\u{1f9e0}".repeat(63)));
}

#[test]
fn a_malformed_hash_never_matches() {
    let good = scheme(4).hash(&password("correct horse")).unwrap().0;
    let malformed = [
        String::new(),
        TAG.to_owned(),
        "$mc1$".to_owned(),
        "$mc2$2b$04$".to_owned(),
        good[..good.len() - 1].to_owned(),
        format!("{good} "),
        good.replace("$mc1", "$mc1$mc1"),
        good.replace("$2b$", "$2c$"),
        good.replace("$04$", "$03$"),
        good.replace("$04$", "$17$"),
        good.replace("$04$", "$31$"),
        good.replace("$04$", "$99$"),
        good.replace("$04$", "$-4$"),
        "é".repeat(30),
        "$2b$04$é".to_owned() + &"a".repeat(51),
    ];
    for hash in malformed {
        assert_eq!(verdict("correct horse", &hash), NoMatch, "{hash:?}");
    }
}

#[test]
fn without_a_hash_nothing_matches() {
    assert_eq!(
        scheme(4).verify(&password("correct horse"), None).unwrap(),
        NoMatch
    );
}

#[test]
fn the_hash_of_nobody_is_as_much_work_as_a_real_one() {
    for cost in [4, 9, 12, 16] {
        assert_eq!(
            Stored::parse(&decoy(cost)).map(|stored| stored.cost),
            Some(cost)
        );
    }
}

#[test]
fn a_cost_out_of_range_is_refused() {
    let secret = SigningSecret::from_setting(SECRET).unwrap();
    for cost in [0, 3, 17, 31, u32::MAX] {
        let refused = BcryptHasher::new(&secret, BcryptConfig { cost, ..CHEAP }).err();
        assert_eq!(refused, Some(BadCost(cost)));
    }
}

#[tokio::test]
async fn a_full_queue_is_busy_and_recovers() {
    let hasher = hasher(BcryptConfig {
        cost: 4,
        workers: 1,
        queue: 2,
    });
    let all = hasher.admitted.clone().acquire_many_owned(3).await.unwrap();
    assert!(matches!(
        hasher.hash(&password("correct horse")).await,
        Err(HashError::Busy)
    ));
    drop(all);
    assert!(hasher.hash(&password("correct horse")).await.is_ok());
}

#[tokio::test]
async fn work_beyond_the_workers_waits_in_the_queue() {
    let hasher = hasher(BcryptConfig {
        cost: 4,
        workers: 1,
        queue: 2,
    });
    let chosen = password("correct horse");
    let (a, b, c) = tokio::join!(
        hasher.hash(&chosen),
        hasher.hash(&chosen),
        hasher.hash(&chosen)
    );
    assert_eq!([a.is_ok(), b.is_ok(), c.is_ok()], [true; 3]);
}

#[tokio::test]
async fn a_caller_who_gives_up_does_not_free_the_worker() {
    let hasher = hasher(CHEAP);
    let (release, released) = mpsc::channel::<()>();
    let (finished, done) = tokio::sync::oneshot::channel();
    {
        let mut slow = Box::pin(hasher.run(move || {
            let _ = released.recv();
            let _ = finished.send(());
            Ok(())
        }));
        assert!(is_pending_after_one_poll(&mut slow).await);
    }
    assert!(matches!(
        hasher.hash(&password("correct horse")).await,
        Err(HashError::Busy)
    ));
    release.send(()).unwrap();
    done.await.unwrap();
    let _ = hasher.admitted.clone().acquire_owned().await.unwrap();
    assert!(hasher.hash(&password("correct horse")).await.is_ok());
}

/// Polls once; is it still pending?
async fn is_pending_after_one_poll<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())
    })
    .await
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn only_the_same_password_matches(common in ".{8,40}", left in ".{0,40}", right in ".{0,40}") {
        let (left, right) = (common.clone() + &left, common + &right);
        prop_assert!(alike(&left, &left));
        prop_assert_eq!(alike(&left, &right), left == right);
    }

    #[test]
    fn any_stored_text_is_survived(text in any::<String>(), tail in r"\PC{0,54}", cost in 0..100_u32) {
        prop_assert_eq!(verdict("correct horse", &text), NoMatch);
        prop_assert_eq!(verdict("correct horse", &format!("{TAG}{text}")), NoMatch);
        // Costs above the limit, and low ones that are cheap to compute.
        prop_assume!(!(7..=16).contains(&cost));
        prop_assert_eq!(verdict("correct horse", &format!("$2b${cost:02}${tail}")), NoMatch);
    }
}
