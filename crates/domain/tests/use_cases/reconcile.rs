//! The index loses, keeps and mixes up entries; comparing it with the rows mends it both ways.

use std::time::Duration;

use domain::jobs::{JobQueue, RetryPolicy};
use domain::memory::{Embedding, IndexEntry, MemoryIndex, Place, Reconciled};
use domain::privacy::LearnGrant;
use domain::profile::Profile;
use testkit::fakes::HashEmbedder;
use testkit::seed;

use crate::common::{Setup, World};

const REX: &str = "My dog is called Rex.";

/// A whole round; what it found, and in how many steps.
async fn round(world: &World) -> (Reconciled, usize) {
    let (mut found, mut place, mut steps) = (Reconciled::default(), Place::Start, 0);
    while place != Place::End {
        let (next, more) = world.reindexer.reconcile(place).await.unwrap();
        found += more;
        place = next;
        steps += 1;
    }
    (found, steps)
}

async fn mended(world: &World) -> (u64, u64) {
    let (found, _) = round(world).await;
    world.run_jobs().await;
    (found.missing, found.orphans)
}

/// A world in which nothing is new any more.
async fn settled(world: &World) {
    world.run_jobs().await;
    world.clock.advance(Duration::from_mins(5));
}

async fn add(world: &World, profile: &Profile, text: &str) -> domain::memory::Memory {
    let added = world.memories.add(profile.user(), profile.id(), text).await;
    added.unwrap()
}

fn entry_of(memory: &domain::memory::Memory) -> IndexEntry {
    let numbers = vec![1.0; HashEmbedder::DIMENSION];
    IndexEntry::of(memory, Embedding::new(numbers))
}

#[tokio::test]
async fn where_nothing_is_wrong_nothing_is_touched() {
    let world = World::new();
    let (_, profile) = world.user().await;
    add(&world, &profile, REX).await;
    settled(&world).await;
    world.index.upserts.take();
    assert_eq!(mended(&world).await, (0, 0));
    assert_eq!(world.index.upserts.take(), 0);
}

#[tokio::test]
async fn what_the_index_lost_is_indexed_again() {
    let world = World::new();
    let (_, profile) = world.user().await;
    let kept = add(&world, &profile, REX).await;
    let lost = add(&world, &profile, "My cat is called Mia.").await;
    settled(&world).await;
    let scope = profile.scope();
    world.index.remove(scope, Some(&[lost.id])).await.unwrap();
    assert!(world.found(&profile, "cat").await.is_empty());
    assert_eq!(mended(&world).await, (1, 0));
    assert_eq!(world.found(&profile, "cat").await.len(), 1);
    assert_eq!(world.entries(&profile).await, [kept.id, lost.id]);
    assert_eq!(mended(&world).await, (0, 0));
}

#[tokio::test]
async fn an_entry_of_an_older_version_is_made_anew() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let old = add(&world, &profile, REX).await;
    let text = "My parrot is called Polly.";
    let updated = world.memories.update(user, profile.id(), old.id, text);
    updated.await.unwrap();
    settled(&world).await;
    let grant = LearnGrant::by_owner(&profile);
    world
        .index
        .upsert(&grant, vec![entry_of(&old)])
        .await
        .unwrap();
    assert_eq!(mended(&world).await, (1, 0));
    assert_eq!(world.found(&profile, "parrot").await, [text]);
    assert_eq!(mended(&world).await, (0, 0));
}

#[tokio::test]
async fn an_entry_that_lost_its_vector_gets_it_back() {
    let world = World::new();
    let (_, profile) = world.user().await;
    let memory = add(&world, &profile, REX).await;
    settled(&world).await;
    let grant = LearnGrant::by_owner(&profile);
    let bare = IndexEntry::of(&memory, None);
    world.index.upsert(&grant, vec![bare]).await.unwrap();
    assert_eq!(mended(&world).await, (1, 0));
    let entries = world.index.entries(profile.scope(), None, 10).await;
    assert!(entries.unwrap()[0].with_vector);
}

#[tokio::test]
async fn an_entry_without_a_row_is_removed_and_never_found_before() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let memory = add(&world, &profile, REX).await;
    let id = profile.id();
    world.memories.delete(user, id, memory.id).await.unwrap();
    settled(&world).await;
    let grant = LearnGrant::by_owner(&profile);
    let back = vec![entry_of(&memory)];
    world.index.upsert(&grant, back).await.unwrap();
    assert!(world.found(&profile, "dog").await.is_empty());
    assert_eq!(mended(&world).await, (0, 1));
    assert_eq!(world.index.inner.total(), 0);
}

