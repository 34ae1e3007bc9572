//! Language models in this process: sentence embeddings, and a small chat model by candle.
//!
//! - [`Models`] knows the weights: which files, how large, their checksums, and where to get them.
//! - [`LocalEmbedder`] turns texts into vectors (all-MiniLM-L6-v2).
//! - [`LocalChatModel`] answers (SmolLM2-135M-Instruct, or another GGUF of its family).
//! - [`MissingChatModel`] stands in for it where there are no weights.
//! - [`ModelProbe`] tells reports what is there, and the way out.
//!
//! Arithmetic never runs on the async threads: each kind of model has threads of its own behind a
//! bounded queue (`workers`), and a full queue is an error at once, not a long wait.
//!
//! Candle itself spreads each small step over all cores and spins until the last one is done, which on
//! a busy machine costs a token several times its work. It reads [`CANDLE_THREADS`] once, from the
//! environment: the program sets it before its first thread starts, `cargo` does for runs and tests.
//!
//! The encoder does without candle, whose products are for many rows: a question has a dozen. With its own
//! (`embed/linear`) a question takes a third of the time, and a long text half.
//!
//! # To add a model
//! 1. Describe its files in `weights/catalogue.rs`: sizes, checksums, the hub's repository, the package.
//! 2. Give it a loader beside `embed/network.rs` or `chat/gguf.rs`.
//! 3. Prove its arithmetic against an independent implementation, as `embed/tests.rs` does.

mod chat;
mod embed;
mod error;
mod probe;
#[cfg(test)]
mod test_support;
mod weights;
mod workers;

pub use chat::{LocalChatConfig, LocalChatModel, MissingChatModel};
pub use embed::LocalEmbedder;
pub use error::LoadError;
pub use probe::ModelProbe;
pub use weights::{
    ModelFile, ModelId, ModelState, Models, Progress, PullError, Pulled, SourceError,
    TerminalProgress,
};

/// The environment variable, and its value, that keep each answer on one core.
pub const CANDLE_THREADS: (&str, &str) = ("CANDLE_NUM_THREADS", "1");
