//! `kill -9` in the middle of changing the schema, then a start.

use std::process::Stdio;
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait, Database, Statement};
use testkit::servers::Postgres;

use crate::harness::{Server, command};

/// How many changes are recorded; 0 as long as there is nothing to ask.
async fn changes(url: &str) -> i64 {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1);
    if url.starts_with("postgres") {
        options.set_schema_search_path("mc");
    }
    let Ok(db) = Database::connect(options).await else {
        return 0;
    };
    let sql = "select count(*) from seaql_migrations";
    let count = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(count).await;
    let count = row
        .ok()
        .flatten()
        .and_then(|row| row.try_get_by_index(0).ok());
    let _ = db.close().await;
    count.unwrap_or(0)
}

/// Changes the schema and is killed when so many changes are made; how many there were in the end.
async fn killed_at(url: &str, look: &str, at: i64) -> i64 {
    let folder = tempfile::tempdir().expect("folder");
    let mut child = command(folder.path())
        .arg("migrate")
        .env("DATABASE_URL", url)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("memorychat runs");
    while changes(look).await < at && child.try_wait().expect("state").is_none() {}
    child.kill().expect("killed");
    child.wait().expect("reaped");
    changes(look).await
}

/// A start goes on where the other was killed.
async fn starts(url: &str) {
    let settings = [
        ("DATABASE_URL", url),
        ("DATABASE_ALLOW_OWNER", "true"),
        ("MEMORYCHAT_MODELS_PULL", "false"),
    ];
    let starting = Server::start_in_folder(&settings);
    let server = tokio::time::timeout(Duration::from_mins(2), starting).await;
    let server = server.expect("it starts");
    let ada = server.sign_up("ada").await;
    ada.session("normal").await;
}

#[tokio::test]
async fn killed_while_it_changes_sqlite_it_goes_on() {
    let folder = tempfile::tempdir().expect("folder");
    let mut cut_short = 0;
    for at in (0..12).step_by(2) {
        let file = folder.path().join(format!("{at}.db"));
        let url = format!("sqlite://{}", file.display());
        let look = format!("{url}?mode=ro");
        let made = killed_at(&url, &look, at).await;
        starts(&url).await;
        cut_short += i64::from(made < changes(&look).await);
    }
    assert!(cut_short > 0, "none was killed in the middle");
}

#[tokio::test]
async fn killed_while_it_changes_postgres_it_goes_on() {
    let Some(server) = Postgres::new() else {
        return;
    };
    let mut cut_short = 0;
    for at in [0, 4, 8] {
        let database = format!("cut_{at}");
        server.run(&format!("create database {database}"));
        let url = server.database_url(&database);
        let made = killed_at(&url, &url, at).await;
        starts(&url).await;
        cut_short += i64::from(made < changes(&url).await);
    }
    assert!(cut_short > 0, "none was killed in the middle");
}
