//! The contract of [`PasswordHasher`].

use std::future::Future;
use std::sync::Arc;

use domain::account::{Password, PasswordHash, PasswordHasher, PasswordVerdict};

use super::Case;

type Harness = Arc<dyn PasswordHasher>;

const CASES: &[Case<Harness>] = cases![
    the_right_password_matches,
    a_wrong_password_does_not_match,
    every_byte_of_a_long_password_counts,
    a_nul_byte_ends_nothing,
    any_script_is_a_password,
    two_hashes_of_one_password_differ,
    a_hash_does_not_show_the_password,
    a_malformed_hash_matches_nothing,
    no_hash_matches_nothing,
];

/// Checks a hasher; cases may share one. Give it a low cost, each case hashes a few times.
pub async fn check<Fut: Future<Output = Arc<dyn PasswordHasher>>>(fresh: impl Fn() -> Fut) {
    super::run("password hasher", CASES, fresh).await;
}

async fn hash(hasher: &Harness, text: &str) -> PasswordHash {
    hasher
        .hash(&Password::attempt(text.to_owned()))
        .await
        .unwrap()
}

async fn verify(hasher: &Harness, text: &str, hash: Option<&PasswordHash>) -> PasswordVerdict {
    hasher
        .verify(&Password::attempt(text.to_owned()), hash)
        .await
        .unwrap()
}

/// Every password matches its own hash and no other's.
async fn assert_told_apart(hasher: &Harness, passwords: &[&str]) {
    for chosen in passwords {
        let hash = hash(hasher, chosen).await;
        for tried in passwords {
            let same = tried == chosen;
            let expected = if same {
                PasswordVerdict::Match
            } else {
                PasswordVerdict::NoMatch
            };
            assert_eq!(
                verify(hasher, tried, Some(&hash)).await,
                expected,
                "same: {same}"
            );
        }
    }
}

async fn the_right_password_matches(hasher: &Harness) {
    let hash = hash(hasher, "correct horse").await;
    assert_eq!(
        verify(hasher, "correct horse", Some(&hash)).await,
        PasswordVerdict::Match
    );
}

async fn a_wrong_password_does_not_match(hasher: &Harness) {
    let hash = hash(hasher, "correct horse").await;
    for wrong in [
        "",
        "correct hors",
        "correct horse ",
        "Correct horse",
        "correct horse\0",
    ] {
        assert_eq!(
            verify(hasher, wrong, Some(&hash)).await,
            PasswordVerdict::NoMatch,
            "{wrong:?}"
        );
    }
}

async fn every_byte_of_a_long_password_counts(hasher: &Harness) {
    let stem = "x".repeat(72);
    let long = "y".repeat(Password::MAX_BYTES - 1);
    let passwords = [
        &stem,
        &format!("{stem}a"),
        &format!("{stem}b"),
        &format!("{long}a"),
    ];
    assert_told_apart(hasher, &passwords.map(String::as_str)).await;
    let hash = hash(hasher, &format!("{long}a")).await;
    let other = format!("{long}b");
    assert_eq!(
        verify(hasher, &other, Some(&hash)).await,
        PasswordVerdict::NoMatch
    );
}

async fn a_nul_byte_ends_nothing(hasher: &Harness) {
    assert_told_apart(hasher, &["pass\0word", "pass\0sword", "pass"]).await;
}

async fn any_script_is_a_password(hasher: &Harness) {
    let emoji = "😀".repeat(64);
    let other = format!("{}😁", "😀".repeat(63));
    assert_told_apart(hasher, &[&emoji, &other, "пароль-пароль"]).await;
}

async fn two_hashes_of_one_password_differ(hasher: &Harness) {
    let (one, two) = (
        hash(hasher, "correct horse").await,
        hash(hasher, "correct horse").await,
    );
    assert_ne!(one.0, two.0);
    assert_eq!(
        verify(hasher, "correct horse", Some(&two)).await,
        PasswordVerdict::Match
    );
}

async fn a_hash_does_not_show_the_password(hasher: &Harness) {
    assert!(
        !hash(hasher, "correct horse")
            .await
            .0
            .contains("correct horse")
    );
}

async fn a_malformed_hash_matches_nothing(hasher: &Harness) {
    let whole = hash(hasher, "correct horse").await.0;
    let cut: String = whole.chars().take(whole.chars().count() / 2).collect();
    let long = "$".repeat(10_000);
    for text in [
        "",
        "x",
        "$2b$",
        "$2b$04$short",
        "v1$",
        "correct horse",
        &cut,
        &long,
    ] {
        let hash = PasswordHash(text.to_owned());
        let verdict = verify(hasher, "correct horse", Some(&hash)).await;
        assert_eq!(verdict, PasswordVerdict::NoMatch, "{text:.20}");
    }
}

async fn no_hash_matches_nothing(hasher: &Harness) {
    for text in ["", "correct horse"] {
        assert_eq!(verify(hasher, text, None).await, PasswordVerdict::NoMatch);
    }
}
