//! The stand-in for a Qdrant server answers as Qdrant's own engine does:
//! `cargo test -p adapter-qdrant --features embedded-qdrant`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use adapter_qdrant::{EdgeMemoryIndex, QdrantConfig, QdrantMemoryIndex};
use domain::ids::MemoryId;
use domain::memory::{
    Embedding, EmbeddingSpace, IndexEntry, IndexHit, IndexQuery, MemoryIndex, Terms,
};
use domain::privacy::{LearnGrant, RecallGrant};
use domain::profile::Profile;
use testkit::fakes::InMemoryStore;
use testkit::fixtures::fresh_id;
use testkit::qdrant_server::QdrantServer;
use testkit::seed;

const DIMENSION: usize = 8;

const WORDS: [&str; 8] = [
    "dog", "cat", "tea", "bread", "violin", "graz", "green", "morning",
];

/// Numbers that look like chance and are the same in every run.
struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: u16) -> u16 {
        self.0 = (self.0.wrapping_mul(6_364_136_223_846_793_005))
            .wrapping_add(1_442_695_040_888_963_407);
        u16::try_from((self.0 >> 33) % u64::from(sides)).unwrap()
    }

    fn terms(&mut self, most: u16) -> Terms {
        let count = self.roll(most + 1);
        let words = (0..count).map(|_| WORDS[usize::from(self.roll(8))]);
        Terms::of(&words.collect::<Vec<_>>().join(" "))
    }

    fn embedding(&mut self) -> Option<Embedding> {
        let numbers = (0..DIMENSION).map(|_| f32::from(self.roll(2001)) - 1000.0);
        Embedding::new(numbers.collect()).filter(|_| self.roll(4) > 0)
    }

    fn query(&mut self) -> IndexQuery {
        IndexQuery {
            terms: self.terms(3),
            embedding: self.embedding(),
            limit: usize::from(self.roll(12) + 1),
        }
    }
}

/// What both find, in the order of ids.
async fn found(index: &dyn MemoryIndex, profile: &Profile, query: &IndexQuery) -> Vec<IndexHit> {
    let grant = RecallGrant::by_owner(profile);
    let mut hits = index.search(&grant, query).await.unwrap();
    hits.sort_by_key(|hit| hit.memory);
    hits
}

fn assert_same(step: u32, one: &[IndexHit], two: &[IndexHit]) {
    let close = |a: f32, b: f32| (a - b).abs() < 1e-5;
    let same = |(a, b): (&IndexHit, &IndexHit)| {
        let cosines = match (a.cosine, b.cosine) {
            (Some(a), Some(b)) => close(a, b),
            (a, b) => a == b,
        };
        a.memory == b.memory && cosines && close(a.bm25, b.bm25)
    };
    let all = one.len() == two.len() && one.iter().zip(two).all(same);
    assert!(all, "step {step}: {one:?}\n{two:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stand_in_finds_what_the_engine_finds() {
    let (folder, server) = (tempfile::tempdir().unwrap(), QdrantServer::start());
    let engine = EdgeMemoryIndex::new(folder.path());
    let patient = QdrantConfig {
        search_patience: Duration::from_secs(10),
        ..QdrantConfig::new(server.url())
    };
    let stand_in = QdrantMemoryIndex::new(patient).unwrap();
    let both: [&dyn MemoryIndex; 2] = [&stand_in, &engine];
    let space = EmbeddingSpace {
        model: "dice/8".to_owned(),
        dimension: DIMENSION,
    };
    for index in both {
        index.adopt(&space).await.unwrap();
    }
    let store = InMemoryStore::new();
    let (_, ada) = seed::user_with_profile(&store).await;
    let (_, bob) = seed::user_with_profile(&store).await;
    let work = seed::profile(&store, ada.user(), "Work").await;
    let owners = [ada, work, bob];
    let memories: Vec<MemoryId> = (0..45).map(|_| MemoryId::new(fresh_id())).collect();

    let (mut dice, mut hits) = (Dice(4711), 0);
    for step in 0..300 {
        let number = usize::from(dice.roll(45));
        let (owner, memory) = (&owners[number % 3], memories[number]);
        match dice.roll(10) {
            0 => {
                for index in both {
                    index.remove(owner.scope(), Some(&[memory])).await.unwrap();
                }
            }
            1..=4 => {
                let entry = IndexEntry {
                    memory,
                    version: step,
                    terms: dice.terms(6),
                    embedding: dice.embedding(),
                };
                for index in both {
                    let grant = LearnGrant::by_owner(owner);
                    index.upsert(&grant, vec![entry.clone()]).await.unwrap();
                }
            }
            _ => {
                let query = dice.query();
                let theirs = found(&engine, owner, &query).await;
                assert_same(step, &found(&stand_in, owner, &query).await, &theirs);
                hits += theirs.len();
            }
        }
    }
    assert!(hits > 100, "there was something to find: {hits}");
    for owner in &owners {
        let [one, two] = both.map(|index| index.entries(owner.scope(), None, 100));
        assert_eq!(one.await.unwrap(), two.await.unwrap());
    }
    let [one, two] = both.map(|index| index.owners(None, 100));
    assert_eq!(one.await.unwrap(), two.await.unwrap());
}
