//! The arrows of docs/architecture.md, as the workspace really is.

#![expect(clippy::expect_used, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

fn workspace() -> Vec<Package> {
    let metadata = MetadataCommand::new()
        .no_deps()
        .exec()
        .expect("cargo metadata");
    metadata.packages
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Dependencies of a package that end up in the program.
fn normal(package: &Package) -> BTreeSet<String> {
    package
        .dependencies
        .iter()
        .filter(|d| d.kind == DependencyKind::Normal)
        .map(|d| d.name.clone())
        .collect()
}

#[test]
fn arrows_between_crates_are_the_drawn_ones() {
    let drawn: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("domain", [].as_slice()),
        ("adapter-sql", &["domain"]),
        ("adapter-qdrant", &["domain"]),
        ("adapter-openai", &["domain"]),
        ("adapter-local", &["domain"]),
        ("adapter-auth", &["domain"]),
        ("adapter-http", &["domain"]),
        ("adapter-redis", &["domain"]),
        ("testkit", &["domain"]),
        ("migrations", &[]),
        (
            "app",
            &[
                "adapter-auth",
                "adapter-http",
                "adapter-local",
                "adapter-openai",
                "adapter-qdrant",
                "adapter-redis",
                "adapter-sql",
                "domain",
                "migrations",
            ],
        ),
    ]);
    let packages = workspace();
    let names: BTreeSet<String> = packages.iter().map(|p| p.name.to_string()).collect();
    for package in &packages {
        let name = package.name.to_string();
        if name == "bench" {
            continue; // Nothing depends on it, and it may look at everything.
        }
        let arrows: Vec<String> = normal(package).intersection(&names).cloned().collect();
        let expected = drawn
            .get(name.as_str())
            .unwrap_or_else(|| panic!("{name} is not drawn"));
        assert_eq!(arrows, *expected, "arrows of {name}");
        assert!(
            !arrows.iter().any(|to| to == "bench" || to == "testkit"),
            "{name}"
        );
    }
}

#[test]
fn the_domain_depends_on_a_short_list() {
    let allowed = [
        "async-stream",
        "async-trait",
        "futures",
        "rust-stemmers",
        "thiserror",
        "time",
        "unicode-normalization",
        "uuid",
    ];
    let packages = workspace();
    let domain = packages
        .iter()
        .find(|p| p.name.as_str() == "domain")
        .expect("domain");
    assert_eq!(normal(domain).into_iter().collect::<Vec<_>>(), allowed);
}

#[test]
fn every_dependency_states_its_purpose() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let table = manifest
        .split("[workspace.dependencies]")
        .nth(1)
        .expect("dependency table");
    let table = table.split("\n[").next().expect("its end");
    for line in table
        .lines()
        .filter(|line| line.contains('=') && !line.contains("path ="))
    {
        assert!(line.contains('#'), "no purpose beside: {line}");
    }
}

/// What a link to a heading says after the `#`.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words
        .chars()
        .filter(|c| c.is_alphanumeric() || " -".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn paths_that_the_docs_name_exist() {
    let mut files = vec![root().join("README.md")];
    let docs = std::fs::read_dir(root().join("docs")).expect("docs");
    files.extend(docs.map(|entry| entry.expect("entry").path()));
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a doc");
        for word in text.split(|c: char| c.is_whitespace() || "`()[],;".contains(c)) {
            let word = word.trim_end_matches(['.', ':']);
            let (path, heading) = word.split_once('#').unwrap_or((word, ""));
            let ours = ["crates/", "docs/", "migrations/", "openapi/"]
                .iter()
                .any(|p| path.starts_with(p));
            if ours && !path.contains(['<', '*', '{']) {
                let named = format!("{} names {word}", file.display());
                assert!(root().join(path).exists(), "{named}");
                if !heading.is_empty() {
                    let text = std::fs::read_to_string(root().join(path)).expect("a page");
                    let mut headings = text.lines().filter(|line| line.starts_with('#'));
                    assert!(headings.any(|line| anchor(line) == heading), "{named}");
                }
            }
        }
    }
}

#[test]
fn no_source_file_is_too_long_to_read() {
    let mut long = Vec::new();
    let mut folders = vec![root().join("crates"), root().join("migrations")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let lines = std::fs::read_to_string(&path)
                    .expect("source")
                    .lines()
                    .count();
                if lines > 500 {
                    long.push(format!("{}: {lines}", path.display()));
                }
            }
        }
    }
    assert!(long.is_empty(), "past 500 lines:\n{}", long.join("\n"));
}
