//! The REST API over the use cases of `domain`: routes, wire types, streams, problem documents.
//!
//! [`serve`] runs it, [`openapi`] describes it. This crate decides nothing: it reads a request into a
//! call of a service and writes what came of it. It knows no other adapter; `app` gives it an [`Api`].
//!
//! # What every request goes through
//! 1. [`observe`] outermost: request id, one log line, metrics, security headers, problem bodies,
//!    panics turned into a 500.
//! 2. CORS, by an exact list of origins.
//! 3. Below `/api/v1`: [`auth`] checks the credential once, [`rate_limit`] counts the call.
//! 4. The route in [`routes`]. Its arguments come from [`extract`] and [`auth`], whose failures are
//!    [`problem`] documents like all others.
//!
//! # To add an endpoint
//! 1. Write the handler in the fitting file of `routes`, with `#[utoipa::path]` and a method macro,
//!    and name it in that file's `configure`: the route and its description cannot drift apart, and a
//!    wrong method on it is answered from the same list.
//! 2. Take [`Caller`](auth::Caller) and call `reads`, `writes` or `chats` on it first. A route without
//!    a caller must say so with `security(())`.
//! 3. Take bodies as [`JsonBody`](extract::JsonBody), never as Actix's own `Json`; return
//!    `Result<_, Problem>`; every error of a service becomes a [`Problem`] by `?`.

pub mod auth;
mod docs;
pub mod extract;
mod headers;
mod health;
mod idempotency;
mod local_limiter;
mod metrics;
mod observe;
mod openapi;
mod pagination;
mod problem;
mod rate_limit;
mod routes;
mod server;
mod settings;
mod shutdown;
mod sse;
mod streams;
mod tasks;
mod turn_places;
mod turn_task;

use std::sync::Arc;

use domain::account::AccountService;
use domain::chat::TurnService;
use domain::clock::{Clock, IdGenerator};
use domain::health::Probe;
use domain::jobs::JobQueue;
use domain::limits::RateLimiter;
use domain::memory::MemoryService;
use domain::profile::ProfileService;
use domain::session::SessionService;

pub use local_limiter::LocalLimiter;
pub use openapi::document as openapi;
pub use problem::{Problem, ProblemBody};
pub use server::{Running, serve};
pub use settings::HttpSettings;
pub use shutdown::Drain;
pub use tasks::TaskSpawner;

/// All that the routes call. Built once by `app` and shared by the server's threads.
pub struct Api {
    /// Accounts, log-ins and API keys.
    pub accounts: AccountService,
    /// Memory profiles.
    pub profiles: ProfileService,
    /// Sessions and their messages.
    pub sessions: SessionService,
    /// Memories.
    pub memories: MemoryService,
    /// Turns.
    pub turns: TurnService,
    /// What `/readyz` looks at.
    pub probes: Vec<Arc<dyn Probe>>,
    /// Runs what must outlive a request.
    pub tasks: Arc<dyn TaskSpawner>,
    /// Looked at by `/metrics` only.
    pub queue: Arc<dyn JobQueue>,
    /// How many lines the log has lost, for `/metrics`.
    pub dropped_log_lines: fn() -> usize,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Request ids.
    pub ids: Arc<dyn IdGenerator>,
    /// Counts calls together with other processes; `None` for a process that counts alone.
    pub limiter: Option<Arc<dyn RateLimiter>>,
}
