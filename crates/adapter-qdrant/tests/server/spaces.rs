//! A change of the embedding model, and collections beside each other.

use std::sync::Arc;

use domain::ids::MemoryId;
use domain::memory::{
    EmbedError, Embedder, Embedding, EmbeddingPurpose, EmbeddingSpace, IndexEntry, IndexError,
    IndexQuery, Memory, MemoryIndex, Reindexer, Terms,
};
use domain::privacy::{LearnGrant, RecallGrant};
use testkit::fakes::HashEmbedder;
use testkit::fixtures::content;
use testkit::qdrant_server::Misbehaviour;
use testkit::seed;
use tokio::sync::{Mutex, Notify};
use tonic::Code;

use crate::world::{World, index_on};

const REX: &str = "My dog is called Rex.";

/// The hashing embedder, perhaps under another name, that waits while its gate is held.
struct Gated {
    inner: HashEmbedder,
    space: EmbeddingSpace,
    asked: Notify,
    gate: Mutex<()>,
}

impl Gated {
    fn new(model: &str) -> Arc<Self> {
        Arc::new(Self {
            inner: HashEmbedder::new(),
            space: EmbeddingSpace {
                model: model.to_owned(),
                dimension: HashEmbedder::DIMENSION,
            },
            asked: Notify::new(),
            gate: Mutex::default(),
        })
    }

    fn newer() -> Arc<Self> {
        Self::new("newer")
    }
}

#[async_trait::async_trait]
impl Embedder for Gated {
    fn space(&self) -> &EmbeddingSpace {
        &self.space
    }

    async fn embed(
        &self,
        texts: Vec<String>,
        purpose: EmbeddingPurpose,
    ) -> Result<Vec<Embedding>, EmbedError> {
        self.asked.notify_one();
        let _gate = self.gate.lock().await;
        self.inner.embed(texts, purpose).await
    }
}

/// The operator's tool, a process of its own.
fn reindexer(world: &World, index: Arc<dyn MemoryIndex>, embedder: Arc<Gated>) -> Reindexer {
    Reindexer::new(
        world.store.clone(),
        world.store.clone(),
        index,
        Some(embedder),
        world.clock.clone(),
        world.ids.clone(),
    )
}

