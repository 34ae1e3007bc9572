//! Chat, structured output and embeddings from any OpenAI-compatible service.
//!
//! [`OpenAi`] is one shared connection to one service; the ports are thin values over it:
//!
//! | port | value |
//! |---|---|
//! | [`ChatModel`](domain::chat::ChatModel) | [`OpenAiChatModel`] |
//! | [`MemoryExtractor`](domain::memory::MemoryExtractor) | [`OpenAiExtractor`] |
//! | [`Embedder`](domain::memory::Embedder) | [`OpenAiEmbedder`] |
//! | [`Probe`](domain::health::Probe) | [`OpenAiProbe`] |
//!
//! Nothing that a person or a model said leaves this crate but through those ports: no log line and
//! no error carries a prompt, an answer, a key or the words of the service. No identifier of a user
//! and no metadata is sent.
//!
//! # Where things are
//! `client` makes calls and repeats them before the first byte; `failure` is the one place that reads
//! what a service says when it refuses; `dialect` remembers what it does not understand; `sse`
//! splits bytes into events and `reply` events into an answer.
//!
//! # To extend it
//! - Another optional parameter: a [`Feature`](dialect) that a service may refuse, and a line in
//!   `chat::Call::body`.
//! - Another word for a known failure: `failure::Refusal::kind`, with a row in its test.
//! - Another endpoint: a file like `embed`, over `OpenAi::post`.

mod backoff;
mod chat;
mod client;
mod config;
mod dialect;
mod embed;
mod extract;
mod failure;
mod probe;
mod reply;
mod sse;
mod tokens;

pub use chat::OpenAiChatModel;
pub use client::OpenAi;
pub use config::{BadConfig, OpenAiConfig, Patience};
pub use embed::OpenAiEmbedder;
pub use extract::OpenAiExtractor;
pub use probe::OpenAiProbe;
