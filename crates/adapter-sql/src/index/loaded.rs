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

    /// Adds an entry, or replaces the one of that memory.
    pub(super) fn put(&mut self, entry: IndexEntry) {
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

    /// Removes the entry of a memory, if there is one.
    pub(super) fn remove(&mut self, memory: MemoryId) {
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
