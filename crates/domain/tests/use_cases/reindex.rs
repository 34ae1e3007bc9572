//! Making the index anew, and finding what it lacks.

use std::pin::pin;
use std::sync::Arc;

use domain::memory::{Embedder, IndexError, ReindexError, ReindexReport, Reindexer};
use futures::poll;
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
        assert_eq!(world.entries(profile).await.len(), 40);
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

#[tokio::test]
async fn what_is_written_during_a_rebuild_is_in_the_new_index_too() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let add = async |text| {
        let added = world.memories.add(user, profile.id(), text).await;
        added.unwrap().id
    };
    let changed = add("My dog is called Rex.").await;
    let deleted = add("My cat is called Mia.").await;
    world.run_jobs().await;

    let newer = Arc::new(ProbedEmbedder::new("newer"));
    let reindexer = world.reindexer(Some(newer.clone()));
    let gate = newer.gate.lock().await;
    let mut rebuild = pin!(reindexer.rebuild(|_| ()));
    assert!(poll!(&mut rebuild).is_pending(), "it has read the rows");
    assert_eq!(
        world.found(&profile, "dog").await.len(),
        1,
        "the old one serves"
    );
    let (id, text) = (profile.id(), "My dog is called Max.");
    world
        .memories
        .update(user, id, changed, text)
        .await
        .unwrap();
    world.memories.delete(user, id, deleted).await.unwrap();
    let added = add("My parrot is called Polly.").await;
    world.run_jobs().await;
    drop(gate);
    rebuild.await.unwrap();

    world.run_jobs().await;
    assert_eq!(world.entries(&profile).await, [changed, added]);
    assert_eq!(world.found(&profile, "dog Max Rex").await, [text]);
    assert!(world.found(&profile, "cat").await.is_empty());
    assert_eq!(world.found(&profile, "parrot").await.len(), 1);
}

#[tokio::test]
async fn a_rebuild_that_fails_leaves_the_old_index_serving() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let text = "My dog is called Rex.";
    world.memories.add(user, profile.id(), text).await.unwrap();
    let newer = Arc::new(ProbedEmbedder::new("newer"));
    newer.fail(true);
    let failed = world.reindexer(Some(newer)).rebuild(|_| ()).await;
    assert!(matches!(failed, Err(ReindexError::Embed(_))));
    world.reindexer.adopt().await.unwrap();
    assert_eq!(world.found(&profile, "dog").await, [text]);
}
