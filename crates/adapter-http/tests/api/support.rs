//! A server over fakes, and a client that is logged in.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use adapter_http::{Api, Drain, HttpSettings, TaskSpawner, serve};
use domain::account::{AccountService, LocalIdentity, LocalIdentityConfig};
use domain::chat::{TurnConfig, TurnService};
use domain::clock::{Clock, IdGenerator};
use domain::jobs::WorkSignal;
use domain::memory::{Embedder, Indexer, MemoryService, RecallConfig, Recaller};
use domain::profile::ProfileService;
use domain::session::{EphemeralLimits, RamTranscripts, SessionService};
use domain::store::Store;
use futures::future::BoxFuture;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use testkit::fakes::{
    FakeTokens, FixedClock, HashEmbedder, InMemoryMemoryIndex, InMemoryStore, PlainHasher,
    ScriptedChatModel, SequentialIds,
};
use testkit::faults::FaultyIndex;

/// Runs tasks on the test's own runtime.
struct TestTasks(tokio::runtime::Handle);

impl TaskSpawner for TestTasks {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn(task);
    }
}

/// Nobody works on the jobs in these tests.
struct NoWorker;

impl WorkSignal for NoWorker {
    fn work_added(&self) {}
}

/// A server and the fakes behind it.
pub(crate) struct TestServer {
    address: SocketAddr,
    http: Client,
    /// Announces the end.
    pub(crate) drain: Drain,
    /// The chat model.
    pub(crate) model: Arc<ScriptedChatModel>,
    /// The memory index, which can be made to fail.
    pub(crate) index: Arc<FaultyIndex>,
}

/// A server whose model repeats what it is asked.
pub(crate) fn start() -> TestServer {
    start_with(ScriptedChatModel::echo())
}

/// A server with this model.
pub(crate) fn start_with(model: ScriptedChatModel) -> TestServer {
    start_as(model, |_, _| {})
}

/// A server that differs from the others in its parts or settings.
pub(crate) fn start_as(
    model: ScriptedChatModel,
    change: impl FnOnce(&mut Api, &mut HttpSettings),
) -> TestServer {
    let model = Arc::new(model);
    let index = Arc::new(FaultyIndex::new(Arc::new(InMemoryMemoryIndex::new())));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (mut api, mut settings) = (api(&model, &index), settings());
    change(&mut api, &mut settings);
    let running = serve(listener, api, settings).unwrap();
    tokio::runtime::Handle::current().spawn(running.server);
    TestServer {
        address,
        http: Client::new(),
        drain: running.drain,
        model,
        index,
    }
}

/// What a server is made of, over fresh fakes.
pub(crate) fn parts() -> Api {
    let index = FaultyIndex::new(Arc::new(InMemoryMemoryIndex::new()));
    api(&Arc::new(ScriptedChatModel::echo()), &Arc::new(index))
}

fn settings() -> HttpSettings {
    HttpSettings {
        heartbeat: Duration::from_millis(20),
        rate_limit: None,
        login_limit: 0,
        workers: Some(1),
        ..HttpSettings::default()
    }
}

fn api(model: &Arc<ScriptedChatModel>, index: &Arc<FaultyIndex>) -> Api {
    let rows = InMemoryStore::new();
    let store: Arc<dyn Store> = Arc::new(rows.clone());
    let clock: Arc<dyn Clock> = Arc::new(FixedClock::default());
    let ids: Arc<dyn IdGenerator> = Arc::new(SequentialIds::default());
    let signal: Arc<dyn WorkSignal> = Arc::new(NoWorker);
    let tokens = Arc::new(FakeTokens::default());
    let embedder: Option<Arc<dyn Embedder>> = Some(Arc::new(HashEmbedder::new()));
    let transcripts = Arc::new(RamTranscripts::new(
        clock.clone(),
        EphemeralLimits::default(),
    ));
    let recall = RecallConfig::default();
    let recaller = Recaller::new(store.clone(), index.clone(), embedder.clone(), recall);
    let recaller = Arc::new(recaller);
    let indexer = Arc::new(Indexer::new(store.clone(), index.clone(), embedder));
    let directory = Arc::new(rows.clone());
    let identity = Arc::new(LocalIdentity::new(
        store.clone(),
        directory.clone(),
        Arc::new(PlainHasher::default()),
        tokens.clone(),
        clock.clone(),
        ids.clone(),
        LocalIdentityConfig::default(),
    ));
    Api {
        accounts: AccountService::new(
            identity,
            store.clone(),
            directory,
            tokens,
            clock.clone(),
            ids.clone(),
        ),
        profiles: ProfileService::new(
            store.clone(),
            index.clone(),
            signal.clone(),
            clock.clone(),
            ids.clone(),
        ),
        sessions: SessionService::new(
            store.clone(),
            transcripts.clone(),
            index.clone(),
            signal.clone(),
            clock.clone(),
            ids.clone(),
        ),
        memories: MemoryService::new(
            store.clone(),
            index.clone(),
            indexer,
            recaller.clone(),
            signal.clone(),
            clock.clone(),
            ids.clone(),
        ),
        turns: TurnService::new(
            store,
            transcripts,
            recaller,
            model.clone(),
            signal,
            clock.clone(),
            ids.clone(),
            TurnConfig::default(),
        ),
        probes: Vec::new(),
        tasks: Arc::new(TestTasks(tokio::runtime::Handle::current())),
        queue: Arc::new(rows),
        dropped_log_lines: || 0,
        clock,
        ids,
        limiter: None,
    }
}

