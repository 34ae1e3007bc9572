//! An embedder that needs no model.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use domain::memory::{EmbedError, Embedder, Embedding, EmbeddingPurpose, EmbeddingSpace, Terms};

use super::lock;

/// Bags of words as vectors: texts that share words are near each other. It remembers what it was
/// asked, so that a test can prove that it was not.
pub struct HashEmbedder {
    space: EmbeddingSpace,
    failing: AtomicBool,
    asked: Mutex<Vec<String>>,
}

impl HashEmbedder {
    /// Length of its vectors.
    pub const DIMENSION: usize = 64;

    /// An embedder that works.
    pub fn new() -> Self {
        let space = EmbeddingSpace {
            model: "hash".to_owned(),
            dimension: Self::DIMENSION,
        };
        Self {
            space,
            failing: AtomicBool::new(false),
            asked: Mutex::default(),
        }
    }

    /// Fails every call from now on, or works again.
    pub fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    /// Every text so far, of failed calls too.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.asked).clone()
    }
}

impl Default for HashEmbedder {
    fn default() -> Self {
        Self::new()
    }
}

fn vector(text: &str) -> Embedding {
    // A faint constant keeps texts without words from having no direction at all.
    let mut values = vec![0.01; HashEmbedder::DIMENSION];
    for word in Terms::of(text).counts() {
        values[word.term as usize % HashEmbedder::DIMENSION] += word.count as f32;
    }
    Embedding::new(values).expect("it is never zero")
}

#[async_trait]
impl Embedder for HashEmbedder {
    fn space(&self) -> &EmbeddingSpace {
        &self.space
    }

    async fn embed(
        &self,
        texts: Vec<String>,
        _purpose: EmbeddingPurpose,
    ) -> Result<Vec<Embedding>, EmbedError> {
        let vectors = texts.iter().map(|text| vector(text)).collect();
        lock(&self.asked).extend(texts);
        if self.failing.load(Ordering::SeqCst) {
            return Err(EmbedError::Unavailable("told to fail".into()));
        }
        Ok(vectors)
    }
}
