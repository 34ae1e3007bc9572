//! Clients of the server, of the pass-through, and of the upstream itself.

use anyhow::{Context, Result, ensure};
use domain::privacy::PrivacyMode;
use reqwest::Client;
use serde_json::{Value, json};

use crate::texts;

/// Memories that every user has.
const MEMORIES: usize = 10;

/// Where a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Straight to the upstream: what client and upstream cost by themselves.
    Upstream,
    /// To the pass-through.
    Relay,
    /// To the server, in a session of this mode.
    Turn(PrivacyMode),
}

impl Target {
    /// All of them, the yardsticks first.
    pub(super) const ALL: [Self; 5] = [
        Self::Upstream,
        Self::Relay,
        Self::Turn(PrivacyMode::Normal),
        Self::Turn(PrivacyMode::PauseMemories),
        Self::Turn(PrivacyMode::Incognito),
    ];

    /// Its name in tables.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Upstream => "(straight to upstream)",
            Self::Relay => "bare pass-through",
            Self::Turn(mode) => mode.as_str(),
        }
    }
}

/// Base URLs.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) upstream: String,
    pub(super) relay: String,
    pub(super) server: String,
}

/// A client: a user with a session of each mode.
pub(super) struct Caller {
    http: Client,
    places: Places,
    token: String,
    sessions: Vec<(PrivacyMode, String)>,
}

impl Caller {
    /// Signs up, writes down some memories, and opens the sessions.
    pub(super) async fn sign_up(http: &Client, places: &Places, number: usize) -> Result<Self> {
        let mut caller = Self {
            http: http.clone(),
            places: places.clone(),
            token: String::new(),
            sessions: Vec::new(),
        };
        let credentials = json!({"email": format!("user{number}@example.org"), "password": "correct horse battery"});
        let account = caller
            .json(caller.post("/auth/signup", &credentials))
            .await?;
        caller.token = text(&account["access_token"])?;
        let profiles = caller.json(caller.get("/memory-profiles")).await?;
        let profile = text(&profiles[0]["id"])?;
        for n in 0..MEMORIES {
            let memory = json!({"content": texts::memory(number * MEMORIES + n)});
            caller
                .json(caller.post(&format!("/memory-profiles/{profile}/memories"), &memory))
                .await?;
        }
        for mode in PrivacyMode::ALL {
            let wanted = json!({"privacy_mode": mode.as_str()});
            let session = caller.json(caller.post("/sessions", &wanted)).await?;
            caller.sessions.push((mode, text(&session["id"])?));
        }
        Ok(caller)
    }

    /// One question and its answer, streamed and read to the end.
    pub(super) async fn ask(&self, target: Target) -> Result<()> {
        let request = match target {
            Target::Upstream => self.completion(&self.places.upstream),
            Target::Relay => self.completion(&self.places.relay),
            Target::Turn(mode) => {
                let session = self.sessions.iter().find(|(of, _)| *of == mode);
                let (_, session) = session.context("no session of this mode")?;
                self.post(
                    &format!("/chat/{session}/stream"),
                    &json!({"message": texts::new_question()}),
                )
            }
        };
        let answer = request.send().await?;
        let status = answer.status();
        let body = answer.text().await?;
        ensure!(
            status.is_success() && body.trim_end().ends_with("[DONE]"),
            "{target:?}: {status}: {body}"
        );
        if matches!(target, Target::Turn(mode) if mode.recalls()) {
            ensure!(
                body.contains(r#""recall":"done""#),
                "the server does not recall by meaning: {body}"
            );
        }
        Ok(())
    }

    /// What a list holds.
    pub(super) async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let listed = self.json(self.get(path)).await?;
        listed.as_array().cloned().context("not a list")
    }

    /// One of the caller's stored sessions that has messages.
    pub(super) async fn a_listed_session(&self) -> Result<String> {
        let sessions = self.list("/sessions?limit=50").await?;
        let used = sessions.iter().find(|s| s["message_count"] != 0);
        text(&used.context("no session with messages")?["id"])
    }

    /// The caller's default profile.
    pub(super) async fn default_profile(&self) -> Result<String> {
        let profiles = self.list("/memory-profiles").await?;
        text(&profiles.first().context("no profile")?["id"])
    }

    fn completion(&self, base: &str) -> reqwest::RequestBuilder {
        let messages = json!([{"role": "user", "content": texts::memory(0)}]);
        let body = json!({"model": "stand-in", "stream": true, "messages": messages});
        self.http
            .post(format!("{base}/chat/completions"))
            .json(&body)
    }

    fn post(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.http
            .post(self.url(path))
            .bearer_auth(&self.token)
            .json(body)
    }

    fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.get(self.url(path)).bearer_auth(&self.token)
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.places.server)
    }

    async fn json(&self, request: reqwest::RequestBuilder) -> Result<Value> {
        let answer = request.send().await?;
        let (status, body) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{status}: {body}");
        Ok(serde_json::from_str(&body)?)
    }
}

fn text(value: &Value) -> Result<String> {
    value
        .as_str()
        .map(str::to_owned)
        .context("a field is missing in an answer of the server")
}