impl TestServer {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A request without a credential.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.at_root(method, &format!("/api/v1{path}"))
    }

    /// A request outside the API itself.
    pub(crate) fn at_root(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        self.http.request(method, url)
    }

    /// Signs up; the answer.
    pub(crate) async fn sign_up(&self, email: &str) -> Value {
        let body = json!({"email": email, "password": "correct horse"});
        let request = self.request(Method::POST, "/auth/signup").json(&body);
        body_of(request.send().await.unwrap(), StatusCode::CREATED).await
    }

    /// A user who is logged in.
    pub(crate) async fn user(&self, email: &str) -> User<'_> {
        let token = self.sign_up(email).await["access_token"].clone();
        User {
            server: self,
            token: token.as_str().unwrap().to_owned(),
        }
    }
}

/// A client with a token.
pub(crate) struct User<'a> {
    server: &'a TestServer,
    /// Their access token.
    pub(crate) token: String,
}

impl User<'_> {
    /// A request with the token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.server.request(method, path).bearer_auth(&self.token)
    }

    /// `GET`; the answer, which must be 200.
    pub(crate) async fn get(&self, path: &str) -> Value {
        body_of(self.fetch(path).await, StatusCode::OK).await
    }

    /// `GET`; the response, whatever it is.
    pub(crate) async fn fetch(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// A request with a body; the answer, which must have this status.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        expected: StatusCode,
    ) -> Value {
        let request = self.request(method, path).json(body);
        body_of(request.send().await.unwrap(), expected).await
    }

    /// `POST`; the answer, which must have this status.
    pub(crate) async fn post(&self, path: &str, body: &Value, expected: StatusCode) -> Value {
        self.send(Method::POST, path, body, expected).await
    }

    /// `DELETE`; the answer, which must be 200.
    pub(crate) async fn delete(&self, path: &str) -> Value {
        let request = self.request(Method::DELETE, path);
        body_of(request.send().await.unwrap(), StatusCode::OK).await
    }

    /// A new session in this mode; its id.
    pub(crate) async fn session(&self, mode: &str) -> String {
        let body = json!({"privacy_mode": mode});
        let session = self.post("/sessions", &body, StatusCode::CREATED).await;
        session["id"].as_str().unwrap().to_owned()
    }

    /// The id of the user's default profile.
    pub(crate) async fn default_profile(&self) -> String {
        let profiles = self.get("/memory-profiles").await;
        profiles[0]["id"].as_str().unwrap().to_owned()
    }

    /// Waits until the session has so many messages that are not being written; they.
    pub(crate) async fn settled_messages(&self, session: &str, count: usize) -> Vec<Value> {
        loop {
            let messages = self.get(&format!("/sessions/{session}/messages")).await;
            let messages = messages.as_array().unwrap().clone();
            let settled = messages.iter().all(|m| m["status"] != "streaming");
            if settled && messages.len() == count {
                return messages;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The JSON of a response that must have this status.
pub(crate) async fn body_of(response: Response, expected: StatusCode) -> Value {
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, expected, "{text}");
    serde_json::from_str(&text).unwrap()
}
