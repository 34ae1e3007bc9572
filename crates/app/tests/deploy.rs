//! The files for containers name settings that exist, and hold no secret.

#![expect(clippy::expect_used, reason = "tests fail by panicking")]

use std::path::Path;

use memorychat::settings::SETTINGS;

fn read(name: &str) -> String {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    std::fs::read_to_string(root.join(name)).expect(name)
}

/// Names in capital letters that begin as settings of ours do.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let ours = ["MEMORYCHAT_", "DATABASE_", "JWT_", "OPENAI_", "LOG_"];
    text.split(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_')
        .filter(move |word| ours.iter().any(|prefix| word.starts_with(prefix)))
}

#[test]
fn every_setting_in_them_exists() {
    for file in [
        "compose.yaml",
        "Dockerfile",
        ".env.example",
        "docs/operations.md",
    ] {
        let text = read(file);
        assert!(names(&text).count() > 1, "{file}");
        for name in names(&text) {
            let known = SETTINGS.iter().any(|setting| setting.name == name);
            assert!(known, "{file} sets {name}");
        }
    }
}

#[test]
fn no_secret_has_a_default() {
    for line in read("compose.yaml").lines() {
        let words = ["PASSWORD: ", "_KEY: ", "_SECRET: ", "REDISCLI_AUTH: "];
        if words.iter().any(|word| line.contains(word)) {
            let optional = line.contains("OPENAI_API_KEY: ${OPENAI_API_KEY:-}");
            assert!(optional || line.contains(":?"), "{line}");
        }
    }
    for line in read(".env.example").lines() {
        assert!(line.is_empty() || line.starts_with('#') || line.ends_with('='));
    }
}
