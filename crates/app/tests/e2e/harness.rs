//! The real program as a child process, and somebody who calls it.
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::qdrant_server::QdrantServer;
use testkit::servers::Postgres;

use crate::model_server::ModelServer;
use crate::wait::ends_well;

/// A running `memorychat` with a data folder of its own.
pub(crate) struct Server {
    child: Child,
    pub(crate) base: String,
    pub(crate) data: TempDir,
    settings: Vec<(String, String)>,
    /// Its database, where the tests run on Postgres.
    pub(crate) postgres: Option<Arc<Postgres>>,
    /// Its index, where the tests run over Qdrant's protocol.
    pub(crate) qdrant: Option<QdrantServer>,
}

fn owned(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    settings.iter().map(pair).collect()
}

/// A Postgres of the server's own, when `MEMORYCHAT_TEST_DATABASE` is `postgres`, with its schema made by
/// its owner; the server logs in as the role that owns nothing.
fn postgres(data: &Path, settings: &[(&str, &str)]) -> Option<(Arc<Postgres>, (String, String))> {
    if settings.iter().any(|(name, _)| *name == "DATABASE_URL") {
        return None;
    }
    let wanted =
        std::env::var_os("MEMORYCHAT_TEST_DATABASE").is_some_and(|kind| kind == "postgres");
    let postgres = wanted.then(Postgres::new).flatten()?;
    let migrated = command(data)
        .args(["migrate"])
        .env("DATABASE_URL", postgres.url())
        .output()
        .expect("memorychat runs");
    assert!(migrated.status.success(), "{migrated:?}");
    let url = postgres.url().replace("postgres@", "mc_login@");
    Some((Arc::new(postgres), ("DATABASE_URL".to_owned(), url)))
}

/// A Qdrant server of its own, when `MEMORYCHAT_TEST_INDEX` is `qdrant`: the stand-in of `testkit`. With
/// `embedded-qdrant`, Qdrant's engine in the program, which must be built with it.
fn qdrant(settings: &[(&str, &str)]) -> Option<(Option<QdrantServer>, (String, String))> {
    if settings.iter().any(|(name, _)| *name == "QDRANT_URL") {
        return None;
    }
    let kind = std::env::var_os("MEMORYCHAT_TEST_INDEX")?;
    match kind.to_str()? {
        "qdrant" => {
            let server = QdrantServer::start();
            let url = server.url();
            Some((Some(server), ("QDRANT_URL".to_owned(), url)))
        }
        engine @ "embedded-qdrant" => {
            Some((None, ("MEMORYCHAT_INDEX".to_owned(), engine.to_owned())))
        }
        _ => None,
    }
}

