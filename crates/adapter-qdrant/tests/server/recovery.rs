//! What the server lost, kept or mixed up is mended from the rows.

use domain::jobs::JobOutcome;
use domain::memory::{Memory, MemoryIndex};
use domain::store::Store;
use testkit::fixtures::content;

use crate::world::World;

const REX: &str = "My dog is called Rex.";

#[tokio::test(flavor = "multi_thread")]
async fn a_server_restored_from_an_old_snapshot_is_filled_up_again() {
    let world = World::new().await;
    let profile = world.profile().await;
    let kept = world.learned(&profile, REX).await;
    let deleted = world.learned(&profile, "My cat is called Mia.").await;
    let old = world.learned(&profile, "My parrot is called Polly.").await;
    world.run_jobs().await;

    let new = Memory {
        content: content("My parrot is called Coco."),
        version: 2,
        ..old.clone()
    };
    world.change_row(&profile, &new).await;
    let added = world.learned(&profile, "My fish is called Blub.").await;
    world.delete_row(&deleted).await;
    world.enqueue(&deleted).await;
    world.run_jobs().await;
    assert_eq!(world.held().await, [kept.id, old.id, added.id]);

    world.server.lose_last_writes(3);
    assert_eq!(world.held().await, [kept.id, deleted.id, old.id]);
    assert!(
        !world.found(&profile, "cat").await.contains(&deleted.id),
        "rows decide"
    );
    let found = world.reconcile().await;
    assert_eq!((found.missing, found.orphans), (2, 1));
    assert_eq!(world.held().await, [kept.id, old.id, added.id]);
    assert_eq!(world.found(&profile, "fish").await[0], added.id);
    assert_eq!(world.found(&profile, "Coco").await[0], old.id);
    let found = world.reconcile().await;
    assert_eq!((found.missing, found.orphans), (0, 0), "all is well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_without_a_row_is_never_returned_and_is_removed() {
    let world = World::new().await;
    let profile = world.profile().await;
    let memory = world.learned(&profile, REX).await;
    world.run_jobs().await;
    world.delete_row(&memory).await;
    assert_eq!(world.server.total(), 1);
    assert!(world.found(&profile, "dog").await.is_empty());
    let found = world.reconcile().await;
    assert_eq!((found.missing, found.orphans), (0, 1));
    assert_eq!(world.server.total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn points_of_a_profile_that_is_gone_are_removed() {
    let world = World::new().await;
    let (gone, kept) = (world.profile().await, world.profile().await);
    world.learned(&gone, REX).await;
    let memory = world.learned(&kept, REX).await;
    world.run_jobs().await;
    let mut work = world.store.begin(gone.user()).await.unwrap();
    work.profiles().remove(gone.id()).await.unwrap();
    work.commit().await.unwrap();
    assert_eq!(world.reconcile().await.orphans, 1);
    assert_eq!(world.held().await, [memory.id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_that_names_another_owner_is_dropped_told_and_made_anew() {
    let world = World::new().await;
    let (ada, bob) = (world.profile().await, world.profile().await);
    let memory = world.learned(&ada, REX).await;
    world.run_jobs().await;
    let (user, profile) = (bob.user().as_uuid(), bob.id().as_uuid());
    assert!(
        world
            .server
            .change_owner(memory.id.as_uuid(), user, profile)
    );

    assert!(world.found(&bob, "dog").await.is_empty(), "rows decide");
    assert!(world.found(&ada, "dog").await.is_empty());
    // Writing it again is refused loudly as long as it seems to be somebody else's.
    world.enqueue(&memory).await;
    let outcomes = world.run_jobs().await;
    assert!(
        matches!(outcomes[..], [JobOutcome::Retry { .. }]),
        "{outcomes:?}"
    );
    assert_eq!(world.index.foreign_points(), 1);

    let found = world.reconcile().await;
    assert_eq!((found.missing, found.orphans), (1, 1));
    assert_eq!(world.found(&ada, "dog").await, [memory.id]);
    assert!(
        world
            .index
            .entries(bob.scope(), None, 10)
            .await
            .unwrap()
            .is_empty()
    );
}
