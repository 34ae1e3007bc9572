//! Making the index anew, and finding what it lacks.

use std::sync::Arc;

use domain::memory::{Embedder, IndexError, MemoryIndex, ReindexReport, Reindexer};
use testkit::fixtures::a_memory;
use testkit::seed;

use crate::common::{ProbedEmbedder, Setup, World};

/// The operator's tools after a change of the embedding model.
fn reindexer(world: &World, model: &str) -> Reindexer {
    let embedder: Arc<dyn Embedder> = Arc::new(ProbedEmbedder::new(model));
    world.reindexer(Some(embedder))
}

#[tokio::test]
async fn an_index_of_another_model_is_refused_until_it_is_rebuilt() {
    let world = World::new();
    let (user, profile) = world.user().await;
    world.reindexer.adopt().await.unwrap();
    world.reindexer.adopt().await.expect("it is its own");
    world
        .memories
        .add(user, profile.id(), "My dog is called Rex.")
        .await
        .unwrap();

    let newer = reindexer(&world, "newer");
    let refused = newer.adopt().await;
    let told = |recorded: &str| recorded == "hash";
    assert!(matches!(refused, Err(IndexError::WrongSpace { recorded }) if told(&recorded.model)));
    newer.rebuild(|_| ()).await.unwrap();
    newer.adopt().await.unwrap();
    assert!(
        world.reindexer.adopt().await.is_err(),
        "now the older one is wrong"
    );
    assert_eq!(world.found(&profile, "dog").await.len(), 1);
}

#[tokio::test]
async fn a_rebuild_fills_the_index_from_every_row_and_tells_how_far_it_is() {
    let world = World::new();
    let mut profiles = Vec::new();
    for _ in 0..3 {
        let (_, profile) = world.user().await;
        for n in 0..40 {
            let memory = a_memory(&profile, &format!("I own boat number {n}."));
            seed::add_memory(&*world.store, &profile, &memory).await;
        }
        profiles.push(profile);
    }
    assert_eq!(world.index.inner.total(), 0);

    let mut told = Vec::new();
    let report = world
        .reindexer
        .rebuild(|so_far| told.push(so_far.memories))
        .await
        .unwrap();
    assert_eq!(
        report,
        ReindexReport {
            profiles: 3,
            memories: 120
        }
    );
    assert!(
        told.len() > 3 && told.is_sorted() && told.last() == Some(&120),
        "{told:?}"
    );
    for profile in &profiles {
        assert_eq!(
            world.index.entries(profile.scope()).await.unwrap().len(),
            40
        );
        assert!(!world.found(profile, "boat").await.is_empty());
    }
    assert_eq!(
        world.reindexer.enqueue_missing().await.unwrap(),
        0,
        "the rows know"
    );
}

#[tokio::test]
async fn a_rebuild_drops_what_has_no_row() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let memory = world
        .memories
        .add(user, profile.id(), "My dog is called Rex.")
        .await
        .unwrap();
    world.index.power.down();
    world
        .memories
        .delete(user, profile.id(), memory.id)
        .await
        .unwrap();
    world.index.power.up();
    world.reindexer.rebuild(|_| ()).await.unwrap();
    assert_eq!(world.index.inner.total(), 0);
}

#[tokio::test]
async fn memories_known_by_words_get_their_vectors_once_there_is_an_embedder() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let memory = seed::memory(&*world.store, &profile, "My dog is called Rex.").await;
    let by_words = world.indexer(None);
    by_words
        .sync(profile.scope(), memory.id)
        .await
        .unwrap()
        .commit()
        .await
        .unwrap();
    assert_eq!(world.embedder.calls.take(), 0);

    assert_eq!(world.reindexer.enqueue_missing().await.unwrap(), 1);
    assert_eq!(
        world.reindexer.enqueue_missing().await.unwrap(),
        0,
        "it is on its way"
    );
    world.run_jobs().await;
    assert_eq!(world.embedder.calls.take(), 1, "it has its vector");
    assert_eq!(world.reindexer.enqueue_missing().await.unwrap(), 0);
    assert!(
        world
            .memories
            .get(user, profile.id(), memory.id)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn without_an_embedder_words_are_enough() {
    let world = World::with(Setup {
        without_embedder: true,
        ..Setup::default()
    });
    let (_, profile) = world.user().await;
    seed::memory(&*world.store, &profile, "My dog is called Rex.").await;
    world.reindexer.adopt().await.unwrap();
    assert_eq!(world.reindexer.enqueue_missing().await.unwrap(), 1);
    world.run_jobs().await;
    assert_eq!(world.reindexer.enqueue_missing().await.unwrap(), 0);
    assert_eq!(world.found(&profile, "dog").await.len(), 1);
}
