//! What owners do with their memories.

use std::time::Duration;

use domain::ids::{MemoryId, ProfileId};
use domain::memory::{MemoryError, Origin};
use domain::page::{PageRequest, Position};
use domain::privacy::PrivacyMode::Normal;
use testkit::fixtures::{a_memory, fresh_id};
use testkit::seed;

use crate::common::World;

const REX: &str = "My dog is called Rex.";

#[tokio::test]
async fn a_memory_written_by_hand_is_found_at_once() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let memory = world
        .memories
        .add(user, profile.id(), "  My dog\n is called Rex. ")
        .await
        .unwrap();
    assert_eq!(
        (memory.content.as_str(), memory.origin),
        (REX, Origin::Manual)
    );
    assert_eq!((memory.version, memory.source), (1, None));

    assert_eq!(world.found(&profile, "What is my dog called?").await, [REX]);
    assert_eq!(
        world
            .memories
            .get(user, profile.id(), memory.id)
            .await
            .unwrap(),
        memory
    );
    let session = world.session(user, Normal).await;
    let told = world.say(user, session, "What is my dog called?").await;
    assert_eq!(told.start.memories[0].memory, memory);
}

#[tokio::test]
async fn the_same_statement_in_another_spelling_is_known() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let other = world
        .profiles
        .create(user, "Other", None, false)
        .await
        .unwrap()
        .profile;
    world.memories.add(user, profile.id(), REX).await.unwrap();
    let twice = world
        .memories
        .add(user, profile.id(), "my dog is called REX!")
        .await;
    assert!(matches!(twice, Err(MemoryError::Known)));
    assert_eq!(world.memories_of(&profile).await, [REX]);
    assert!(
        world.memories.add(user, other.id(), REX).await.is_ok(),
        "another profile"
    );
}

#[tokio::test]
async fn a_change_counts_the_version_up_and_moves_what_is_found() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let memory = world.memories.add(user, profile.id(), REX).await.unwrap();
    world.clock.advance(Duration::from_mins(1));
    let text = "My parrot is called Polly.";
    let changed = world
        .memories
        .update(user, profile.id(), memory.id, text)
        .await
        .unwrap();
    assert_eq!(
        (changed.version, changed.created_at),
        (2, memory.created_at)
    );
    assert_eq!(changed.updated_at, world.now());
    world.run_jobs().await;
    assert!(world.found(&profile, "dog Rex").await.is_empty());
    assert_eq!(world.found(&profile, "parrot").await, [text]);
    assert_eq!(world.entries(&profile).await, [memory.id]);
}

#[tokio::test]
async fn a_change_cannot_say_what_another_memory_says() {
    let world = World::new();
    let (user, profile) = world.user().await;
    world.memories.add(user, profile.id(), REX).await.unwrap();
    let mia = world
        .memories
        .add(user, profile.id(), "My cat is called Mia.")
        .await
        .unwrap();
    let twin = world.memories.update(user, profile.id(), mia.id, REX).await;
    assert!(matches!(twin, Err(MemoryError::Known)));
    assert_eq!(
        world
            .memories
            .get(user, profile.id(), mia.id)
            .await
            .unwrap(),
        mia
    );
}

#[tokio::test]
async fn a_deleted_memory_is_gone_from_rows_index_and_search_at_once() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let memory = world.memories.add(user, profile.id(), REX).await.unwrap();
    world
        .memories
        .delete(user, profile.id(), memory.id)
        .await
        .unwrap();

    assert!(world.memories_of(&profile).await.is_empty());
    assert!(world.entries(&profile).await.is_empty());
    assert!(world.found(&profile, "dog").await.is_empty());
    world.run_jobs().await;
    assert!(
        world.entries(&profile).await.is_empty(),
        "no job revives it"
    );
    let twice = world.memories.delete(user, profile.id(), memory.id).await;
    assert!(matches!(twice, Err(MemoryError::NotFound)));
}

#[tokio::test]
async fn deleting_all_empties_one_profile_and_no_other() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let other = world
        .profiles
        .create(user, "Other", None, false)
        .await
        .unwrap()
        .profile;
    for n in 0..3 {
        let text = format!("I own boat number {n}.");
        world.memories.add(user, profile.id(), &text).await.unwrap();
        world.memories.add(user, other.id(), &text).await.unwrap();
    }
    assert_eq!(
        world.memories.delete_all(user, profile.id()).await.unwrap(),
        3
    );
    assert!(world.entries(&profile).await.is_empty());
    world.run_jobs().await;
    assert!(world.found(&profile, "boat").await.is_empty());
    assert_eq!(world.found(&other, "boat").await.len(), 3);
    assert_eq!(
        world.memories.delete_all(user, profile.id()).await.unwrap(),
        0
    );
}

