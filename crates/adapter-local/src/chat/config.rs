//! What can be set about the chat model.

use std::path::PathBuf;
use std::thread::available_parallelism;

/// Settings of the local chat model.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalChatConfig {
    /// Another GGUF file of the SmolLM2 family; `None` for the catalogue's model.
    pub gguf: Option<PathBuf>,
    /// How daring it is; 0 always takes the likeliest word.
    pub temperature: f64,
    /// Makes answers repeatable; `None` draws afresh for each.
    pub seed: Option<u64>,
    /// The longest answer wanted, in tokens.
    pub max_tokens: u32,
    /// Prompt and answer together, in tokens, if the model can take that many. Long prompts are slow.
    pub context_tokens: u32,
    /// Answers written at the same time.
    pub concurrent: usize,
}

impl Default for LocalChatConfig {
    fn default() -> Self {
        Self {
            gguf: None,
            temperature: 0.7,
            seed: None,
            max_tokens: 512,
            context_tokens: 2048,
            concurrent: available_parallelism().map_or(1, std::num::NonZero::get),
        }
    }
}
