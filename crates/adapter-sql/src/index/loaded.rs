//! A profile's entries in memory: vectors side by side, words by the texts that hold them.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use domain::ids::MemoryId;
use domain::memory::{IndexEntry, IndexHit, IndexQuery, TermCount, Terms};
use domain::store::StoreError;
use sea_orm::QueryResult;

use super::rows::StoredEntry;
use super::score::{Texts, dot};

/// One profile at one revision. Each memory has a slot; a slot that was given up is used again.
#[derive(Default)]
pub(super) struct LoadedProfile {
    revision: i64,
    slots: HashMap<MemoryId, usize>,
    free: Vec<usize>,
    texts: Vec<Text>,
    dimension: usize,
    /// `dimension` numbers for each slot, zeros where it has no vector.
    vectors: Vec<f32>,
    postings: HashMap<u32, Vec<Posting>>,
    words: u64,
}

/// What is in a slot; nothing when it is free.
#[derive(Default)]
struct Text {
    memory: Option<MemoryId>,
    terms: Terms,
    length: u32,
    has_vector: bool,
}

/// A text that holds a word.
struct Posting {
    slot: usize,
    count: u32,
}

impl LoadedProfile {
    /// Decodes all rows of a profile.
    pub(super) fn load(rows: &[QueryResult], revision: i64) -> Result<Self, StoreError> {
        let mut profile = Self {
            revision,
            ..Self::default()
        };
        for row in rows {
            profile.put_stored(&StoredEntry::read(row)?)?;
        }
        Ok(profile)
    }

    /// The revision of the rows that it shows.
    pub(super) fn revision(&self) -> i64 {
        self.revision
    }

