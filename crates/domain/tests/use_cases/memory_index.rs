//! The index follows the rows, whatever happens in between, and is not believed.

use std::pin::pin;
use std::sync::Arc;

use domain::ids::MemoryId;
use domain::memory::MemoryError;
use domain::privacy::PrivacyMode::Normal;
use futures::poll;
use testkit::fixtures::fresh_id;

use crate::common::{ProbedEmbedder, World};

const REX: &str = "My dog is called Rex.";

#[tokio::test]
async fn a_change_made_while_the_older_text_is_being_indexed_wins() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let memory = world.memories.add(user, profile.id(), REX).await.unwrap();
    let embedder = Arc::new(ProbedEmbedder::new("hash"));
    let elsewhere = world.indexer(Some(embedder.clone()));

    let gate = embedder.gate.lock().await;
    let mut slow = pin!(elsewhere.sync(profile.scope(), memory.id));
    assert!(poll!(&mut slow).is_pending(), "it has read the older text");
    let text = "My parrot is called Polly.";
    world
        .memories
        .update(user, profile.id(), memory.id, text)
        .await
        .unwrap();
    world.run_jobs().await;
    drop(gate);
    slow.await.unwrap().commit().await.unwrap();
    assert!(world.found(&profile, "dog Rex").await.is_empty());
    assert_eq!(world.found(&profile, "parrot").await, [text]);
}

#[tokio::test]
async fn a_memory_deleted_while_it_is_being_indexed_leaves_no_entry() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let memory = world.memories.add(user, profile.id(), REX).await.unwrap();
    let gate = world.embedder.gate.lock().await;
    let mut slow = pin!(world.runner.run_next());
    assert!(poll!(&mut slow).is_pending());
    world
        .memories
        .delete(user, profile.id(), memory.id)
        .await
        .unwrap();
    drop(gate);
    slow.await.unwrap();
    assert!(world.entries(&profile).await.is_empty());
}

#[tokio::test]
async fn a_memory_written_while_the_index_is_down_stays_and_is_indexed_later() {
    let world = World::new();
    let (user, profile) = world.user().await;
    world.index.power.down();
    world.memories.add(user, profile.id(), REX).await.unwrap();
    assert_eq!(world.memories_of(&profile).await, [REX]);
    let search = world.memories.search(user, profile.id(), "dog", 5).await;
    assert!(matches!(search, Err(MemoryError::Index(_))));

    world.index.power.up();
    assert!(world.found(&profile, "dog").await.is_empty());
    world.run_jobs().await;
    assert_eq!(world.found(&profile, "dog").await, [REX]);
}

#[tokio::test]
async fn a_memory_deleted_while_the_index_is_down_is_not_found_and_is_cleared_later() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let memory = world.memories.add(user, profile.id(), REX).await.unwrap();
    world.run_jobs().await;
    world.index.power.down();
    world
        .memories
        .delete(user, profile.id(), memory.id)
        .await
        .unwrap();
    world.index.power.up();
    assert_eq!(world.index.inner.total(), 1);
    assert!(world.found(&profile, "dog").await.is_empty(), "rows decide");
    world.run_jobs().await;
    assert_eq!(world.index.inner.total(), 0);
}

#[tokio::test]
async fn what_a_lying_index_returns_is_dropped() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let other = world
        .profiles
        .create(user, "Other", None, false)
        .await
        .unwrap()
        .profile;
    let (bob, foreign) = world.user().await;
    world.memories.add(user, profile.id(), REX).await.unwrap();
    let elsewhere = world
        .memories
        .add(user, other.id(), "My cat is called Mia.")
        .await
        .unwrap();
    let theirs = world
        .memories
        .add(bob, foreign.id(), "My dog is called Bello.")
        .await
        .unwrap();
    let deleted = world
        .memories
        .add(user, profile.id(), "My dog is called Old.")
        .await
        .unwrap();
    world
        .memories
        .delete(user, profile.id(), deleted.id)
        .await
        .unwrap();
    let unknown = MemoryId::new(fresh_id());
    *world.index.lies.lock().unwrap() = vec![elsewhere.id, theirs.id, deleted.id, unknown];

    assert_eq!(world.found(&profile, "dog").await, [REX]);
    let session = world.session(user, Normal).await;
    let told = world.say(user, session, "What is my dog called?").await;
    assert_eq!(told.start.memories.len(), 1);
    assert!(!world.last_prompt()[0].contains("Bello"));
}
