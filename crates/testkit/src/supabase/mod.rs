//! A stand-in for Supabase Auth: the same calls, answers, errors and odd habits, on a port of its own,
//! over users in memory. A test of this crate drives it with the real client from npm.
//!
//! What it answers lies in `fixtures/`; its faults are made with [`Supabase::fault`].

mod answers;
mod http;
pub mod keys;
mod routes;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::clock::Clock;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use uuid::Uuid;

use self::http::Answer;
pub use self::http::Call;
use self::keys::SigningKey;
use self::routes::Desk;
pub use self::state::KeyState;
use self::state::State;

/// How a project is set up.
pub struct Config {
    /// The clock of the service.
    pub clock: Arc<dyn Clock>,
    /// Where it answers, below its address; empty for a service without a gateway before it.
    pub path: &'static str,
    /// What tokens say of who made them; `None` for the address of the service.
    pub issuer: Option<&'static str>,
    /// Must an address be confirmed by mail before anybody can log in?
    pub confirm_email: bool,
    /// May anybody make an account?
    pub signup: bool,
    /// How long after its use a refresh token may come again; the platform's default.
    pub reuse_interval: time::Duration,
    /// Life of an access token.
    pub lifetime: Duration,
    /// Sign-ups, log-ins and refreshes per address; `None` for no limit.
    pub attempts: Option<u32>,
    /// The key that clients may know.
    pub publishable_key: String,
    /// The key that servers keep.
    pub secret_key: String,
    /// The key that signs.
    pub key: SigningKey,
}

impl Config {
    /// A project without confirmation and limits, with an ES256 key, on this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            path: "/auth/v1",
            issuer: None,
            confirm_email: false,
            signup: true,
            reuse_interval: time::Duration::ZERO,
            lifetime: Duration::from_hours(1),
            attempts: None,
            publishable_key: "sb_publishable_standin".to_owned(),
            secret_key: "sb_secret_standin".to_owned(),
            key: SigningKey::es256(),
        }
    }
}

/// The time of the machine, for tests whose other side cannot be given a clock.
pub struct WallClock;

