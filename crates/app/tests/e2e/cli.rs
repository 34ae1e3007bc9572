//! The command line: what it prints, and how it fails.

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use reqwest::StatusCode;

use crate::harness::{Server, command};

/// Runs a command to its end; one that does not end is killed.
pub(crate) fn run(data: &Path, args: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command = command(data);
    command.args(args).envs(settings.iter().copied());
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("memorychat runs");
    let pid = child.id().to_string();
    let (ended, wait) = mpsc::channel();
    let guard = std::thread::spawn(move || {
        if wait.recv_timeout(Duration::from_mins(2)).is_err() {
            let _ = std::process::Command::new("kill")
                .args(["-9", &pid])
                .status();
        }
    });
    let output = child.wait_with_output().expect("output");
    ended.send(()).expect("a guard");
    guard.join().expect("a guard");
    output
}

/// Arguments, settings, and what the one line says.
type Mistake = (
    &'static [&'static str],
    &'static [(&'static str, &'static str)],
    &'static str,
);

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn openapi_prints_the_committed_document() {
    let data = tempfile::tempdir().expect("folder");
    let output = run(data.path(), &["openapi"], &[]);
    assert!(output.status.success());
    let committed = include_str!("../../../../openapi/openapi.json");
    assert_eq!(text(&output.stdout).trim_end(), committed.trim_end());
}

#[test]
fn config_check_prints_the_effective_settings_without_secrets() {
    let data = tempfile::tempdir().expect("folder");
    let output = run(
        data.path(),
        &["config", "check"],
        &[("OPENAI_API_KEY", "sk-hidden"), ("LOG_FORMAT", "json")],
    );
    let shown = text(&output.stdout);
    assert!(
        output.status.success() && shown.contains("LOG_FORMAT") && shown.contains("(environment)"),
        "{shown}"
    );
    assert!(!shown.contains("sk-hidden"), "{shown}");
}

#[test]
fn a_mistake_is_one_plain_line() {
    let bad: &[Mistake] = &[
        (&[], &[("MEMORYCHAT_PORT", "x")], "MEMORYCHAT_PORT"),
        (
            &["serve"],
            &[("JWT_SECRET_KEY", "secret")],
            "JWT_SECRET_KEY",
        ),
        (
            &["serve"],
            &[("DATABASE_URL", "sqlite:///nonexistent/folder/x.db")],
            "DATABASE_URL",
        ),
        (
            &["serve"],
            &[("MEMORYCHAT_DATA_DIR", "/proc/nothing")],
            "MEMORYCHAT_DATA_DIR",
        ),
        (
            &["serve"],
            &[
                ("SUPABASE_URL", "http://abc.supabase.co"),
                ("SUPABASE_KEY", "sb_publishable_x"),
            ],
            "SUPABASE_URL: must begin with https://",
        ),
        (
            &["serve"],
            &[
                ("SUPABASE_URL", "https://abc.supabase.co"),
                ("SUPABASE_KEY", "sb_secret_x"),
            ],
            "SUPABASE_SERVICE_KEY",
        ),
        (&["worker"], &[], "memorychat migrate"),
        (
            &["config", "check", "--config", "missing.toml"],
            &[],
            "missing.toml",
        ),
    ];
    for (args, settings, says) in bad {
        let data = tempfile::tempdir().expect("folder");
        let quiet = [("MEMORYCHAT_MODELS_PULL", "false")];
        let settings: Vec<_> = settings.iter().chain(&quiet).copied().collect();
        let output = run(data.path(), args, &settings);
        let shown = text(&output.stderr);
        assert!(!output.status.success(), "{args:?}");
        assert_eq!(shown.trim_end().lines().count(), 1, "{args:?}: {shown}");
        assert!(
            shown.starts_with("memorychat: ") && shown.contains(says),
            "{args:?}: {shown}"
        );
    }
}

#[tokio::test]
async fn a_taken_port_and_a_served_folder_say_the_way_out() {
    let server = Server::start_in_folder(&[("MEMORYCHAT_MODELS_PULL", "false")]).await;
    let port = server.base.rsplit(':').next().expect("port").to_owned();
    let other = tempfile::tempdir().expect("folder");
    let pull = ("MEMORYCHAT_MODELS_PULL", "false");
    let output = run(
        other.path(),
        &["serve"],
        &[("MEMORYCHAT_PORT", &port), pull],
    );
    assert!(
        text(&output.stderr).contains("MEMORYCHAT_PORT"),
        "{}",
        text(&output.stderr)
    );
    let output = run(server.data.path(), &["serve"], &[pull]);
    assert!(
        text(&output.stderr).contains("another memorychat"),
        "{}",
        text(&output.stderr)
    );
}

#[tokio::test]
async fn doctor_and_reindex_work_on_a_used_folder() {
    let mut server = Server::start(&[]).await;
    let ada = server.sign_up("ada").await;
    let profile = ada.default_profile().await;
    let path = format!("/api/v1/memory-profiles/{profile}/memories");
    let body = serde_json::json!({"content": "I play the violin."});
    ada.post(&path, &body).await.expect(StatusCode::CREATED);
    assert!(server.stop());

    let doctor = run(server.data.path(), &["doctor"], &server.settings());
    let shown = text(&doctor.stdout);
    assert!(doctor.status.success(), "{shown}{}", text(&doctor.stderr));
    for part in [
        "database",
        "memory_index",
        "embedding_model",
        "chat_model",
        "jobs",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let reindex = run(server.data.path(), &["reindex"], &server.settings());
    assert!(
        text(&reindex.stdout).contains("1 memories of 1 profiles"),
        "{}",
        text(&reindex.stdout)
    );
    let list = run(server.data.path(), &["models", "list"], &[]);
    assert!(
        text(&list.stdout).contains("present"),
        "{}",
        text(&list.stdout)
    );
}

#[test]
fn doctor_names_what_is_missing_and_the_way_out() {
    let data = tempfile::tempdir().expect("folder");
    let empty = data.path().join("models");
    assert!(run(data.path(), &["migrate"], &[]).status.success());
    let doctor = run(
        data.path(),
        &["doctor"],
        &[("MEMORYCHAT_MODELS_DIR", empty.to_str().expect("path"))],
    );
    let shown = text(&doctor.stdout);
    assert!(shown.contains("memorychat models pull"), "{shown}");
}
