//! A memory index in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::ids::MemoryId;
use domain::ids::{ProfileId, UserId};
use domain::memory::{
    Embedding, EmbeddingSpace, IndexEntry, IndexError, IndexHit, IndexQuery, IndexRebuild,
    IndexedMemory, MemoryIndex, Terms,
};
use domain::privacy::{LearnGrant, MemoryScope, RecallGrant};

use super::lock;

/// Exact search over entries in memory. Clones share the entries.
#[derive(Clone, Default)]
pub struct InMemoryMemoryIndex(Arc<Mutex<Contents>>);

type ScopeKey = (UserId, ProfileId);

#[derive(Default)]
struct Contents {
    space: Option<EmbeddingSpace>,
    scopes: BTreeMap<ScopeKey, BTreeMap<MemoryId, IndexEntry>>,
    /// Rebuilds that were begun; the last one may go on.
    rebuilds: u64,
}

impl InMemoryMemoryIndex {
    /// An empty index without a space.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many entries there are, of all users.
    pub fn total(&self) -> usize {
        lock(&self.0).scopes.values().map(BTreeMap::len).sum()
    }
}

fn key(scope: MemoryScope) -> ScopeKey {
    (scope.user, scope.profile)
}

impl Contents {
    fn check(&self, embedding: Option<&Embedding>) -> Result<(), IndexError> {
        match (&self.space, embedding) {
            (Some(space), Some(vector)) if vector.dimension() != space.dimension => {
                Err(IndexError::WrongSpace {
                    recorded: space.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    fn upsert(&mut self, scope: MemoryScope, entries: Vec<IndexEntry>) -> Result<(), IndexError> {
        entries
            .iter()
            .try_for_each(|entry| self.check(entry.embedding.as_ref()))?;
        let scope = self.scopes.entry(key(scope)).or_default();
        scope.extend(entries.into_iter().map(|entry| (entry.memory, entry)));
        Ok(())
    }
}

#[async_trait]
impl MemoryIndex for InMemoryMemoryIndex {
    async fn space(&self) -> Result<Option<EmbeddingSpace>, IndexError> {
        Ok(lock(&self.0).space.clone())
    }

    async fn adopt(&self, space: &EmbeddingSpace) -> Result<(), IndexError> {
        let mut contents = lock(&self.0);
        let recorded = contents.space.get_or_insert_with(|| space.clone());
        if recorded == space {
            return Ok(());
        }
        Err(IndexError::WrongSpace {
            recorded: recorded.clone(),
        })
    }

    async fn begin_rebuild(
        &self,
        space: Option<&EmbeddingSpace>,
    ) -> Result<Box<dyn IndexRebuild>, IndexError> {
        let mut contents = lock(&self.0);
        contents.rebuilds += 1;
        let next = Contents {
            space: space.cloned(),
            scopes: BTreeMap::new(),
            rebuilds: contents.rebuilds,
        };
        Ok(Box::new(Rebuild {
            serving: Arc::clone(&self.0),
            next: Mutex::new(next),
        }))
    }

    async fn search(
        &self,
        grant: &RecallGrant,
        query: &IndexQuery,
    ) -> Result<Vec<IndexHit>, IndexError> {
        let contents = lock(&self.0);
        contents.check(query.embedding.as_ref())?;
        let entries = contents.scopes.get(&key(grant.scope()));
        Ok(entries.map_or_else(Vec::new, |entries| {
            best(&scored(entries, query), query.limit)
        }))
    }

    async fn upsert(&self, grant: &LearnGrant, entries: Vec<IndexEntry>) -> Result<(), IndexError> {
        lock(&self.0).upsert(grant.scope(), entries)
    }

    async fn remove(
        &self,
        scope: MemoryScope,
        memories: Option<&[MemoryId]>,
    ) -> Result<(), IndexError> {
        if let Some(entries) = lock(&self.0).scopes.get_mut(&key(scope)) {
            entries.retain(|id, _| memories.is_some_and(|ids| !ids.contains(id)));
        }
        Ok(())
    }

    async fn entries(
        &self,
        scope: MemoryScope,
        after: Option<MemoryId>,
        limit: usize,
    ) -> Result<Vec<IndexedMemory>, IndexError> {
        let contents = lock(&self.0);
        let entries = contents.scopes.get(&key(scope)).into_iter().flatten();
        let entries = entries.filter(|(id, _)| after.is_none_or(|after| **id > after));
        let indexed = |(id, entry): (&MemoryId, &IndexEntry)| IndexedMemory {
            memory: *id,
            version: entry.version,
            with_vector: entry.embedding.is_some(),
        };
        Ok(entries.take(limit).map(indexed).collect())
    }

    async fn owners(
        &self,
        after: Option<MemoryId>,
        limit: usize,
    ) -> Result<Vec<(MemoryId, MemoryScope)>, IndexError> {
        let contents = lock(&self.0);
        let mut owners = Vec::new();
        for ((user, profile), entries) in &contents.scopes {
            let (user, profile) = (*user, *profile);
            owners.extend(
                entries
                    .keys()
                    .map(|id| (*id, MemoryScope { user, profile })),
            );
        }
        owners.retain(|(id, _)| after.is_none_or(|after| *id > after));
        owners.sort_by_key(|(id, _)| *id);
        owners.truncate(limit);
        Ok(owners)
    }
}

/// An index in the making.
struct Rebuild {
    serving: Arc<Mutex<Contents>>,
    next: Mutex<Contents>,
}

impl Rebuild {
    fn check(&self) -> Result<(), IndexError> {
        if lock(&self.serving).rebuilds == lock(&self.next).rebuilds {
            return Ok(());
        }
        let reason = "another rebuild has taken over";
        Err(IndexError::Unavailable(reason.into()))
    }
}

#[async_trait]
impl IndexRebuild for Rebuild {
    async fn upsert(&self, grant: &LearnGrant, entries: Vec<IndexEntry>) -> Result<(), IndexError> {
        self.check()?;
        lock(&self.next).upsert(grant.scope(), entries)
    }

    async fn finish(self: Box<Self>) -> Result<(), IndexError> {
        self.check()?;
        std::mem::swap(&mut *lock(&self.serving), &mut *lock(&self.next));
        Ok(())
    }

    async fn abandon(self: Box<Self>) -> Result<(), IndexError> {
        Ok(())
    }
}

/// Every entry with both of its scores.
fn scored(entries: &BTreeMap<MemoryId, IndexEntry>, query: &IndexQuery) -> Vec<IndexHit> {
    let documents: Vec<&Terms> = entries.values().map(|entry| &entry.terms).collect();
    let hit = |entry: &IndexEntry| IndexHit {
        memory: entry.memory,
        cosine: query
            .embedding
            .as_ref()
            .zip(entry.embedding.as_ref())
            .map(|(a, b)| cosine(a, b)),
        bm25: bm25(&query.terms, &entry.terms, &documents),
    };
    entries.values().map(hit).collect()
}

/// The best by vector and the best by words, each once.
fn best(hits: &[IndexHit], limit: usize) -> Vec<IndexHit> {
    let mut by_vector: Vec<_> = hits.iter().filter(|hit| hit.cosine.is_some()).collect();
    by_vector.sort_by(|a, b| {
        b.cosine
            .partial_cmp(&a.cosine)
            .expect("cosines are numbers")
    });
    let mut by_words: Vec<_> = hits.iter().filter(|hit| hit.bm25 > 0.0).collect();
    by_words.sort_by(|a, b| b.bm25.total_cmp(&a.bm25));
    let chosen = by_vector
        .into_iter()
        .take(limit)
        .chain(by_words.into_iter().take(limit));
    let once: BTreeMap<_, _> = chosen.map(|hit| (hit.memory, *hit)).collect();
    once.into_values().collect()
}

fn cosine(a: &Embedding, b: &Embedding) -> f32 {
    a.values().iter().zip(b.values()).map(|(x, y)| x * y).sum()
}

fn bm25(query: &Terms, document: &Terms, all: &[&Terms]) -> f32 {
    const K1: f32 = 0.9;
    const B: f32 = 0.4;
    let tf = |terms: &Terms, term: u32| {
        terms
            .counts()
            .iter()
            .find(|t| t.term == term)
            .map_or(0.0, |t| t.count as f32)
    };
    let n = all.len() as f32;
    let mean = all.iter().map(|d| d.length() as f32).sum::<f32>() / n;
    let score = |term: u32| {
        let df = all.iter().filter(|d| tf(d, term) > 0.0).count() as f32;
        let idf = (1.0 + (n - df + 0.5) / (df + 0.5)).ln();
        let found = tf(document, term);
        if found > 0.0 {
            idf * found / (found + K1 * (1.0 - B + B * document.length() as f32 / mean))
        } else {
            0.0
        }
    };
    query.counts().iter().map(|t| score(t.term)).sum()
}
