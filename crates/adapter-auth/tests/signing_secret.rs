//! Where the signing secret comes from, and what is refused as one.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of tests fail by panicking"
)]

use std::fs;
use std::path::Path;

use adapter_auth::{JwtAuthority, JwtConfig, SecretError, SigningSecret, Weakness};
use domain::account::{RefreshClaims, TokenAuthority};
use domain::ids::LoginId;
use uuid::Uuid;

const GOOD: &str = "kq3V-9sLx0_TzM7bWcJ4hRy8GdNf2PaE";

/// Two secrets are the same when they make the same token.
fn mark(secret: &SigningSecret) -> String {
    let claims = RefreshClaims {
        login: LoginId::new(Uuid::from_u128(7)),
        generation: 1,
    };
    JwtAuthority::new(secret, JwtConfig::default()).refresh(claims)
}

fn weakness(text: &str) -> Option<Weakness> {
    match SigningSecret::from_setting(text) {
        Ok(_) => None,
        Err(SecretError::Setting(weakness)) => Some(weakness),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_random_text_is_a_secret() {
    let good = [
        GOOD,
        "3f9ac01b7de5428c96e04b7af1d2835c",
        "qWw0p8Jr4mZ+Xc1/Ls7vTyUeHk2DgNb5oRa6MfPiQ9tE3xKhSjVlBzCnOuGwYd0=",
    ];
    for text in good {
        assert_eq!(weakness(text), None, "{text}");
    }
}

#[test]
fn space_around_a_secret_does_not_count() {
    let spaced = SigningSecret::from_setting(&format!(" {GOOD}\n")).unwrap();
    assert_eq!(
        mark(&spaced),
        mark(&SigningSecret::from_setting(GOOD).unwrap())
    );
}

#[test]
fn a_short_secret_is_refused() {
    let padded = format!("{}{}", &GOOD[1..], " ".repeat(20));
    for text in ["", " ", "secret", "changeme", &GOOD[1..], &padded] {
        assert_eq!(weakness(text), Some(Weakness::Short), "{text:?}");
    }
}

#[test]
fn a_sample_value_is_refused() {
    let samples = [
        "super-secret-jwt-token-with-at-least-32-characters-long",
        "your-super-secret-jwt-token-with-at-least-32-characters-long",
        "your-secret-key-change-in-production",
        "a-string-secret-at-least-256-bits-long",
        "Change_Me_Change_Me_Change_Me_Change_Me",
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
        "replace-this-with-something-random-and-long",
        "insecure-development-key-0123456789-abcdef",
        "PasswordPasswordPassword-Password",
        "0123456789abcdef0123456789abcdef",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "abababababababababababababababababab",
        "0110100110010110100101100110100110",
        "kq3V-9sLx0_TkVkq3V-9sLx0_TkVkq3V-9s",
    ];
    for text in samples {
        assert_eq!(weakness(text), Some(Weakness::Sample), "{text}");
    }
}

#[test]
fn a_refusal_is_one_line_without_the_secret() {
    let text = "your-super-secret-jwt-token-with-at-least-32-characters-long";
    let line = SigningSecret::from_setting(text).unwrap_err().to_string();
    assert_eq!(line.lines().count(), 1);
    assert!(!line.contains("jwt-token"), "{line}");
}

#[test]
fn a_secret_does_not_print_itself() {
    let printed = format!("{:?}", SigningSecret::from_setting(GOOD).unwrap());
    assert_eq!(printed, "SigningSecret(..)");
}

#[test]
fn the_first_start_makes_a_key_that_later_starts_find() {
    let dir = tempfile::tempdir().unwrap();
    let first = SigningSecret::load_or_create(dir.path()).unwrap();
    let again = SigningSecret::load_or_create(dir.path()).unwrap();
    assert_eq!(mark(&first), mark(&again));
    assert_eq!(names(dir.path()), ["signing.key"]);
    assert!(
        fs::read_to_string(dir.path().join("signing.key"))
            .unwrap()
            .trim()
            .len()
            >= 64
    );

    let elsewhere = tempfile::tempdir().unwrap();
    assert_ne!(
        mark(&first),
        mark(&SigningSecret::load_or_create(elsewhere.path()).unwrap())
    );
}

#[test]
fn many_first_starts_at_once_end_with_one_key() {
    let dir = tempfile::tempdir().unwrap();
    let start = std::sync::Barrier::new(16);
    let marks: Vec<String> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    mark(&SigningSecret::load_or_create(dir.path()).unwrap())
                })
            })
            .collect();
        starts
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(marks.iter().all(|mark| *mark == marks[0]));
    assert_eq!(names(dir.path()), ["signing.key"]);
}

#[test]
fn a_weak_key_file_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    drop(SigningSecret::load_or_create(dir.path()).unwrap());
    let path = dir.path().join("signing.key");
    for text in [
        "",
        "cut off",
        "your-super-secret-jwt-token-with-at-least-32-characters-long",
    ] {
        fs::write(&path, text).unwrap();
        let error = SigningSecret::load_or_create(dir.path()).unwrap_err();
        assert!(matches!(error, SecretError::File { .. }), "{error}");
        assert!(error.to_string().contains("signing.key"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn a_missing_folder_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let error = SigningSecret::load_or_create(&dir.path().join("absent")).unwrap_err();
    assert!(matches!(error, SecretError::Io { .. }), "{error}");
}

#[cfg(unix)]
mod modes {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_key_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        drop(SigningSecret::load_or_create(dir.path()).unwrap());
        assert_eq!(mode(&dir.path().join("signing.key")), 0o600);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        drop(SigningSecret::load_or_create(dir.path()).unwrap());
        let path = dir.path().join("signing.key");
        for open in [0o644, 0o640, 0o604, 0o620, 0o601] {
            fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
            let error = SigningSecret::load_or_create(dir.path()).unwrap_err();
            assert!(
                matches!(error, SecretError::ReadableByOthers { .. }),
                "{open:o}: {error}"
            );
            assert!(error.to_string().contains("chmod 600 "), "{error}");
        }
        for private in [0o600, 0o400] {
            fs::set_permissions(&path, fs::Permissions::from_mode(private)).unwrap();
            assert!(
                SigningSecret::load_or_create(dir.path()).is_ok(),
                "{private:o}"
            );
        }
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
