//! Several processes on one Postgres, one Qdrant and one Redis, as behind a load balancer.

mod accounts;
mod drain;
mod jobs;
mod proxy;
mod turns;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement,
};
use tempfile::TempDir;
use testkit::qdrant_server::QdrantServer;
use testkit::redis_server::Redis;
use testkit::servers::Postgres;

use crate::harness::{Caller, Server, command, signal};
use crate::model_server::ModelServer;
use crate::wait::ends_well;

/// What all replicas of a test share. Nothing else tells two of them that they belong together.
struct Installation {
    model: ModelServer,
    postgres: Postgres,
    redis: Redis,
    _qdrant: QdrantServer,
    settings: Vec<(String, String)>,
}

/// What a process needs to use the tests' Postgres: its owner is let in, so that it finds an empty
/// database in order.
fn database_environment(postgres: &Postgres) -> Vec<(&'static str, String)> {
    vec![
        ("DATABASE_URL", postgres.url().to_owned()),
        ("DATABASE_ALLOW_OWNER", "true".to_owned()),
    ]
}

impl Installation {
    /// An empty database and an empty Redis; `None` where this machine has no server for them.
    async fn start() -> Option<Self> {
        let (postgres, redis) = (Postgres::start()?, Redis::start()?);
        let (model, qdrant) = (ModelServer::start().await, QdrantServer::start());
        let mut settings = database_environment(&postgres);
        settings.extend([
            ("REDIS_URL", redis.url()),
            ("QDRANT_URL", qdrant.url()),
            ("OPENAI_BASE_URL", model.base.clone()),
            ("OPENAI_MODEL", "stand-in".to_owned()),
            ("OPENAI_EMBEDDING_MODEL", "stand-in".to_owned()),
            (
                "JWT_SECRET_KEY",
                "one-key-of-all-replicas-4hT9xQ2m".to_owned(),
            ),
            (
                "MEMORYCHAT_PASSWORD_KEY",
                "another-key-of-all-replicas-8Kp3".to_owned(),
            ),
        ]);
        let settings = settings
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Some(Self {
            model,
            postgres,
            redis,
            _qdrant: qdrant,
            settings,
        })
    }

    /// One more replica, with settings of its own.
    async fn replica(&self, own: &[(&str, &str)]) -> Server {
        Server::start(&self.with(own)).await
    }

    /// Two replicas that start at once: on an empty database one makes the schema, the other waits.
    async fn pair(&self, own: &[(&str, &str)]) -> (Server, Server) {
        tokio::join!(self.replica(own), self.replica(own))
    }

    /// A process that works on jobs and serves nobody.
    fn worker(&self) -> Worker {
        self.worker_with(&[])
    }

    /// The same with settings of its own.
    fn worker_with(&self, own: &[(&str, &str)]) -> Worker {
        let data = tempfile::tempdir().expect("data folder");
        let mut command = command(data.path());
        command
            .arg("worker")
            .envs(self.with(&[("MEMORYCHAT_WORKERS", "1")]))
            .envs(own.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().expect("a worker");
        Worker { child, _data: data }
    }

    fn with<'a>(&'a self, own: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let shared = self.settings.iter();
        let shared = shared.map(|(name, value)| (name.as_str(), value.as_str()));
        shared.chain(own.iter().copied()).collect()
    }

    async fn database(&self) -> DatabaseConnection {
        let mut options = ConnectOptions::new(self.postgres.url());
        options.set_schema_search_path("mc");
        Database::connect(options).await.expect("the database")
    }

    /// One number out of the database.
    async fn count(&self, sql: &str) -> i64 {
        let statement = Statement::from_string(DbBackend::Postgres, sql);
        let row = self.database().await.query_one_raw(statement).await;
        let row = row.expect("an answer").expect("a row");
        row.try_get_by_index(0).expect("a number")
    }

    /// Changes something behind the program's back.
    async fn execute(&self, sql: &str) {
        let db = self.database().await;
        db.execute_unprepared(sql).await.expect("done");
    }

    /// Lets the time of every lease and of every wait for another try be over.
    async fn let_jobs_be_due(&self) {
        self.execute("update outbox set available_at = 0 where available_at > 0")
            .await;
        self.execute("update outbox set locked_until = 0 where locked_until is not null")
            .await;
    }

    /// Waits until a count is what it should be.
    async fn wait_for_count(&self, sql: &str, expected: i64) {
        let mut count = self.count(sql).await;
        for _ in 0..600 {
            if count == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            count = self.count(sql).await;
        }
        panic!("{sql}: {count}, not {expected}");
    }
}

/// A `memorychat worker`.
struct Worker {
    child: Child,
    _data: TempDir,
}

impl Worker {
    /// Asks it to stop (SIGTERM).
    fn terminate(&self) {
        signal(&self.child, "-TERM");
    }

    /// Is the process alive?
    fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("state").is_none()
    }

    /// Waits for its end; tells whether it ended well.
    fn wait(&mut self) -> bool {
        ends_well(&mut self.child)
    }

    /// `kill -9`, at once.
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a command prints, both ways, and how it ended. Whoever stands in for the model goes on.
async fn output(mut command: Command) -> (bool, String) {
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.expect("joined").expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// The same caller, at another replica.
fn at(caller: &Caller, server: &Server) -> Caller {
    Caller {
        base: server.base.clone(),
        ..caller.clone()
    }
}

/// The number behind a name in `/metrics`.
async fn metric(caller: &Caller, name: &str) -> u64 {
    let text = caller.get("/metrics").await.text;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let number = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    number.parse().expect("a number")
}
