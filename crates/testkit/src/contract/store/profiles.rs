//! Memory profiles.

use domain::ids::ProfileId;
use domain::privacy::RecallGrant;
use domain::profile::{Profile, ProfileChange};

use super::StoreHarness;
use crate::contract::{Case, RACERS, let_others_in, race};
use crate::fixtures::{a_default_profile, a_profile, at, fresh_id};

pub(super) const CASES: &[Case<StoreHarness>] = cases![
    a_profile_is_stored_whole,
    profiles_are_listed_oldest_first,
    a_taken_name_is_a_conflict,
    names_differ_by_case_and_by_user,
    a_second_default_is_a_conflict,
    an_update_stores_all_but_the_default,
    an_update_to_a_taken_name_is_a_conflict,
    an_update_of_a_removed_profile_is_false,
    the_default_moves,
    an_unknown_profile_does_not_become_the_default,
    parallel_defaults_leave_exactly_one,
    parallel_changes_do_not_wait_for_each_other_in_a_circle,
    parallel_changes_of_one_profile_all_count,
    memories_are_counted,
    a_removed_profile_takes_its_memories_and_leaves_its_sessions,
    nobody_else_touches_a_profile,
];

fn renamed(profile: &Profile, name: &str, description: Option<&str>) -> Profile {
    let change = ProfileChange {
        name: Some(name.to_owned()),
        description: Some(description.map(str::to_owned)),
        is_default: None,
    };
    let mut renamed = profile.clone();
    renamed.apply(&change, at(9)).unwrap();
    renamed
}

async fn stored(h: &StoreHarness, profile: &Profile) -> Option<Profile> {
    look!(h, profile.user(), profiles.find(profile.id())).map(|view| view.profile)
}

async fn a_profile_is_stored_whole(h: &StoreHarness) {
    let user = h.user().await;
    for (name, description, is_default) in [
        ("Default", None, true),
        ("仕事 'O\"Brien' %_\\", Some(String::new()), false),
        ("Work", Some("what I do\nby day 😀".to_owned()), false),
    ] {
        let (id, name) = (ProfileId::new(fresh_id()), name.to_owned());
        let (made, changed) = (at(1), at(2));
        let profile =
            Profile::from_stored(id, user.id, name, description, is_default, made, changed);
        commit!(h, user.id, profiles.add(&profile)).unwrap();
        assert_eq!(stored(h, &profile).await, Some(profile));
    }
}

async fn profiles_are_listed_oldest_first(h: &StoreHarness) {
    let user = h.user().await;
    for (name, seconds) in [("b", 2), ("a", 3), ("c", 1)] {
        let id = ProfileId::new(fresh_id());
        let profile = Profile::new(id, user.id, name, None, false, at(seconds)).unwrap();
        commit!(h, user.id, profiles.add(&profile)).unwrap();
    }
    let views = look!(h, user.id, profiles.list());
    assert_eq!(
        views.iter().map(|v| v.profile.name()).collect::<Vec<_>>(),
        ["c", "b", "a"]
    );
}

async fn a_taken_name_is_a_conflict(h: &StoreHarness) {
    let user = h.user().await;
    h.profile(&user, "Work").await;
    let again = a_profile(user.id, "Work");
    assert_conflict!(commit!(h, user.id, profiles.add(&again)), "profile_name");
}

async fn names_differ_by_case_and_by_user(h: &StoreHarness) {
    let (ada, bob) = (h.user().await, h.user().await);
    h.profile(&ada, "Work").await;
    h.profile(&ada, "work").await;
    h.profile(&bob, "Work").await;
    assert_eq!(look!(h, ada.id, profiles.list()).len(), 2);
}

async fn a_second_default_is_a_conflict(h: &StoreHarness) {
    let (user, first) = h.user_with_profile().await;
    let id = ProfileId::new(fresh_id());
    let second = Profile::new(id, user.id, "Second", None, true, at(1)).unwrap();
    assert_conflict!(
        commit!(h, user.id, profiles.add(&second)),
        "default_profile"
    );
    assert_eq!(look!(h, user.id, profiles.find_default()), Some(first));
}

