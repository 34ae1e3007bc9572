//! `kill -9` in the middle of changing the schema, then a start.

use std::process::{Child, Stdio};
use std::time::Duration;

use migrations::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr, Statement,
    TransactionTrait,
};
use tempfile::TempDir;
use testkit::servers::Postgres;

use crate::harness::{Server, command};
use crate::wait::until;

/// One connection; none as long as there is nothing to connect to.
async fn connect(url: &str) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1);
    if url.starts_with("postgres") {
        options.set_schema_search_path("mc");
    }
    Database::connect(options).await
}

/// One number; 0 as long as there is nothing to ask.
async fn number(db: &impl ConnectionTrait, sql: &str) -> i64 {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await.ok().flatten();
    let number = row.and_then(|row| row.try_get_by_index(0).ok());
    number.unwrap_or(0)
}

/// How many changes are recorded.
async fn changes(url: &str) -> i64 {
    let Ok(db) = connect(url).await else {
        return 0;
    };
    let count = number(&db, "select count(*) from seaql_migrations").await;
    let _ = db.close().await;
    count
}

fn migrating(folder: &TempDir, url: &str) -> Child {
    command(folder.path())
        .arg("migrate")
        .env("DATABASE_URL", url)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("memorychat runs")
}

fn kill(mut child: Child) {
    child.kill().expect("killed");
    child.wait().expect("reaped");
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
        let mut child = migrating(&folder, &url);
        while changes(&look).await < at && child.try_wait().expect("state").is_none() {}
        kill(child);
        let made = changes(&look).await;
        starts(&url).await;
        cut_short += i64::from(made < changes(&look).await);
    }
    assert!(cut_short > 0, "none was killed in the middle");
}

#[tokio::test]
async fn killed_in_the_middle_of_a_change_of_postgres_it_makes_that_anew() {
    let Some(server) = Postgres::new() else {
        return;
    };
    let folder = tempfile::tempdir().expect("folder");
    for at in [1, 8, 14] {
        let database = format!("cut_{at}");
        server.run(&format!("create database {database}"));
        let url = server.database_url(&database);
        let db = connect(&url).await.expect("the database");
        let schema = db.execute_unprepared("create schema mc").await;
        schema.expect("a schema");
        Migrator::up(&db, Some(at)).await.expect("changed");
        // The next is made, but not recorded: that waits until nobody looks at the table any more.
        let other = db.begin().await.expect("begun");
        let hold = "lock table seaql_migrations in share mode";
        other.execute_unprepared(hold).await.expect("held");
        let child = migrating(&folder, &url);
        let waiting = "from pg_locks where not granted";
        let count = format!("select count(*) {waiting}");
        until("it waits", async || number(&other, &count).await == 1).await;
        kill(child);
        // What the server has of it ends too.
        let end = format!("select count(pg_terminate_backend(pid)) {waiting}");
        assert_eq!(number(&other, &end).await, 1);
        other.rollback().await.expect("let go");
        assert_eq!(changes(&url).await, i64::from(at), "it was cut short");
        starts(&url).await;
        assert!(changes(&url).await > i64::from(at), "and done");
    }
}