impl Server {
    /// Starts with a fresh data folder. Without other settings: no rate limits, local embeddings, chat
    /// by the local model.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().expect("data folder");
        let (postgres, url) = postgres(data.path(), settings).unzip();
        let (qdrant, index) = qdrant(settings).unzip();
        // What the test itself sets comes last, and wins.
        let settings = index.into_iter().chain(owned(settings)).chain(url);
        let mut server = Self::start_in(data, settings.collect(), postgres).await;
        server.qdrant = qdrant.flatten();
        server
    }

    /// The same with everything in the data folder, wherever the other tests have their database.
    pub(crate) async fn start_in_folder(settings: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().expect("data folder");
        Self::start_in(data, owned(settings), None).await
    }

    /// Starts with a model service at this address.
    pub(crate) async fn with_model(model: &ModelServer) -> Self {
        Self::start(&[
            ("OPENAI_BASE_URL", &model.base),
            ("OPENAI_MODEL", "stand-in"),
        ])
        .await
    }

    async fn start_in(
        data: TempDir,
        settings: Vec<(String, String)>,
        postgres: Option<Arc<Postgres>>,
    ) -> Self {
        let mut command = command(data.path());
        command.envs(settings.iter().map(|(n, v)| (n, v)));
        let log = File::options()
            .create(true)
            .append(true)
            .open(data.path().join("../").join(log_name(data.path())));
        command
            .stdout(Stdio::piped())
            .stderr(log.expect("log file"));
        let mut child = command.spawn().expect("memorychat starts");
        let out = child.stdout.take().expect("stdout");
        let listening = tokio::task::spawn_blocking(move || {
            let mut lines = BufReader::new(out).lines().map_while(Result::ok);
            let line = lines.find(|line| line.contains(" listens on "));
            // Keeps the pipe open, so that the program can go on writing.
            std::thread::spawn(move || lines.for_each(drop));
            line
        });
        let line = tokio::time::timeout(Duration::from_mins(5), listening)
            .await
            .expect("started in time");
        let line = line.expect("reader").unwrap_or_else(|| {
            let log = std::fs::read_to_string(data.path().join("../").join(log_name(data.path())));
            panic!("memorychat did not start:\n{}", log.unwrap_or_default())
        });
        let base = line.rsplit(' ').next().expect("address").to_owned();
        Self {
            child,
            base,
            data,
            settings,
            postgres,
            qdrant: None,
        }
    }

    /// What it was started with, beyond what all servers of these tests share.
    pub(crate) fn settings(&self) -> Vec<(&str, &str)> {
        self.settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    /// `kill -9`, at once.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }

    /// Kills it and starts it again on the same data folder.
    pub(crate) async fn restart_after_kill(self) -> Self {
        self.restart_with(&[]).await
    }

    /// The same with some more settings, or others.
    pub(crate) async fn restart_with(mut self, changed: &[(&str, &str)]) -> Self {
        self.kill();
        self.settings.extend(owned(changed));
        let data = std::mem::replace(&mut self.data, tempfile::tempdir().expect("folder"));
        let (settings, postgres) = (self.settings.clone(), self.postgres.clone());
        let qdrant = self.qdrant.take();
        drop(self);
        let mut server = Self::start_in(data, settings, postgres).await;
        server.qdrant = qdrant;
        server
    }

    /// Asks it to stop (SIGTERM) and waits; tells whether it ended well.
    pub(crate) fn stop(&mut self) -> bool {
        self.terminate();
        self.wait()
    }

    /// Asks it to stop (SIGTERM).
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Waits for its end; tells whether it ended well.
    pub(crate) fn wait(&mut self) -> bool {
        ends_well(&mut self.child)
    }

    /// Sends it a signal, such as `-HUP`.
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// How much memory it has, in KiB, where the machine tells.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    /// Is the process alive?
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("state").is_none()
    }

    /// What it logged; the file lies beside the data folder.
    pub(crate) fn log(&self) -> Vec<u8> {
        std::fs::read(self.log_path()).expect("log")
    }

    fn log_path(&self) -> PathBuf {
        self.data
            .path()
            .join("../")
            .join(log_name(self.data.path()))
    }

    /// A caller without a credential.
    pub(crate) fn anonymous(&self) -> Caller {
        Caller {
            base: self.base.clone(),
            token: None,
            client: Client::new(),
        }
    }

    /// A new user.
    pub(crate) async fn sign_up(&self, name: &str) -> Caller {
        let mut caller = self.anonymous();
        let body =
            json!({"email": format!("{name}@example.org"), "password": "correct horse battery"});
        let answer = caller
            .post("/api/v1/auth/signup", &body)
            .await
            .expect(StatusCode::CREATED);
        caller.token = answer["access_token"].as_str().map(str::to_owned);
        caller
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(self.log_path());
    }
}

/// Sends a process a signal, such as `-TERM`.
pub(crate) fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args([name, &pid]).status();
    assert!(sent.expect("kill").success());
}

fn log_name(data: &Path) -> String {
    format!("{}.log", data.file_name().expect("name").to_string_lossy())
}