async fn an_update_stores_all_but_the_default(h: &StoreHarness) {
    let (user, first) = h.user_with_profile().await;
    let work = h.profile(&user, "Work").await;
    let id = (work.id(), work.user());
    let changed = renamed(&work, "Job", Some("by day"));
    let claiming = Profile::from_stored(
        id.0,
        id.1,
        "Job".to_owned(),
        Some("by day".to_owned()),
        true,
        at(77),
        at(9),
    );
    assert!(commit!(h, user.id, profiles.update(&claiming)).unwrap());
    assert_eq!(stored(h, &work).await, Some(changed.clone()));
    assert_eq!(look!(h, user.id, profiles.find_default()), Some(first));
    assert!(
        commit!(h, user.id, profiles.update(&changed)).unwrap(),
        "its own name is free"
    );
}

async fn an_update_to_a_taken_name_is_a_conflict(h: &StoreHarness) {
    let user = h.user().await;
    h.profile(&user, "Work").await;
    let home = h.profile(&user, "Home").await;
    let taken = renamed(&home, "Work", None);
    assert_conflict!(commit!(h, user.id, profiles.update(&taken)), "profile_name");
    assert_eq!(stored(h, &home).await, Some(home));
}

async fn an_update_of_a_removed_profile_is_false(h: &StoreHarness) {
    let user = h.user().await;
    let work = h.profile(&user, "Work").await;
    commit!(h, user.id, profiles.remove(work.id())).unwrap();
    assert!(!commit!(h, user.id, profiles.update(&renamed(&work, "Job", None))).unwrap());
    assert_eq!(stored(h, &work).await, None);
}

async fn the_default_moves(h: &StoreHarness) {
    let (user, first) = h.user_with_profile().await;
    let work = h.profile(&user, "Work").await;
    for _ in 0..2 {
        assert!(commit!(h, user.id, profiles.set_default(work.id())).unwrap());
        let default = look!(h, user.id, profiles.find_default());
        assert_eq!(default.map(|p| p.id()), Some(work.id()));
        assert_eq!(stored(h, &first).await.map(|p| p.is_default()), Some(false));
    }
}

async fn an_unknown_profile_does_not_become_the_default(h: &StoreHarness) {
    let (user, first) = h.user_with_profile().await;
    let unknown = ProfileId::new(fresh_id());
    assert!(!commit!(h, user.id, profiles.set_default(unknown)).unwrap());
    assert_eq!(look!(h, user.id, profiles.find_default()), Some(first));
}

async fn parallel_defaults_leave_exactly_one(h: &StoreHarness) {
    let (user, _) = h.user_with_profile().await;
    let mut profiles = Vec::new();
    for n in 0..RACERS {
        profiles.push(h.profile(&user, &format!("profile {n}")).await.id());
    }
    race(profiles.into_iter().map(|profile| {
        let (store, user) = (h.store.clone(), user.id);
        async move {
            let mut work = store.begin(user).await.unwrap();
            let_others_in().await;
            assert!(work.profiles().set_default(profile).await.unwrap());
            work.commit().await.unwrap();
        }
    }))
    .await;
    let views = look!(h, user.id, profiles.list());
    assert_eq!(views.iter().filter(|v| v.profile.is_default()).count(), 1);
}

async fn parallel_changes_do_not_wait_for_each_other_in_a_circle(h: &StoreHarness) {
    let (user, _) = h.user_with_profile().await;
    let mut profiles = Vec::new();
    for n in 0..RACERS {
        profiles.push(h.profile(&user, &format!("profile {n}")).await);
    }
    let others = profiles.clone().into_iter().rev();
    race(profiles.into_iter().zip(others).map(|(one, other)| {
        let (store, user) = (h.store.clone(), user.id);
        async move {
            let mut work = store.begin(user).await.unwrap();
            assert!(work.profiles().update(&one).await.unwrap());
            let_others_in().await;
            assert!(work.profiles().set_default(other.id()).await.unwrap());
            work.commit().await.unwrap();
        }
    }))
    .await;
}