#[tokio::test]
async fn copying_adds_what_the_other_profile_does_not_know() {
    let world = World::new();
    let (user, from) = world.user().await;
    let to = world
        .profiles
        .create(user, "Other", None, false)
        .await
        .unwrap()
        .profile;
    let session = world.session(user, Normal).await;
    world.say(user, session, REX).await;
    world.run_jobs().await;
    world
        .memories
        .add(user, from.id(), "My cat is called Mia.")
        .await
        .unwrap();
    world
        .memories
        .add(user, to.id(), "my cat is called mia")
        .await
        .unwrap();

    assert_eq!(
        world
            .memories
            .copy_all(user, from.id(), to.id())
            .await
            .unwrap(),
        1
    );
    world.run_jobs().await;
    assert_eq!(world.found(&to, "dog").await, [REX]);
    assert_eq!(world.found(&from, "dog").await, [REX], "the original stays");
    let copies = world
        .memories
        .list(user, to.id(), PageRequest::first(10))
        .await
        .unwrap()
        .items;
    let copy = copies
        .iter()
        .find(|memory| memory.content.as_str() == REX)
        .unwrap();
    assert_eq!(copy.origin, Origin::Copied);
    assert!(copy.source.is_some(), "what it was drawn from stays known");
    assert_eq!(
        world
            .memories
            .copy_all(user, from.id(), to.id())
            .await
            .unwrap(),
        0
    );
    let itself = world.memories.copy_all(user, from.id(), from.id()).await;
    assert!(matches!(itself, Err(MemoryError::SameProfile)));
}

#[tokio::test]
async fn a_copy_is_whole_however_many_there_are() {
    let world = World::new();
    let (user, from) = world.user().await;
    let to = world
        .profiles
        .create(user, "Other", None, false)
        .await
        .unwrap()
        .profile;
    for n in 0..505 {
        let memory = a_memory(&from, &format!("I own boat number {n}."));
        seed::add_memory(&*world.store, &from, &memory).await;
    }
    assert_eq!(
        world
            .memories
            .copy_all(user, from.id(), to.id())
            .await
            .unwrap(),
        505
    );
}

#[tokio::test]
async fn memories_are_listed_newest_first_page_by_page() {
    let world = World::new();
    let (user, profile) = world.user().await;
    for n in 0..5 {
        world.clock.advance(Duration::from_secs(1));
        let text = format!("I own boat number {n}.");
        world.memories.add(user, profile.id(), &text).await.unwrap();
    }
    let (mut seen, mut page) = (Vec::new(), PageRequest::first(2));
    loop {
        let listed = world.memories.list(user, profile.id(), page).await.unwrap();
        seen.extend(
            listed
                .items
                .iter()
                .map(|memory| memory.content.as_str().to_owned()),
        );
        let Some(cursor) = listed.next else { break };
        page.position = Position::After(cursor);
    }
    let expected: Vec<_> = (0..5)
        .rev()
        .map(|n| format!("I own boat number {n}."))
        .collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_profile_or_memory_of_another_does_not_exist() {
    let world = World::new();
    let (ada, own) = world.user().await;
    let (bob, foreign) = world.user().await;
    let theirs = world.memories.add(bob, foreign.id(), REX).await.unwrap();
    let page = PageRequest::first(10);
    for profile in [foreign.id(), ProfileId::new(fresh_id())] {
        let results = [
            world.memories.list(ada, profile, page).await.map(drop),
            world.memories.get(ada, profile, theirs.id).await.map(drop),
            world
                .memories
                .search(ada, profile, "dog", 5)
                .await
                .map(drop),
            world
                .memories
                .add(ada, profile, "I am Ada.")
                .await
                .map(drop),
            world
                .memories
                .update(ada, profile, theirs.id, "I am Ada.")
                .await
                .map(drop),
            world.memories.delete(ada, profile, theirs.id).await,
            world.memories.delete_all(ada, profile).await.map(drop),
            world
                .memories
                .copy_all(ada, profile, own.id())
                .await
                .map(drop),
            world
                .memories
                .copy_all(ada, own.id(), profile)
                .await
                .map(drop),
        ];
        for (call, result) in results.iter().enumerate() {
            assert!(
                matches!(result, Err(MemoryError::ProfileNotFound)),
                "call {call}: {result:?}"
            );
        }
    }
    assert_eq!(world.memories_of(&foreign).await, [REX]);
    assert!(world.memories_of(&own).await.is_empty());
}

#[tokio::test]
async fn a_memory_is_reached_through_its_own_profile_only() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let other = world
        .profiles
        .create(user, "Other", None, false)
        .await
        .unwrap()
        .profile;
    let (bob, foreign) = world.user().await;
    let here = world
        .memories
        .add(user, profile.id(), REX)
        .await
        .unwrap()
        .id;
    let theirs = world.memories.add(bob, foreign.id(), REX).await.unwrap().id;
    let through = other.id();
    for id in [here, theirs, MemoryId::new(fresh_id())] {
        let results = [
            world.memories.get(user, through, id).await.map(drop),
            world
                .memories
                .update(user, through, id, "I moved.")
                .await
                .map(drop),
            world.memories.delete(user, through, id).await,
        ];
        for (call, result) in results.iter().enumerate() {
            assert!(
                matches!(result, Err(MemoryError::NotFound)),
                "call {call}: {result:?}"
            );
        }
    }
    assert_eq!(world.found(&profile, "dog").await, [REX]);
    assert_eq!(world.found(&foreign, "dog").await, [REX]);
}

#[tokio::test]
async fn texts_that_are_no_memory_or_no_query_are_refused() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let memory = world.memories.add(user, profile.id(), REX).await.unwrap();
    for text in ["", " \n ", "a\0b", &"x".repeat(2001)] {
        let added = world.memories.add(user, profile.id(), text).await;
        assert!(matches!(added, Err(MemoryError::Content(_))));
        let changed = world
            .memories
            .update(user, profile.id(), memory.id, text)
            .await;
        assert!(matches!(changed, Err(MemoryError::Content(_))));
    }
    for query in ["", "  ", &"x".repeat(2001)] {
        let searched = world.memories.search(user, profile.id(), query, 5).await;
        assert!(matches!(searched, Err(MemoryError::Query)));
    }
}
