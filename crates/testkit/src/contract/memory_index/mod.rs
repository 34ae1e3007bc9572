//! The contract of [`MemoryIndex`]: walled in by scope, exact scores, gone when removed.

mod rebuild;
mod reference;
mod scope;
mod search;
mod spaces;
mod writing;

use std::future::Future;
use std::sync::Arc;

use domain::ids::MemoryId;
use domain::memory::{
    Embedding, EmbeddingSpace, IndexEntry, IndexHit, IndexQuery, MemoryIndex, Terms,
};
use domain::privacy::{LearnGrant, RecallGrant};
use domain::profile::Profile;
use domain::store::Store;

use crate::{contract, seed};

/// One empty index, and the rows it may be keyed to.
pub struct IndexHarness {
    /// The index.
    pub index: Arc<dyn MemoryIndex>,
    /// The store that holds the memories themselves.
    pub store: Arc<dyn Store>,
    /// Another instance over the same data, where there can be one: it must see what the first wrote.
    pub second: Option<Arc<dyn MemoryIndex>>,
}

/// Length of the suite's vectors.
const DIMENSION: usize = 8;

fn space() -> EmbeddingSpace {
    EmbeddingSpace {
        model: "contract/8".to_owned(),
        dimension: DIMENSION,
    }
}

/// A vector of length 1 from its first few numbers.
fn vector(numbers: &[f32]) -> Embedding {
    let mut values = numbers.to_vec();
    values.resize(DIMENSION, 0.0);
    Embedding::new(values).unwrap()
}

fn words(text: &str) -> IndexQuery {
    IndexQuery {
        terms: Terms::of(text),
        embedding: None,
        limit: 10,
    }
}

fn meaning(numbers: &[f32]) -> IndexQuery {
    IndexQuery {
        terms: Terms::default(),
        embedding: Some(vector(numbers)),
        limit: 10,
    }
}

fn both(text: &str, numbers: &[f32]) -> IndexQuery {
    IndexQuery {
        embedding: Some(vector(numbers)),
        ..words(text)
    }
}

fn entry(memory: MemoryId, text: &str, numbers: Option<&[f32]>) -> IndexEntry {
    IndexEntry {
        memory,
        version: 1,
        terms: Terms::of(text),
        embedding: numbers.map(vector),
    }
}

impl IndexHarness {
    /// A profile of a new user, with the space of the suite recorded.
    async fn profile(&self) -> Profile {
        self.index.adopt(&space()).await.unwrap();
        seed::user_with_profile(&*self.store).await.1
    }

    /// A memory without an entry.
    async fn memory(&self, profile: &Profile, text: &str) -> MemoryId {
        seed::memory(&*self.store, profile, text).await.id
    }

    /// A memory with an entry.
    async fn indexed(&self, profile: &Profile, text: &str, numbers: Option<&[f32]>) -> MemoryId {
        let id = self.memory(profile, text).await;
        self.upsert(profile, vec![entry(id, text, numbers)]).await;
        id
    }

    async fn upsert(&self, profile: &Profile, entries: Vec<IndexEntry>) {
        self.index
            .upsert(&LearnGrant::by_owner(profile), entries)
            .await
            .unwrap();
    }

    /// What is found, in the order of ids.
    async fn search(&self, profile: &Profile, query: &IndexQuery) -> Vec<IndexHit> {
        let grant = RecallGrant::by_owner(profile);
        let mut hits = self.index.search(&grant, query).await.unwrap();
        hits.sort_by_key(|hit| hit.memory);
        hits
    }

    async fn found(&self, profile: &Profile, query: &IndexQuery) -> Vec<MemoryId> {
        self.search(profile, query)
            .await
            .into_iter()
            .map(|hit| hit.memory)
            .collect()
    }

    async fn entries(&self, profile: &Profile) -> Vec<MemoryId> {
        let entries = self.index.entries(profile.scope(), None, 10_000).await;
        entries.unwrap().iter().map(|entry| entry.memory).collect()
    }

    /// Puts an empty index of this space in the place of the present one.
    async fn reset(&self, space: Option<&EmbeddingSpace>) {
        let rebuild = self.index.begin_rebuild(space).await.unwrap();
        rebuild.finish().await.unwrap();
    }
}

/// Checks an index; `fresh` makes an empty one, with an empty store, for each case.
pub async fn check<Fut: Future<Output = IndexHarness>>(fresh: impl Fn() -> Fut) {
    let cases = [
        search::CASES,
        scope::CASES,
        writing::CASES,
        spaces::CASES,
        rebuild::CASES,
    ];
    contract::run("memory index", cases.into_iter().flatten(), fresh).await;
}
