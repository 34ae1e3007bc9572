//! A change of the embedding model, and collections beside each other.

use std::sync::Arc;

use domain::ids::MemoryId;
use domain::memory::{
    Embedder, Embedding, EmbeddingSpace, IndexEntry, IndexError, IndexQuery, MemoryIndex,
    Reindexer, Terms,
};
use domain::privacy::{LearnGrant, RecallGrant};
use testkit::fakes::HashEmbedder;
use testkit::qdrant_server::Misbehaviour;
use testkit::seed;
use tonic::Code;

use crate::world::{World, index_on};

const REX: &str = "My dog is called Rex.";

/// The hashing embedder under another name.
struct Newer(HashEmbedder, EmbeddingSpace);

impl Newer {
    fn new() -> Self {
        let space = EmbeddingSpace {
            model: "newer".to_owned(),
            dimension: HashEmbedder::DIMENSION,
        };
        Self(HashEmbedder::new(), space)
    }
}

#[async_trait::async_trait]
impl Embedder for Newer {
    fn space(&self) -> &EmbeddingSpace {
        &self.1
    }

    async fn embed(
        &self,
        texts: Vec<String>,
        purpose: domain::memory::EmbeddingPurpose,
    ) -> Result<Vec<Embedding>, domain::memory::EmbedError> {
        self.0.embed(texts, purpose).await
    }
}

fn reindexer(world: &World, index: Arc<dyn MemoryIndex>) -> Reindexer {
    Reindexer::new(
        world.store.clone(),
        world.store.clone(),
        index,
        Some(Arc::new(Newer::new())),
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
    let tool = reindexer(&world, newer.clone());
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
async fn a_rebuild_that_is_cut_off_is_cleared_by_the_next_one() {
    let world = World::new().await;
    let profile = world.profile().await;
    let memory = world.learned(&profile, REX).await;
    world.run_jobs().await;
    let space = Newer::new().1;
    drop(world.index.begin_rebuild(Some(&space)).await.unwrap());
    assert_eq!(world.server.collections().len(), 2);
    assert_eq!(
        world.found(&profile, "dog").await,
        [memory.id],
        "the old one serves"
    );
    let tool = reindexer(&world, index_on(&world.server));
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
    let tool = reindexer(&world, index_on(&world.server));
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
