//! Finding what matters for a question.

use std::collections::HashMap;
use std::sync::Arc;

use super::{
    Embedder, Embedding, EmbeddingPurpose, IndexError, IndexHit, IndexQuery, MemoryIndex, Recalled,
    Terms,
};
use crate::ids::MemoryId;
use crate::privacy::RecallGrant;
use crate::store::{Store, StoreError};

/// How hits become an order.
#[derive(Debug, Clone, Copy)]
pub struct RecallConfig {
    /// Weight of the words beside the meaning, whose weight is 1.
    pub word_weight: f32,
    /// A hit without a common word needs at least this cosine.
    pub min_cosine: f32,
    /// Hits of each kind to look at before fusing.
    pub candidates: usize,
}

impl Default for RecallConfig {
    fn default() -> Self {
        Self {
            word_weight: 0.5,
            min_cosine: 0.25,
            candidates: 50,
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecallResult {
    /// Best first.
    pub memories: Vec<Recalled>,
    /// True when the meaning of the question could not be searched, only its words.
    pub words_only: bool,
}

/// A failure to recall.
#[derive(Debug, thiserror::Error)]
pub enum RecallError {
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Recalls memories: one embedding, one search, one reading of the rows.
pub struct Recaller {
    store: Arc<dyn Store>,
    index: Arc<dyn MemoryIndex>,
    embedder: Option<Arc<dyn Embedder>>,
    config: RecallConfig,
}

impl Recaller {
    /// Without an embedder, recall goes by words alone.
    pub fn new(
        store: Arc<dyn Store>,
        index: Arc<dyn MemoryIndex>,
        embedder: Option<Arc<dyn Embedder>>,
        config: RecallConfig,
    ) -> Self {
        Self {
            store,
            index,
            embedder,
            config,
        }
    }

    /// At most `limit` memories of the grant's scope that have to do with `text`, best first. Every one
    /// was read from the database just now, under the same owner: what the index says is not believed.
    pub async fn recall(
        &self,
        grant: &RecallGrant,
        text: &str,
        limit: usize,
    ) -> Result<RecallResult, RecallError> {
        let embedding = self.embed(text).await;
        let words_only = embedding.is_none();
        let candidates = self.config.candidates.max(limit);
        let query = IndexQuery {
            terms: Terms::of(text),
            embedding,
            limit: candidates,
        };
        let hits = self.index.search(grant, &query).await?;
        let mut ranked = fuse(hits, self.config);
        // A few more than asked for: some may have been deleted since they were indexed.
        ranked.truncate(limit + 10);
        if ranked.is_empty() {
            return Ok(RecallResult {
                memories: Vec::new(),
                words_only,
            });
        }
        let ids: Vec<MemoryId> = ranked.iter().map(|(id, _)| *id).collect();
        let scores: HashMap<MemoryId, f32> = ranked.into_iter().collect();
        let mut work = self.store.read(grant.scope().user).await?;
        let rows = work.memories().find(grant, &ids).await?;
        let memories = rows
            .into_iter()
            .take(limit)
            .map(|memory| Recalled {
                score: scores.get(&memory.id).copied().unwrap_or(0.0),
                memory,
            })
            .collect();
        Ok(RecallResult {
            memories,
            words_only,
        })
    }

    async fn embed(&self, text: &str) -> Option<Embedding> {
        let embedder = self.embedder.as_ref()?;
        let vectors = embedder
            .embed(vec![text.to_owned()], EmbeddingPurpose::Query)
            .await
            .ok()?;
        vectors.into_iter().next()
    }
}

/// Orders hits by `cosine + weight * bm25 / best bm25`, and leaves out those that share no word with
/// the question and are far from it. A convex sum of both arms keeps what rank fusion throws away: how
/// much better the best is (Bruch et al. 2023, "An Analysis of Fusion Functions for Hybrid Retrieval").
pub fn fuse(hits: Vec<IndexHit>, config: RecallConfig) -> Vec<(MemoryId, f32)> {
    let best_bm25 = hits.iter().map(|h| h.bm25).fold(0.0, f32::max);
    let mut ranked: Vec<(MemoryId, f32)> = hits
        .into_iter()
        .filter(|hit| hit.bm25 > 0.0 || hit.cosine.is_some_and(|c| c >= config.min_cosine))
        .map(|hit| {
            let words = if best_bm25 > 0.0 {
                hit.bm25 / best_bm25
            } else {
                0.0
            };
            (
                hit.memory,
                hit.cosine.unwrap_or(0.0).max(0.0) + config.word_weight * words,
            )
        })
        .collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(id: u128, cosine: Option<f32>, bm25: f32) -> IndexHit {
        IndexHit {
            memory: MemoryId::new(uuid::Uuid::from_u128(id)),
            cosine,
            bm25,
        }
    }

    #[test]
    fn both_arms_count_and_strangers_are_left_out() {
        let hits = vec![
            hit(1, Some(0.6), 0.0),
            hit(2, Some(0.5), 4.0),
            hit(3, Some(0.1), 0.0),
            hit(4, None, 2.0),
        ];
        let order: Vec<u128> = fuse(hits, RecallConfig::default())
            .iter()
            .map(|(id, _)| id.as_uuid().as_u128())
            .collect();
        assert_eq!(order, [2, 1, 4]);
    }
}