impl Clock for WallClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "a real client and a real server read the real clock"
    )]
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The line is cut before anything is done.
    Down,
    /// The answer comes so much later.
    Slow(Duration),
    /// Something in front answers for the service, in HTML.
    BadGateway,
    /// The service itself answers with this code of its list, such as `conflict`.
    Refuses(&'static str),
    /// The answer has no end that anybody wants to see.
    TooLong,
    /// The answer sends the caller to this address.
    SendsTo(&'static str),
    /// The work is done, and the line is cut before the answer.
    CutAfter,
}

struct Shared {
    config: Config,
    issuer: String,
    state: Mutex<State>,
    calls: Mutex<Vec<Call>>,
    faults: Mutex<Vec<(String, Fault)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running stand-in; it ends when dropped.
pub struct Supabase {
    url: String,
    shared: Arc<Shared>,
    server: AbortHandle,
}

impl Drop for Supabase {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Supabase {
    /// Starts with this set-up.
    pub async fn start(mut config: Config) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let key = std::mem::replace(&mut config.key, SigningKey::hs256(b""));
        let state = State {
            keys: vec![(key, KeyState::InUse)],
            ..State::default()
        };
        let shared = Arc::new(Shared {
            issuer: (config.issuer).map_or_else(|| format!("{url}{}", config.path), str::to_owned),
            config,
            state: Mutex::new(state),
            calls: Mutex::default(),
            faults: Mutex::default(),
        });
        let server = Self::accept(listener, Arc::clone(&shared));
        Self {
            url,
            shared,
            server,
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a test server ends with its test"
    )]
    fn accept(listener: TcpListener, shared: Arc<Shared>) -> AbortHandle {
        let accepting = tokio::spawn(async move {
            let mut lines = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                lines.spawn(async move {
                    let _ = http::serve(socket, |call| shared.answer(call)).await;
                });
            }
        });
        accepting.abort_handle()
    }

    /// The address of the project, for `SUPABASE_URL`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What its tokens say of who made them.
    pub fn issuer(&self) -> &str {
        &self.shared.issuer
    }

    /// The key that clients may know.
    pub fn publishable_key(&self) -> &str {
        &self.shared.config.publishable_key
    }

    /// The key that servers keep.
    pub fn secret_key(&self) -> &str {
        &self.shared.config.secret_key
    }

    /// From now on this goes wrong with calls whose path begins so; all other faults end.
    pub fn fault(&self, path: &str, fault: Fault) {
        *lock(&self.shared.faults) = vec![(path.to_owned(), fault)];
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        lock(&self.shared.faults).clear();
    }

    /// All calls so far, also those that went wrong.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.shared.calls).clone()
    }

    /// How many calls there were to this path.
    pub fn count(&self, path: &str) -> usize {
        let calls = lock(&self.shared.calls);
        calls.iter().filter(|call| call.path == path).count()
    }

    /// A confirmed user, and a session as the web client would get it for them.
    pub fn visitor(&self, email: &str) -> Value {
        self.visitor_who(email, |_| {})
    }

    /// The same for a user without an account.
    pub fn anonymous(&self) -> Value {
        self.visitor_who("", |user| user.is_anonymous = true)
    }

    fn visitor_who(&self, email: &str, change: impl FnOnce(&mut state::User)) -> Value {
        self.shared.with_desk(|desk| {
            let mut user = desk.new_user(email, "correct horse battery", Map::new());
            user.confirmed_at = Some(desk.now);
            change(&mut user);
            let mut state = lock(desk.state);
            let id = state.add_user(user);
            let (session, refresh) = state.open_session(id);
            desk.pair(&state, session, &refresh)
        })
    }

    /// The link in the mail is clicked.
    pub fn confirm(&self, email: &str) {
        let now = self.shared.config.clock.now();
        let mut state = lock(&self.shared.state);
        state.by_email(email).expect("a user").confirmed_at = Some(now);
    }

    /// Shuts a user out.
    pub fn ban(&self, email: &str) {
        let mut state = lock(&self.shared.state);
        state.by_email(email).expect("a user").is_banned = true;
    }

    /// Gives a user another address.
    pub fn change_email(&self, email: &str, to: &str) {
        let mut state = lock(&self.shared.state);
        to.clone_into(&mut state.by_email(email).expect("a user").email);
    }

    /// Removes a user; their tokens stay good where nobody asks.
    pub fn remove(&self, email: &str) {
        let mut state = lock(&self.shared.state);
        let id = state.by_email(email).expect("a user").id;
        state.remove_user(id);
    }

    /// How many users there are.
    pub fn users(&self) -> usize {
        lock(&self.shared.state).users.len()
    }

    /// Is there still a row of this session?
    pub fn has_session(&self, session: Uuid) -> bool {
        lock(&self.shared.state).sessions.contains_key(&session)
    }

    /// Adds a key in this state; one in use takes the place of the one before.
    pub fn add_key(&self, key: SigningKey, state: KeyState) {
        let kid = key.kid().to_owned();
        lock(&self.shared.state).keys.push((key, KeyState::Standby));
        self.set_key(&kid, state);
    }

    /// Moves a key on.
    pub fn set_key(&self, kid: &str, to: KeyState) {
        for (key, state) in &mut lock(&self.shared.state).keys {
            if key.kid() == kid {
                *state = to;
            } else if to == KeyState::InUse && *state == KeyState::InUse {
                *state = KeyState::Previous;
            }
        }
    }

    /// The id of the key that signs.
    pub fn kid(&self) -> String {
        lock(&self.shared.state).key_in_use().kid().to_owned()
    }

    /// A token of the key that signs, with any header and claims.
    pub fn forge(&self, header: &str, claims: &str) -> String {
        lock(&self.shared.state).key_in_use().forge(header, claims)
    }

    /// What is published of the key that signs, and its bytes.
    pub fn public_key(&self) -> (Value, Vec<u8>) {
        let state = lock(&self.shared.state);
        let key = state.key_in_use();
        (key.jwk(), key.public_bytes())
    }
}

impl Shared {
    fn with_desk<T>(&self, f: impl FnOnce(&Desk<'_>) -> T) -> T {
        f(&Desk {
            config: &self.config,
            issuer: &self.issuer,
            state: &self.state,
            now: self.config.clock.now(),
        })
    }

    async fn answer(&self, mut call: Call) -> Option<Answer> {
        let below = call.path.strip_prefix(self.config.path).map(str::to_owned);
        let is_ours = below.is_some();
        call.path = below.unwrap_or(call.path);
        lock(&self.calls).push(call.clone());
        if !is_ours {
            return Some(Answer::empty(404));
        }
        let fault = lock(&self.faults)
            .iter()
            .find(|(path, _)| call.path.starts_with(path))
            .map(|(_, fault)| *fault);
        match fault {
            Some(Fault::Down) => return None,
            Some(Fault::BadGateway) => return Some(Answer::html(502, answers::BAD_GATEWAY)),
            Some(Fault::TooLong) => {
                let long = serde_json::json!({"access_token": "x".repeat(1 << 20), "keys": []});
                return Some(Answer::json(200, &long));
            }
            Some(Fault::SendsTo(address)) => {
                return Some(Answer::empty(307).with("location", address));
            }
            Some(Fault::Refuses(code)) => {
                return Some(answers::Refusal::new(code).answer(&call));
            }
            Some(Fault::Slow(by)) => tokio::time::sleep(by).await,
            Some(Fault::CutAfter) | None => {}
        }
        let answer = self.with_desk(|desk| desk.answer(&call));
        (fault != Some(Fault::CutAfter)).then_some(answer)
    }
}
