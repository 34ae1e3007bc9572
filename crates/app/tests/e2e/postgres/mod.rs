//! Postgres that breaks: what was acknowledged is there, what was not is there once or not at all.

mod commits;
mod locks;
mod outages;

use std::sync::Arc;

use reqwest::StatusCode;
use serde_json::Value;
use testkit::cutter::Cutter;
use testkit::servers::Postgres;

use crate::harness::{Caller, Server, command};
use crate::model_server::ModelServer;
use crate::wait::until;

/// A database, and a server that reaches it through a wire that can be cut. Nobody works on jobs, so that
/// every commit is the request's.
struct Stage {
    postgres: Arc<Postgres>,
    wire: Cutter,
    model: ModelServer,
    server: Server,
}

impl Stage {
    async fn set() -> Option<Self> {
        Self::set_with(&[("MEMORYCHAT_WORKERS", "0")]).await
    }

    async fn set_with(own: &[(&str, &str)]) -> Option<Self> {
        let postgres = Postgres::new()?;
        let folder = tempfile::tempdir().expect("folder");
        let migrated = command(folder.path())
            .arg("migrate")
            .env("DATABASE_URL", postgres.url())
            .output()
            .expect("memorychat runs");
        assert!(migrated.status.success(), "{migrated:?}");
        let wire = Cutter::to(postgres.port());
        let url = postgres
            .url()
            .replace("postgres@", "mc_login@")
            .replace(&postgres.port().to_string(), &wire.port().to_string());
        let model = ModelServer::start().await;
        let shared = [
            ("DATABASE_URL", url.as_str()),
            ("DATABASE_CONNECTIONS", "4"),
            ("OPENAI_BASE_URL", &model.base),
            ("OPENAI_MODEL", "stand-in"),
        ];
        let server = Server::start(&[&shared, own].concat()).await;
        Some(Self {
            postgres: Arc::new(postgres),
            wire,
            model,
            server,
        })
    }
}

async fn stored(caller: &Caller, session: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let shape = |message: &Value| (text(&message["role"]), text(&message["status"]));
    caller.messages(session).await.iter().map(shape).collect()
}

fn turns(count: usize) -> Vec<(String, String)> {
    let turn = ["user", "assistant"].map(|role| (role.to_owned(), "complete".to_owned()));
    std::iter::repeat_n(turn, count).flatten().collect()
}

async fn is_found_again(ada: &Caller) {
    until("the database is found again", async || {
        ada.get("/api/v1/auth/me").await.status == StatusCode::OK
    })
    .await;
}
