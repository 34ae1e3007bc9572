//! Profiles full of memories.

use anyhow::{Context, Result};
use domain::memory::{Embedder, Embedding, EmbeddingPurpose, IndexEntry, MemoryIndex};
use domain::privacy::LearnGrant;
use domain::profile::Profile;
use domain::store::Store;
use testkit::fixtures::a_memory;

use crate::texts;

/// Rows, and index entries, written at a time.
const BATCH: usize = 500;

/// How far a made vector lies from the real one it was made of: their cosine is about 0.9.
const NOISE: f32 = 0.5;

/// Real vectors of the first memories.
pub(super) struct Vectors(Vec<Embedding>);

impl Vectors {
    /// Embeds the first `count` memories.
    pub(super) async fn embed(embedder: &dyn Embedder, count: usize) -> Result<Self> {
        let texts = (0..count).map(texts::memory).collect();
        Ok(Self(
            embedder.embed(texts, EmbeddingPurpose::Document).await?,
        ))
    }

    /// The n-th memory's own vector while there are real ones, then a real one with noise: ten thousand
    /// embeddings would take minutes, and a scan takes as long over any numbers.
    fn of(&self, n: usize) -> Option<Embedding> {
        let real = self.0.get(n % self.0.len())?;
        if n < self.0.len() {
            return Some(real.clone());
        }
        let length = (real.dimension() as f32).sqrt();
        let mut noise = Noise(n as u64);
        // The mean square of a number from -1 to 1 is a third.
        let scale = NOISE * 3_f32.sqrt() / length;
        Embedding::new(
            real.values()
                .iter()
                .map(|v| v + scale * noise.next())
                .collect(),
        )
    }
}

/// Numbers from -1 to 1, the same for the same seed (SplitMix64).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let bits = u16::try_from((z ^ (z >> 31)) & 0xFFFF).unwrap_or(0);
        f32::from(bits) / 32_767.5 - 1.0
    }
}

/// Puts `size` memories into a profile: rows and index entries. Answers with the last entry.
pub(super) async fn fill(
    store: &dyn Store,
    index: &dyn MemoryIndex,
    profile: &Profile,
    size: usize,
    vectors: &Vectors,
) -> Result<IndexEntry> {
    let grant = LearnGrant::by_owner(profile);
    let mut last = None;
    for start in (0..size).step_by(BATCH) {
        let mut work = store.begin(profile.user()).await?;
        let mut entries = Vec::with_capacity(BATCH);
        for n in start..size.min(start + BATCH) {
            let memory = a_memory(profile, &texts::memory(n));
            work.memories().add(&grant, &memory).await?;
            entries.push(IndexEntry::of(&memory, vectors.of(n)));
        }
        work.commit().await?;
        last = entries.last().cloned();
        index.upsert(&grant, entries).await?;
    }
    last.context("a profile without memories")
}
