//! The stand-in for Supabase Auth, driven by the client that real web applications use: so it cannot
//! drift from what that client expects.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use testkit::supabase::{Config, Supabase, WallClock};

const FILES: [&str; 4] = ["package.json", "package-lock.json", ".npmrc", "drive.mjs"];

fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    let asked = command.arg("--version").stdout(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

/// Node and its package manager; a gate must not skip silently.
fn has_node() -> bool {
    let found = is_there("node") && is_there("npm");
    let must = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(
        found || !must,
        "node and npm are needed: install nodejs and npm"
    );
    if !found {
        println!("left out: no node and npm on this machine; install nodejs and npm");
    }
    found
}

/// The script with its packages, in the target folder.
fn install() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("auth_js");
    std::fs::create_dir_all(&folder).unwrap();
    for file in FILES {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/auth_js");
        std::fs::copy(from.join(file), folder.join(file)).unwrap();
    }
    let mut npm = Command::new("npm");
    let installed = npm.args(["ci", "--no-progress"]).current_dir(&folder);
    succeeded("npm ci", &installed.output().unwrap());
    folder
}

fn succeeded(what: &str, output: &Output) -> String {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{what} failed:\n{out}{err}");
    out.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_client_finds_what_it_expects() {
    if !has_node() {
        return;
    }
    let folder = tokio::task::spawn_blocking(install).await.unwrap();
    let open = Supabase::start(Config::new(Arc::new(WallClock))).await;
    let confirming = Supabase::start(Config {
        confirm_email: true,
        ..Config::new(Arc::new(WallClock))
    })
    .await;
    let mut node = Command::new("node");
    node.arg("drive.mjs").current_dir(folder).args([
        open.url(),
        confirming.url(),
        open.publishable_key(),
        open.secret_key(),
    ]);
    let driven = tokio::task::spawn_blocking(move || node.output().unwrap());
    let held = succeeded("drive.mjs", &driven.await.unwrap());
    println!("{held}");
    assert_eq!(held.lines().count(), 16, "{held}");
}