    /// How many entries it has.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let postings: usize = self
            .postings
            .values()
            .map(|list| 64 + 16 * list.capacity())
            .sum();
        let terms: usize = self
            .texts
            .iter()
            .map(|text| 128 + 8 * text.terms.counts().len())
            .sum();
        4 * self.vectors.capacity() + postings + terms
    }

    /// Makes a change of this process, which took the rows to `revision`.
    pub(super) fn patch(&mut self, revision: i64, change: impl FnOnce(&mut Self)) {
        change(self);
        self.revision = revision;
    }

    /// Takes over what others wrote. `false` when entries were removed meanwhile (then it holds more
    /// than there are) or cannot be read: then it must be loaded anew.
    pub(super) fn catch_up(
        &mut self,
        changes: &[StoredEntry],
        total: usize,
        revision: i64,
    ) -> bool {
        let caught_up =
            changes.iter().all(|entry| self.put_stored(entry).is_ok()) && self.len() == total;
        if caught_up {
            self.revision = revision;
        }
        caught_up
    }

    /// Adds entries, or replaces those of their memories.
    pub(super) fn put_all(&mut self, entries: Vec<IndexEntry>) {
        for entry in entries {
            self.put(entry);
        }
    }

    /// Removes the entries of these memories, where there are any.
    pub(super) fn remove_all(&mut self, memories: &[MemoryId]) {
        for memory in memories {
            self.remove(*memory);
        }
    }

    fn put(&mut self, entry: IndexEntry) {
        let vector = entry
            .embedding
            .as_ref()
            .map_or(&[][..], |embedding| embedding.values());
        self.place(entry.memory, entry.terms, vector);
    }

    fn put_stored(&mut self, entry: &StoredEntry) -> Result<(), StoreError> {
        let terms = Terms::from_stored(entry.words()?);
        self.place(entry.memory, terms, &entry.numbers()?);
        Ok(())
    }

    fn place(&mut self, memory: MemoryId, terms: Terms, vector: &[f32]) {
        self.remove(memory);
        if !vector.is_empty() && vector.len() != self.dimension {
            self.change_dimension(vector.len());
        }
        let slot = self.free.pop().unwrap_or(self.texts.len());
        if slot == self.texts.len() {
            self.texts.push(Text::default());
            self.vectors.resize(self.texts.len() * self.dimension, 0.0);
        }
        if !vector.is_empty() {
            self.vectors[slot * self.dimension..][..self.dimension].copy_from_slice(vector);
        }
        for TermCount { term, count } in terms.counts() {
            self.postings.entry(*term).or_default().push(Posting {
                slot,
                count: *count,
            });
        }
        let length = terms.length();
        self.words += u64::from(length);
        self.slots.insert(memory, slot);
        self.texts[slot] = Text {
            memory: Some(memory),
            terms,
            length,
            has_vector: !vector.is_empty(),
        };
    }

    /// Vectors of another length come only after a reset, when there are none.
    fn change_dimension(&mut self, dimension: usize) {
        self.dimension = dimension;
        self.vectors = vec![0.0; self.texts.len() * dimension];
        self.texts
            .iter_mut()
            .for_each(|text| text.has_vector = false);
    }

    fn remove(&mut self, memory: MemoryId) {
        let Some(slot) = self.slots.remove(&memory) else {
            return;
        };
        let text = std::mem::take(&mut self.texts[slot]);
        for word in text.terms.counts() {
            if let Some(list) = self.postings.get_mut(&word.term) {
                list.retain(|posting| posting.slot != slot);
                if list.is_empty() {
                    self.postings.remove(&word.term);
                }
            }
        }
        self.vectors[slot * self.dimension..][..self.dimension].fill(0.0);
        self.words -= u64::from(text.length);
        self.free.push(slot);
    }

    /// The best of each kind, each once, with both scores.
    pub(super) fn search(&self, query: &IndexQuery) -> Vec<IndexHit> {
        let cosines = query
            .embedding
            .as_ref()
            .map(|embedding| self.cosines(embedding.values()));
        let bm25 = self.bm25(&query.terms);
        let cosine = |slot: usize| {
            let known = self.texts[slot].has_vector;
            cosines
                .as_ref()
                .filter(|_| known)
                .and_then(|cosines| cosines.get(slot).copied())
        };
        let by_meaning = (0..self.texts.len()).filter_map(|slot| Some((cosine(slot)?, slot)));
        let by_words = (0..bm25.len())
            .filter(|slot| bm25[*slot] > 0.0)
            .map(|slot| (bm25[slot], slot));
        let mut found: BTreeSet<usize> = self.best(query.limit, by_meaning).collect();
        found.extend(self.best(query.limit, by_words));
        let hit = |slot: usize| {
            let memory = self.texts[slot].memory?;
            let bm25 = bm25.get(slot).copied().unwrap_or(0.0);
            Some(IndexHit {
                memory,
                cosine: cosine(slot),
                bm25,
            })
        };
        found.into_iter().filter_map(hit).collect()
    }

    /// The cosine of each slot; of those without a vector, 0. None where lengths differ.
    fn cosines(&self, vector: &[f32]) -> Vec<f32> {
        if self.dimension == 0 || vector.len() != self.dimension {
            return Vec::new();
        }
        self.vectors
            .chunks_exact(self.dimension)
            .map(|row| dot(row, vector))
            .collect()
    }

    /// The score of each slot; nothing without words.
    fn bm25(&self, words: &Terms) -> Vec<f32> {
        if words.is_empty() {
            return Vec::new();
        }
        let texts = Texts {
            count: self.len(),
            words: self.words,
        };
        let mut scores = vec![0.0; self.texts.len()];
        for word in words.counts() {
            let Some(list) = self.postings.get(&word.term) else {
                continue;
            };
            let idf = texts.idf(list.len());
            for Posting { slot, count } in list {
                scores[*slot] += idf * texts.weight(*count, self.texts[*slot].length);
            }
        }
        scores
    }

    /// The slots with the highest scores, in no order; of equal ones those of newer memories.
    fn best(
        &self,
        limit: usize,
        scored: impl Iterator<Item = (f32, usize)>,
    ) -> impl Iterator<Item = usize> {
        let mut scored: Vec<_> = scored.collect();
        if limit < scored.len() {
            scored.select_nth_unstable_by(limit, |one, two| self.better_first(*one, *two));
            scored.truncate(limit);
        }
        scored.into_iter().map(|(_, slot)| slot)
    }

    fn better_first(&self, one: (f32, usize), two: (f32, usize)) -> Ordering {
        let memory = |slot: usize| self.texts[slot].memory;
        two.0
            .total_cmp(&one.0)
            .then_with(|| memory(two.1).cmp(&memory(one.1)))
    }
}