/// The program with the settings that all tests share.
pub(crate) fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memorychat"));
    for (name, _) in std::env::vars_os() {
        let ours = name.to_string_lossy().into_owned();
        if [
            "MEMORYCHAT_",
            "OPENAI_",
            "JWT_",
            "DATABASE_",
            "REDIS_",
            "SUPABASE_",
            "QDRANT_",
        ]
        .iter()
        .any(|p| ours.starts_with(p))
        {
            command.env_remove(name);
        }
    }
    command
        .current_dir(data)
        .env("MEMORYCHAT_DATA_DIR", data)
        .env(
            "MEMORYCHAT_MODELS_DIR",
            testkit::models_dir::test_models_dir(),
        )
        .env("MEMORYCHAT_PORT", "0")
        .env("RATE_LIMIT_ENABLED", "false");
    command
}

/// Somebody who calls the API.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) base: String,
    pub(crate) token: Option<String>,
    pub(crate) client: Client,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// The body as JSON, after a look at the status.
    #[track_caller]
    pub(crate) fn expect(self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// A look at the status alone.
    #[track_caller]
    pub(crate) fn expect_ok(&self) {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    /// Checks that it is a problem of this status and code.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        let kind = self
            .headers
            .get("content-type")
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default();
        assert!(
            kind.starts_with("application/problem+json"),
            "{kind}: {}",
            self.text
        );
        let body = self.json();
        assert_eq!(body["status"], status, "{body}");
        assert_eq!(body["code"], code, "{body}");
        for field in ["type", "title", "detail", "instance", "request_id"] {
            assert!(body[field].is_string(), "{field} in {body}");
        }
    }
}

impl Caller {
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        Answer {
            status,
            headers,
            text: response.text().await.expect("a body"),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// A message with an idempotency key.
    pub(crate) async fn post_named(&self, path: &str, body: &Value, key: &str) -> Answer {
        let request = self.request(Method::POST, path).json(body);
        self.send(request.header("Idempotency-Key", key)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(body))
            .await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// The id of the default profile.
    pub(crate) async fn default_profile(&self) -> String {
        let profiles = self
            .get("/api/v1/memory-profiles")
            .await
            .expect(StatusCode::OK);
        let default = profiles
            .as_array()
            .expect("array")
            .iter()
            .find(|p| p["is_default"] == true);
        id(default.expect("a default"))
    }

    /// A new session in a mode.
    pub(crate) async fn session(&self, mode: &str) -> String {
        id(&self
            .post("/api/v1/sessions", &json!({"privacy_mode": mode}))
            .await
            .expect(StatusCode::CREATED))
    }

    /// A turn.
    pub(crate) async fn chat(&self, session: &str, message: &str) -> Value {
        let path = format!("/api/v1/chat/{session}");
        self.post(&path, &json!({"message": message}))
            .await
            .expect(StatusCode::OK)
    }

    /// The stored messages of a session, oldest first.
    pub(crate) async fn messages(&self, session: &str) -> Vec<Value> {
        let path = format!("/api/v1/sessions/{session}/messages");
        let messages = self.get(&path).await.expect(StatusCode::OK);
        messages.as_array().expect("array").clone()
    }

    /// The texts of a profile's memories, newest first.
    pub(crate) async fn memories(&self, profile: &str) -> Vec<String> {
        let path = format!("/api/v1/memory-profiles/{profile}/memories");
        let memories = self.get(&path).await.expect(StatusCode::OK);
        let text = |m: &Value| m["memory"].as_str().expect("text").to_owned();
        memories
            .as_array()
            .expect("array")
            .iter()
            .map(text)
            .collect()
    }

    /// Waits until a profile holds this many memories: learning happens in the background.
    pub(crate) async fn wait_for_memories(&self, profile: &str, count: usize) -> Vec<String> {
        for _ in 0..600 {
            let memories = self.memories(profile).await;
            if memories.len() >= count {
                return memories;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!(
            "no {count} memories in time: {:?}",
            self.memories(profile).await
        );
    }
}

/// The `id` of an object.
#[track_caller]
pub(crate) fn id(object: &Value) -> String {
    object["id"]
        .as_str()
        .unwrap_or_else(|| panic!("no id in {object}"))
        .to_owned()
}
