//! The walls between a user's sets of memories.

use std::time::Duration;

use domain::ids::ProfileId;
use domain::privacy::PrivacyMode;
use domain::profile::{ProfileChange, ProfileError};
use testkit::fixtures::fresh_id;
use testkit::seed;

use crate::common::World;

#[tokio::test]
async fn the_first_profile_is_the_default_whatever_is_asked_for() {
    let world = World::new();
    let user = seed::user(&*world.store).await.id;
    let first = world
        .profiles
        .create(user, " Work ", None, false)
        .await
        .unwrap();
    assert!(first.profile.is_default());
    assert_eq!(first.profile.name(), "Work");
    let second = world
        .profiles
        .create(user, "Home", None, false)
        .await
        .unwrap();
    assert!(!second.profile.is_default());
}

#[tokio::test]
async fn exactly_one_profile_is_the_default() {
    let world = World::new();
    let (user, first) = world.user().await;
    let second = world
        .profiles
        .create(user, "Home", None, true)
        .await
        .unwrap()
        .profile;
    assert_eq!(world.default_profiles(user).await, [second.id()]);

    world.profiles.set_default(user, first.id()).await.unwrap();
    assert_eq!(world.default_profiles(user).await, [first.id()]);
    let off = ProfileChange {
        is_default: Some(false),
        ..ProfileChange::default()
    };
    world.profiles.update(user, first.id(), off).await.unwrap();
    assert_eq!(world.default_profiles(user).await, [first.id()]);
}

#[tokio::test]
async fn names_are_unique_per_user_and_a_refused_change_changes_nothing() {
    let world = World::new();
    let (ada, _) = world.user().await;
    let (bob, _) = world.user().await;
    let work = world
        .profiles
        .create(ada, "Work", None, false)
        .await
        .unwrap()
        .profile;
    let home = world
        .profiles
        .create(ada, "Home", None, false)
        .await
        .unwrap()
        .profile;
    let twice = world.profiles.create(ada, "Work", None, false).await;
    assert!(matches!(twice, Err(ProfileError::NameTaken)));

    let rename = ProfileChange {
        name: Some("Work".to_owned()),
        description: Some(Some("changed".to_owned())),
        is_default: Some(true),
    };
    let refused = world.profiles.update(ada, home.id(), rename).await;
    assert!(matches!(refused, Err(ProfileError::NameTaken)));
    assert_eq!(
        world.profiles.get(ada, home.id()).await.unwrap().profile,
        home
    );
    assert!(world.profiles.get(ada, work.id()).await.is_ok());
    assert!(
        world
            .profiles
            .create(bob, "Work", None, false)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn the_only_profile_cannot_be_deleted() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let refused = world.profiles.delete(user, profile.id()).await;
    assert!(matches!(refused, Err(ProfileError::LastProfile)));
    assert!(world.profiles.get(user, profile.id()).await.is_ok());
}

#[tokio::test]
async fn the_oldest_profile_left_becomes_the_default() {
    let world = World::new();
    let (user, oldest) = world.user().await;
    let mut made = Vec::new();
    for name in ["Second", "Third"] {
        world.clock.advance(Duration::from_mins(1));
        made.push(
            world
                .profiles
                .create(user, name, None, true)
                .await
                .unwrap()
                .profile
                .id(),
        );
    }
    world.profiles.delete(user, oldest.id()).await.unwrap();
    assert_eq!(
        world.default_profiles(user).await,
        [made[1]],
        "the default stays what it was"
    );
    world.clock.advance(Duration::from_mins(1));
    world
        .profiles
        .create(user, "Fourth", None, false)
        .await
        .unwrap();
    world.profiles.delete(user, made[1]).await.unwrap();
    assert_eq!(world.default_profiles(user).await, [made[0]]);
}

#[tokio::test]
async fn a_deleted_profile_takes_its_memories_out_of_rows_and_index_but_leaves_its_sessions() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let other = world
        .profiles
        .create(user, "Other", None, false)
        .await
        .unwrap()
        .profile;
    world
        .memories
        .add(user, profile.id(), "My dog is called Rex.")
        .await
        .unwrap();
    world
        .memories
        .add(user, other.id(), "My cat is called Mia.")
        .await
        .unwrap();
    let session = world.session(user, PrivacyMode::Normal).await;
    world.say(user, session, "Hello there!").await;

    world.profiles.delete(user, profile.id()).await.unwrap();
    assert!(world.entries(&profile).await.is_empty(), "at once");
    world.run_jobs().await;
    assert!(world.memories_of(&profile).await.is_empty());
    assert_eq!(world.memories_of(&other).await, ["My cat is called Mia."]);
    let kept = world.sessions.get(user, session).await.unwrap();
    assert_eq!((kept.session.profile, kept.message_count), (None, 2));
}

#[tokio::test]
async fn a_profile_deleted_while_the_index_is_down_is_swept_by_its_job() {
    let world = World::new();
    let (user, profile) = world.user().await;
    world
        .profiles
        .create(user, "Other", None, false)
        .await
        .unwrap();
    world
        .memories
        .add(user, profile.id(), "My dog is called Rex.")
        .await
        .unwrap();

    world.index.power.down();
    world.profiles.delete(user, profile.id()).await.unwrap();
    world.index.power.up();
    assert_eq!(world.entries(&profile).await.len(), 1);
    world.run_jobs().await;
    assert!(world.entries(&profile).await.is_empty());
}

#[tokio::test]
async fn a_sweep_spares_what_is_written_while_it_looks() {
    let world = World::new();
    let (user, profile) = world.user().await;
    world.memories.delete_all(user, profile.id()).await.unwrap();

    let looking = world.index.listing.lock().await;
    let sweep = world.runner.run_next();
    let write = async {
        let added = world
            .memories
            .add(user, profile.id(), "My dog is called Rex.")
            .await;
        drop(looking);
        added.unwrap()
    };
    let (swept, memory) = futures::join!(sweep, write);
    swept.unwrap();
    assert_eq!(world.entries(&profile).await, [memory.id]);
}

#[tokio::test]
async fn the_profile_of_another_does_not_exist() {
    let world = World::new();
    let (ada, _) = world.user().await;
    world
        .profiles
        .create(ada, "Spare", None, false)
        .await
        .unwrap();
    let (_, foreign) = world.user().await;
    for id in [foreign.id(), ProfileId::new(fresh_id())] {
        let rename = ProfileChange {
            name: Some("Mine".to_owned()),
            ..ProfileChange::default()
        };
        let results = [
            world.profiles.get(ada, id).await.map(drop),
            world.profiles.update(ada, id, rename).await.map(drop),
            world.profiles.set_default(ada, id).await.map(drop),
            world.profiles.delete(ada, id).await,
        ];
        for (call, result) in results.iter().enumerate() {
            assert!(matches!(result, Err(ProfileError::NotFound)), "call {call}");
        }
    }
    assert_eq!(
        world.profiles.list(foreign.user()).await.unwrap()[0].profile,
        foreign
    );
}
