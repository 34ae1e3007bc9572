//! What was found, and how the two arms of a search come together.

use std::collections::HashMap;

use domain::ids::MemoryId;
use domain::memory::{IndexHit, Terms};
use domain::privacy::MemoryScope;

use crate::alarm::Alarm;
use crate::point::Fields;
use crate::words::Statistics;

/// A point that was found.
pub(crate) struct Found {
    pub(crate) memory: MemoryId,
    pub(crate) score: f32,
    terms: Terms,
    with_vector: bool,
}

impl Found {
    /// A point of the scope; another one is dropped, whatever the engine thought of the filter.
    pub(crate) fn within(
        scope: MemoryScope,
        memory: Option<MemoryId>,
        score: f32,
        fields: &Fields<'_>,
        alarm: &Alarm,
    ) -> Option<Self> {
        if fields.scope() != Some(scope) {
            alarm.raise(memory, fields.scope());
            return None;
        }
        Some(Self {
            memory: memory?,
            score,
            terms: fields.terms(),
            with_vector: fields.with_vector(),
        })
    }
}

/// How many candidates the stored weights are asked for.
pub(crate) fn candidates(limit: usize) -> usize {
    limit.saturating_mul(2).saturating_add(20)
}

/// The best candidates by BM25, reckoned anew.
pub(crate) fn best(
    mut found: Vec<Found>,
    statistics: &Statistics,
    terms: &Terms,
    limit: usize,
) -> Vec<Found> {
    for found in &mut found {
        found.score = statistics.score(terms, &found.terms);
    }
    // Of equal ones the newer memories.
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.memory.cmp(&a.memory)));
    found.truncate(limit);
    found
}

/// Both arms, each memory once.
pub(crate) struct Hits {
    hits: HashMap<MemoryId, IndexHit>,
    /// Found by their words alone, although they have a vector.
    pub(crate) lacking: Vec<MemoryId>,
}

impl Hits {
    /// Puts the arms together; every hit has its BM25.
    pub(crate) fn of(
        by_meaning: &[Found],
        by_words: &[Found],
        statistics: &Statistics,
        terms: &Terms,
    ) -> Self {
        let mut hits: HashMap<MemoryId, IndexHit> = HashMap::new();
        for found in by_meaning {
            let hit = IndexHit {
                memory: found.memory,
                cosine: Some(found.score),
                bm25: statistics.score(terms, &found.terms),
            };
            hits.insert(found.memory, hit);
        }
        let mut lacking = Vec::new();
        for found in by_words {
            hits.entry(found.memory).or_insert_with(|| {
                lacking.extend(found.with_vector.then_some(found.memory));
                IndexHit {
                    memory: found.memory,
                    cosine: None,
                    bm25: found.score,
                }
            });
        }
        Self { hits, lacking }
    }

    /// The cosines that were lacking.
    pub(crate) fn add_cosines(&mut self, found: &[Found]) {
        for found in found {
            if let Some(hit) = self.hits.get_mut(&found.memory) {
                hit.cosine = Some(found.score);
            }
        }
    }

    /// All of them.
    pub(crate) fn all(self) -> Vec<IndexHit> {
        self.hits.into_values().collect()
    }
}