fn query() -> IndexQuery {
    IndexQuery {
        terms: Terms::of("dog"),
        embedding: Embedding::new(vec![1.0; HashEmbedder::DIMENSION]),
        limit: 5,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_model_goes_into_a_new_collection_and_never_into_the_old_one() {
    let world = World::new().await;
    let profile = world.profile().await;
    let memory = world.learned(&profile, REX).await;
    world.run_jobs().await;
    assert_eq!(world.server.collections(), ["memorychat-1"]);

    let newer = index_on(&world.server);
    let tool = reindexer(&world, newer.clone(), Gated::newer());
    let refused = tool.adopt().await;
    assert!(
        matches!(refused, Err(IndexError::WrongSpace { .. })),
        "{refused:?}"
    );
    tool.rebuild(|_| ()).await.unwrap();
    assert_eq!(
        world.server.collections(),
        ["memorychat-2"],
        "the old one is gone"
    );
    tool.adopt().await.unwrap();

    // A process that still embeds with the old model can neither write nor search, at once: the
    // vectors are of the same length, but they are not of the same space.
    let grant = LearnGrant::by_owner(&profile);
    let entry = IndexEntry::of(&memory, query().embedding);
    let written = world.index.upsert(&grant, vec![entry.clone()]).await;
    assert!(
        matches!(written, Err(IndexError::WrongSpace { .. })),
        "{written:?}"
    );
    let read = RecallGrant::by_owner(&profile);
    let searched = world.index.search(&read, &query()).await;
    assert!(
        matches!(searched, Err(IndexError::WrongSpace { .. })),
        "{searched:?}"
    );
    newer.upsert(&grant, vec![entry]).await.unwrap();
    assert_eq!(newer.search(&read, &query()).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_and_writes_go_on_during_a_rebuild_and_nothing_is_lost() {
    let world = World::new().await;
    let profile = world.profile().await;
    let kept = world.learned(&profile, REX).await;
    let changed = world.learned(&profile, "My parrot is called Polly.").await;
    let deleted = world.learned(&profile, "My cat is called Mia.").await;
    world.run_jobs().await;

    let same = Gated::new(&HashEmbedder::new().space().model);
    let gate = same.gate.lock().await;
    let tool = reindexer(&world, index_on(&world.server), same.clone());
    let meanwhile = async {
        same.asked.notified().await;
        let both = ["memorychat-1", "memorychat-2"];
        assert_eq!(world.server.collections(), both, "it has read the rows");
        assert_eq!(world.found(&profile, "Rex").await[0], kept.id);
        let new = Memory {
            content: content("My parrot is called Coco."),
            version: 2,
            ..changed.clone()
        };
        world.change_row(&profile, &new).await;
        world.delete_row(&deleted).await;
        world.enqueue(&deleted).await;
        let added = world.learned(&profile, "My fish is called Blub.").await;
        world.run_jobs().await;
        assert_eq!(world.found(&profile, "fish").await[0], added.id);
        drop(gate);
        added
    };
    let (rebuilt, added) = tokio::join!(tool.rebuild(|_| ()), meanwhile);
    rebuilt.unwrap();

    assert_eq!(world.server.collections(), ["memorychat-2"]);
    world.run_jobs().await;
    assert_eq!(world.held().await, [kept.id, changed.id, added.id]);
    assert_eq!(world.found(&profile, "Rex").await[0], kept.id);
    assert_eq!(world.found(&profile, "Coco").await[0], changed.id);
    assert_eq!(world.found(&profile, "fish").await[0], added.id);
    let found = world.reconcile().await;
    assert_eq!((found.missing, found.orphans), (0, 0), "all is well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_is_cut_off_is_cleared_by_the_next_one() {
    let world = World::new().await;
    let profile = world.profile().await;
    let memory = world.learned(&profile, REX).await;
    world.run_jobs().await;
    let space = Gated::newer().space.clone();
    drop(world.index.begin_rebuild(Some(&space)).await.unwrap());
    assert_eq!(world.server.collections().len(), 2);
    assert_eq!(
        world.found(&profile, "dog").await,
        [memory.id],
        "the old one serves"
    );
    let tool = reindexer(&world, index_on(&world.server), Gated::newer());
    tool.rebuild(|_| ()).await.unwrap();
    assert_eq!(world.server.collections(), ["memorychat-3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_fails_leaves_the_old_collection_alone() {
    let world = World::new().await;
    let profile = world.profile().await;
    let memory = world.learned(&profile, REX).await;
    world.run_jobs().await;
    world
        .server
        .break_down(Misbehaviour::RefuseWrites(Code::InvalidArgument));
    let tool = reindexer(&world, index_on(&world.server), Gated::newer());
    tool.rebuild(|_| ()).await.unwrap_err();
    world.server.heal();
    assert_eq!(world.server.collections(), ["memorychat-1"]);
    assert_eq!(world.found(&profile, "dog").await, [memory.id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_at_once_make_one_collection() {
    let world = World::new().await;
    let server = testkit::qdrant_server::QdrantServer::start();
    let space = HashEmbedder::new().space().clone();
    let indexes: Vec<_> = (0..8).map(|_| index_on(&server)).collect();
    let starts = indexes.iter().map(|index| index.adopt(&space));
    for started in futures::future::join_all(starts).await {
        started.unwrap();
    }
    assert_eq!(server.collections(), ["memorychat-1"]);
    let profile = world.profile().await;
    let memory = seed::memory(&*world.store, &profile, REX).await;
    let grant = LearnGrant::by_owner(&profile);
    let entry = IndexEntry::of(&memory, query().embedding);
    indexes[0].upsert(&grant, vec![entry]).await.unwrap();
    let read = RecallGrant::by_owner(&profile);
    for index in &indexes {
        let hits = index.search(&read, &query()).await.unwrap();
        let ids: Vec<MemoryId> = hits.iter().map(|hit| hit.memory).collect();
        assert_eq!(ids, [memory.id]);
    }
}
