//! What the service depends on, and how it is.

use async_trait::async_trait;

/// A dependency that can tell its state: the database, the index, a model.
#[async_trait]
pub trait Probe: Send + Sync {
    /// One word for reports: `database`, `memory_index`, `chat_model`.
    fn name(&self) -> &'static str;

    /// Does the service answer at all without it? Readiness fails only for required ones.
    fn required(&self) -> bool;

    /// Looks now, within a second or so. `Ok` holds one line about what was found.
    async fn check(&self) -> Result<String, Ailment>;
}

/// What is wrong with a dependency, and the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {way_out}")]
pub struct Ailment {
    /// What is wrong, without secrets.
    pub problem: String,
    /// What the operator can do about it.
    pub way_out: String,
}