#[cfg(test)]
mod tests {
    use domain::memory::Embedding;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const TEXTS: [&str; 4] = [
        "my dog is Rex",
        "tea and a dog",
        "green tea, tea",
        "plain words",
    ];

    fn id(n: u8) -> MemoryId {
        MemoryId::new(Uuid::from_u128(n.into()))
    }

    fn entry(n: u8, text: usize, angle: Option<u8>) -> IndexEntry {
        let vector = |angle: u8| vec![f32::from(angle).cos(), f32::from(angle).sin()];
        let embedding = angle.map(vector).and_then(Embedding::new);
        IndexEntry {
            memory: id(n),
            version: 1,
            terms: Terms::of(TEXTS[text]),
            embedding,
        }
    }

    fn found(profile: &LoadedProfile, query: &IndexQuery) -> Vec<IndexHit> {
        let mut hits = profile.search(query);
        hits.sort_by_key(|hit| hit.memory);
        hits
    }

    proptest! {
        /// Whatever was changed in place, the profile answers like one that was loaded anew.
        #[test]
        fn a_patched_profile_is_like_a_fresh_one(
            steps in prop::collection::vec(
                (0..12_u8, prop::option::of((0..4_usize, prop::option::of(0..20_u8)))), 0..60),
            asked in (0..4_usize, 0..20_u8),
        ) {
            let mut patched = LoadedProfile::default();
            let mut kept = std::collections::BTreeMap::new();
            for (n, change) in steps {
                if let Some((text, angle)) = change {
                    patched.put(entry(n, text, angle));
                    kept.insert(n, (text, angle));
                } else {
                    patched.remove(id(n));
                    kept.remove(&n);
                }
            }
            let mut fresh = LoadedProfile::default();
            fresh.put_all(kept.into_iter().map(|(n, (text, angle))| entry(n, text, angle)).collect());
            let IndexEntry { terms, embedding, .. } = entry(0, asked.0, Some(asked.1));
            for limit in [3, 100] {
                let query = IndexQuery { terms: terms.clone(), embedding: embedding.clone(), limit };
                prop_assert_eq!(found(&patched, &query), found(&fresh, &query));
            }
            prop_assert_eq!(patched.len(), fresh.len());
        }
    }

    #[test]
    fn what_others_removed_is_not_caught_up_with() {
        let mut profile = LoadedProfile::default();
        profile.put_all(vec![entry(1, 0, None), entry(2, 1, None)]);
        assert!(
            !profile.catch_up(&[], 1, 7),
            "one is gone, and nobody says which"
        );
        assert_eq!(profile.revision(), 0, "it is still stale");
        assert!(profile.catch_up(&[], 2, 7));
        assert_eq!(profile.revision(), 7);
    }

    #[test]
    fn of_equal_scores_the_newer_memories_are_found() {
        let mut profile = LoadedProfile::default();
        profile.put_all((1..=9).map(|n| entry(n, 0, Some(0))).collect());
        let IndexEntry { embedding, .. } = entry(0, 0, Some(0));
        let query = IndexQuery {
            terms: Terms::default(),
            embedding,
            limit: 2,
        };
        let hits = found(&profile, &query);
        assert_eq!(
            hits.iter().map(|hit| hit.memory).collect::<Vec<_>>(),
            [id(8), id(9)]
        );
    }
}