#[tokio::test]
async fn entries_of_a_profile_that_is_gone_are_removed() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let other = world.profiles.create(user, "Other", None, false).await;
    let other = other.unwrap().profile;
    let memory = add(&world, &other, REX).await;
    add(&world, &profile, "My cat is called Mia.").await;
    world.profiles.delete(user, other.id()).await.unwrap();
    settled(&world).await;
    let grant = LearnGrant::by_owner(&other);
    let back = vec![entry_of(&memory)];
    world.index.upsert(&grant, back).await.unwrap();
    assert_eq!(mended(&world).await, (0, 1));
    assert_eq!(world.index.inner.total(), 1, "the other profile's stays");
}

#[tokio::test]
async fn an_entry_under_a_wrong_owner_is_removed_and_made_anew_under_the_right_one() {
    let world = World::new();
    let (_, ada) = world.user().await;
    let (_, bob) = world.user().await;
    let memory = add(&world, &ada, REX).await;
    settled(&world).await;
    world.index.remove(ada.scope(), None).await.unwrap();
    let grant = LearnGrant::by_owner(&bob);
    let moved = vec![entry_of(&memory)];
    world.index.upsert(&grant, moved).await.unwrap();
    assert!(world.found(&bob, "dog").await.is_empty(), "rows decide");
    assert_eq!(mended(&world).await, (1, 1));
    assert_eq!(world.entries(&ada).await, [memory.id]);
    assert!(world.entries(&bob).await.is_empty());
    assert_eq!(world.found(&ada, "dog").await, [REX]);
}

#[tokio::test]
async fn what_was_just_written_is_left_to_its_own_job() {
    let world = World::new();
    let (_, profile) = world.user().await;
    seed::memory(&*world.store, &profile, REX).await;
    assert_eq!(round(&world).await.0.missing, 0);
    world.clock.advance(Duration::from_mins(5));
    assert_eq!(round(&world).await.0.missing, 1);
}

#[tokio::test]
async fn a_round_goes_in_bounded_steps_over_every_profile() {
    let world = World::new();
    for _ in 0..50 {
        let (_, profile) = world.user().await;
        seed::memory(&*world.store, &profile, REX).await;
    }
    world.clock.advance(Duration::from_mins(5));
    let (found, steps) = round(&world).await;
    assert_eq!((found.profiles, found.missing), (50, 50));
    assert!(steps > 3, "{steps}");
    assert_eq!(world.run_jobs().await.len(), 50);
    assert_eq!(world.index.inner.total(), 50);
    assert_eq!(mended(&world).await, (0, 0));
}

#[tokio::test]
async fn an_index_that_is_down_is_not_taken_for_an_empty_one() {
    let world = World::new();
    let (_, profile) = world.user().await;
    add(&world, &profile, REX).await;
    settled(&world).await;
    world.index.power.down();
    assert!(world.reindexer.reconcile(Place::Start).await.is_err());
    assert_eq!(world.reindexer.enqueue_missing().await.unwrap(), 0);
    world.index.power.up();
    assert_eq!(mended(&world).await, (0, 0));
}

#[tokio::test]
async fn what_was_given_up_while_the_index_was_down_is_forgotten_once_it_is_mended() {
    let policy = RetryPolicy {
        max_attempts: 1,
        ..RetryPolicy::default()
    };
    let world = World::with(Setup {
        policy,
        ..Setup::default()
    });
    let (user, profile) = world.user().await;
    let gone = add(&world, &profile, REX).await;
    settled(&world).await;
    world.index.power.down();
    add(&world, &profile, "My cat is called Mia.").await;
    let removed = world.memories.delete(user, profile.id(), gone.id).await;
    removed.unwrap();
    settled(&world).await;
    let dead = async || world.rows.depth().await.unwrap().dead;
    assert_eq!(dead().await, 2);

    world.index.power.up();
    assert_eq!(mended(&world).await, (1, 1));
    assert_eq!(dead().await, 1, "it may still fail");
    assert_eq!(mended(&world).await, (0, 0));
    assert_eq!(dead().await, 0);
    assert_eq!(world.found(&profile, "cat").await.len(), 1);
}

#[tokio::test]
async fn processes_that_compare_at_the_same_time_enqueue_once() {
    let world = World::new();
    let (_, profile) = world.user().await;
    let lost = add(&world, &profile, REX).await;
    settled(&world).await;
    let scope = profile.scope();
    world.index.remove(scope, Some(&[lost.id])).await.unwrap();
    let rounds = (0..8).map(|_| round(&world));
    futures::future::join_all(rounds).await;
    assert_eq!(world.rows.depth().await.unwrap().pending, 1);
}
