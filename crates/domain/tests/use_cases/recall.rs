//! What is found, and in which order.

use domain::ids::MemoryId;
use domain::memory::{IndexHit, MemoryContent, RecallConfig, fuse};
use proptest::prelude::*;
use testkit::fixtures::nth_id;

use crate::common::{Setup, World};

#[tokio::test]
async fn the_best_comes_first_and_strangers_do_not_come() {
    let world = World::new();
    let (user, profile) = world.user().await;
    for text in [
        "My dog is called Rex.",
        "My dog eats cheese.",
        "The sun shines in Lisbon.",
    ] {
        world.memories.add(user, profile.id(), text).await.unwrap();
    }
    let found = world.found(&profile, "Does my dog eat cheese?").await;
    assert_eq!(found, ["My dog eats cheese.", "My dog is called Rex."]);
}

#[tokio::test]
async fn no_more_are_found_than_asked_for_and_a_score_never_grows() {
    let world = World::new();
    let (user, profile) = world.user().await;
    for n in 0..6 {
        let text = format!("My dog number {n} likes {}.", "cheese ".repeat(n + 1));
        world.memories.add(user, profile.id(), &text).await.unwrap();
    }
    let found = world
        .memories
        .search(user, profile.id(), "dog cheese", 3)
        .await
        .unwrap()
        .memories;
    assert_eq!(found.len(), 3);
    assert!(found.is_sorted_by(|a, b| a.score >= b.score));
}

#[tokio::test]
async fn without_an_embedder_words_alone_are_searched_and_that_is_told() {
    let world = World::with(Setup {
        without_embedder: true,
        ..Setup::default()
    });
    let (user, profile) = world.user().await;
    world
        .memories
        .add(user, profile.id(), "My dog is called Rex.")
        .await
        .unwrap();
    let result = world
        .memories
        .search(user, profile.id(), "dogs", 5)
        .await
        .unwrap();
    assert_eq!((result.memories.len(), result.words_only), (1, true));
    assert_eq!(world.embedder.calls.take(), 0);
    world.run_jobs().await;
    let nothing = world
        .memories
        .search(user, profile.id(), "who is it?", 5)
        .await
        .unwrap();
    assert!(nothing.memories.is_empty(), "stop words find nothing");
}

#[tokio::test]
async fn deleted_rows_make_room_for_the_next_best() {
    let world = World::new();
    let (user, profile) = world.user().await;
    for n in 0..6 {
        let text = format!("My dog number {n} is called Rex.");
        world.memories.add(user, profile.id(), &text).await.unwrap();
    }
    let all = world
        .memories
        .search(user, profile.id(), "dog Rex", 6)
        .await
        .unwrap()
        .memories;
    world.index.power.down();
    for best in &all[..2] {
        world
            .memories
            .delete(user, profile.id(), best.memory.id)
            .await
            .unwrap();
    }
    world.index.power.up();
    let left = world
        .memories
        .search(user, profile.id(), "dog Rex", 2)
        .await
        .unwrap()
        .memories;
    let ids = |found: &[domain::memory::Recalled]| -> Vec<MemoryId> {
        found.iter().map(|recalled| recalled.memory.id).collect()
    };
    assert_eq!(ids(&left), ids(&all[2..4]));
}

fn hits() -> impl Strategy<Value = Vec<IndexHit>> {
    let scores = (
        prop::option::of(-1.0_f32..1.0),
        prop_oneof![Just(0.0_f32), 0.0_f32..20.0],
    );
    prop::collection::vec(scores, 0..20).prop_map(|all| {
        let hit = |(n, (cosine, bm25))| IndexHit {
            memory: MemoryId::new(nth_id(n)),
            cosine,
            bm25,
        };
        (0..).zip(all).map(hit).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fusing_does_not_depend_on_the_order_of_hits(
        (one, other) in hits().prop_flat_map(|hits| (Just(hits.clone()), Just(hits).prop_shuffle()))
    ) {
        let config = RecallConfig::default();
        prop_assert_eq!(fuse(one, config), fuse(other, config));
    }

    #[test]
    fn fusing_ranks_downwards_and_invents_nothing(hits in hits()) {
        let fused = fuse(hits.clone(), RecallConfig::default());
        prop_assert!(fused.is_sorted_by(|a, b| a.1 >= b.1));
        prop_assert!(fused.iter().all(|(id, _)| hits.iter().any(|hit| hit.memory == *id)));
    }

    #[test]
    fn a_memory_made_of_a_memory_is_the_same(text in "\\PC{0,40}|[ a-zA-Z.!\\t\u{200B}\u{AD}]{0,40}") {
        if let Ok(content) = MemoryContent::new(&text) {
            let again = MemoryContent::new(content.as_str()).unwrap();
            prop_assert_eq!(again.fingerprint(), content.fingerprint());
            prop_assert_eq!(again, content);
        }
    }
}