async fn parallel_changes_of_one_profile_all_count(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    race((0..RACERS).map(|_| {
        let (store, user, id) = (h.store.clone(), user.id, profile.id());
        async move {
            let mut work = store.begin(user).await.unwrap();
            let found = work.profiles().find(id).await.unwrap().unwrap().profile;
            let_others_in().await;
            let name = format!("{}+", found.name());
            let renamed = renamed(&found, &name, None);
            assert!(work.profiles().update(&renamed).await.unwrap());
            work.commit().await.unwrap();
        }
    }))
    .await;
    let view = look!(h, user.id, profiles.find(profile.id())).unwrap();
    assert_eq!(view.profile.name().matches('+').count(), RACERS);
}

async fn memories_are_counted(h: &StoreHarness) {
    let (user, first) = h.user_with_profile().await;
    let work = h.profile(&user, "Work").await;
    for text in ["Has a dog.", "Likes tea."] {
        h.memory(&work, text).await;
    }
    let count = |view: Option<domain::profile::ProfileView>| view.map(|v| v.memory_count);
    assert_eq!(count(look!(h, user.id, profiles.find(work.id()))), Some(2));
    assert_eq!(count(look!(h, user.id, profiles.find(first.id()))), Some(0));
    let listed = look!(h, user.id, profiles.list());
    assert_eq!(listed.iter().map(|v| v.memory_count).sum::<u64>(), 2);
}

async fn a_removed_profile_takes_its_memories_and_leaves_its_sessions(h: &StoreHarness) {
    let (user, first) = h.user_with_profile().await;
    let work = h.profile(&user, "Work").await;
    let kept = h.memory(&first, "Has a dog.").await;
    let lost = h.memory(&work, "Has a dog.").await;
    let session = h.session(&user, Some(work.id())).await;
    let message = h.message(&session, "Hello").await;

    assert!(commit!(h, user.id, profiles.remove(work.id())).unwrap());

    assert_eq!(stored(h, &work).await, None);
    assert_eq!(look!(h, user.id, memories.find_for_index(lost.id)), None);
    assert_eq!(
        look!(h, user.id, memories.find_for_index(kept.id)),
        Some(kept)
    );
    let view = look!(h, user.id, sessions.find(session.id)).expect("the session stays");
    assert_eq!(view.session.profile, None);
    assert_eq!(look!(h, user.id, messages.find(message.id)), Some(message));
    assert!(
        !commit!(h, user.id, profiles.remove(work.id())).unwrap(),
        "gone already"
    );
}

async fn nobody_else_touches_a_profile(h: &StoreHarness) {
    let (ada, profile) = h.user_with_profile().await;
    let memory = h.memory(&profile, "Has a dog.").await;
    let bob = h.user().await;
    let id = profile.id();
    assert_eq!(look!(h, bob.id, profiles.find(id)), None);
    assert!(look!(h, bob.id, profiles.list()).is_empty());
    assert_eq!(look!(h, bob.id, profiles.find_default()), None);
    assert!(!commit!(h, bob.id, profiles.update(&renamed(&profile, "Mine", None))).unwrap());
    assert!(!commit!(h, bob.id, profiles.set_default(id)).unwrap());
    assert!(!commit!(h, bob.id, profiles.remove(id)).unwrap());
    commit!(h, bob.id, profiles.add(&a_default_profile(bob.id))).expect("a default per user");
    assert_eq!(stored(h, &profile).await, Some(profile.clone()));
    let grant = RecallGrant::by_owner(&profile);
    assert_eq!(
        look!(h, ada.id, memories.find(&grant, &[memory.id])),
        [memory]
    );
}
