//! The command line: what it prints, and how it fails.

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use reqwest::StatusCode;
use testkit::certificates::Authority;
use testkit::redis_server::Redis;
use testkit::servers::Postgres;

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
    // Qdrant's engine, where it is built in, makes another order of keys.
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    let committed = include_str!("../../../../openapi/openapi.json");
    assert_eq!(json(&text(&output.stdout)), json(committed));
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
        (
            &["serve"],
            &[
                ("SUPABASE_URL", "https://abc.supabase.co"),
                ("SUPABASE_KEY", "sb_publishable_x"),
                ("SUPABASE_ISSUER", "memorychat"),
            ],
            "SUPABASE_ISSUER: must be what",
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

#[test]
fn a_database_that_does_not_prove_itself_is_one_plain_line_without_the_password() {
    // An address that Linux takes to this machine, and the program to be another one.
    let host = "0.0.0.0";
    let authority = Authority::new();
    let Some(server) = Postgres::with_tls(&authority.certify(host)) else {
        return;
    };
    let address = format!(
        "postgres://postgres:s3cret@{host}:{}/postgres",
        server.port()
    );
    let data = tempfile::tempdir().expect("folder");
    for command in ["migrate", "serve", "worker", "doctor"] {
        let output = run(data.path(), &[command], &[("DATABASE_URL", &address)]);
        let shown = text(&output.stderr);
        assert!(!output.status.success(), "{command}");
        assert_eq!(shown.trim_end().lines().count(), 1, "{command}: {shown}");
        assert!(shown.contains("sslrootcert=FILE"), "{command}: {shown}");
        assert!(!shown.contains("s3cret"), "{command}: {shown}");
    }
    let file = data.path().join("authority.pem");
    std::fs::write(&file, authority.pem()).expect("written");
    let trusting = format!("{address}?sslrootcert={}", file.display());
    let output = run(data.path(), &["migrate"], &[("DATABASE_URL", &trusting)]);
    assert!(output.status.success(), "{}", text(&output.stderr));
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

#[test]
fn doctor_says_what_replicas_do_not_share_without_redis() {
    let Some(postgres) = Postgres::new() else {
        return;
    };
    let url = ("DATABASE_URL", postgres.url());
    let owner = ("DATABASE_ALLOW_OWNER", "true");
    let data = tempfile::tempdir().expect("folder");
    let migrated = run(data.path(), &["migrate"], &[url]);
    assert!(migrated.status.success(), "{}", text(&migrated.stderr));
    let line = |doctor: &Output| {
        let shown = text(&doctor.stdout);
        let line = shown.lines().find(|line| line.contains(" redis "));
        line.unwrap_or_else(|| panic!("no line about Redis: {shown}"))
            .to_owned()
    };
    let shown = line(&run(data.path(), &["doctor"], &[url, owner]));
    assert!(shown.contains("incognito needs sticky sessions"), "{shown}");
    let Some(redis) = Redis::start() else { return };
    let with = redis.url();
    let shown = line(&run(
        data.path(),
        &["doctor"],
        &[url, owner, ("REDIS_URL", &with)],
    ));
    assert!(
        shown.contains("shared by all replicas") && !shown.contains("sticky"),
        "{shown}"
    );
    // One server per SQLite file: there is nobody to share with.
    let alone = tempfile::tempdir().expect("folder");
    assert!(run(alone.path(), &["migrate"], &[]).status.success());
    let shown = line(&run(alone.path(), &["doctor"], &[]));
    assert!(!shown.contains("sticky"), "{shown}");
}
