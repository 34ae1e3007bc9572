//! Opening, switching and deleting sessions.

use domain::chat::ChatError;
use domain::ids::{MessageId, ProfileId, SessionId, UserId};
use domain::page::PageRequest;
use domain::privacy::PrivacyMode::{self, Incognito, Normal, PauseMemories};
use domain::session::{NewSession, SessionChange, SessionError, SessionFilter, WithMemories};
use domain::store::Store;
use testkit::fixtures::fresh_id;

use crate::common::World;

async fn listed(world: &World, user: UserId) -> Vec<SessionId> {
    let page = PageRequest::first(100);
    let page = world
        .sessions
        .list(user, SessionFilter::default(), page)
        .await
        .unwrap();
    page.items.iter().map(|view| view.session.id).collect()
}

#[tokio::test]
async fn a_session_takes_the_default_profile_unless_told() {
    let world = World::new();
    let (user, default) = world.user().await;
    let other = world
        .profiles
        .create(user, "Other", None, false)
        .await
        .unwrap()
        .profile;
    for (asked, given) in [(None, default.id()), (Some(other.id()), other.id())] {
        let new = NewSession {
            mode: Normal,
            profile: asked,
        };
        let view = world.sessions.create(user, new).await.unwrap();
        assert_eq!(view.session.profile, Some(given));
        assert_eq!(
            world.sessions.get(user, view.session.id).await.unwrap(),
            view
        );
    }
    let by_profile = SessionFilter {
        profile: Some(other.id()),
    };
    let page = world
        .sessions
        .list(user, by_profile, PageRequest::first(10))
        .await
        .unwrap();
    assert_eq!(page.items.len(), 1);
}

#[tokio::test]
async fn an_incognito_session_has_no_profile_no_row_and_no_place_in_a_list() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Incognito).await;
    let told = world.say(user, session, "My secret is safe.").await;
    assert_eq!(told.words, "My secret is safe.");

    let view = world.sessions.get(user, session).await.unwrap();
    assert_eq!((view.session.profile, view.message_count), (None, 0));
    assert!(listed(&world, user).await.is_empty());
    assert!(world.stored(user, session).await.is_empty());
    assert_eq!(
        world
            .sessions
            .summary(user, session)
            .await
            .unwrap()
            .total_messages,
        0
    );
    let mut rows = world.store.read(user).await.unwrap();
    assert!(rows.sessions().find(session).await.unwrap().is_none());
    assert_eq!(
        rows.messages()
            .summary(session)
            .await
            .unwrap()
            .total_messages,
        0
    );
}

#[tokio::test]
async fn ephemeral_turns_are_dropped_at_the_switch_and_the_model_never_sees_them_again() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    world.say(user, session, "Stored before.").await;
    world.switch(user, session, Incognito).await;
    world.say(user, session, "Said in secret.").await;
    world.say(user, session, "Said after the secret.").await;
    let secret_prompt = world.last_prompt();
    assert!(secret_prompt.contains(&"Stored before.".to_owned()));
    assert!(
        secret_prompt.contains(&"Said in secret.".to_owned()),
        "one conversation goes on"
    );

    world.switch(user, session, Normal).await;
    world.say(user, session, "Stored after.").await;
    let prompt = world.last_prompt();
    assert!(prompt.contains(&"Stored before.".to_owned()));
    assert!(
        !prompt.iter().any(|text| text.contains("secret")),
        "{prompt:?}"
    );
    world.switch(user, session, Incognito).await;
    world.say(user, session, "Secret again.").await;
    assert!(
        !world.last_prompt().contains(&"Said in secret.".to_owned()),
        "gone for good"
    );
    let stored: Vec<_> = world
        .stored(user, session)
        .await
        .into_iter()
        .map(|message| message.content)
        .collect();
    assert_eq!(
        stored,
        [
            "Stored before.",
            "Stored before.",
            "Stored after.",
            "Stored after."
        ]
    );
}

#[tokio::test]
async fn a_session_made_incognito_gets_its_row_only_when_it_is_switched() {
    let world = World::new();
    let (user, default) = world.user().await;
    let session = world.session(user, Incognito).await;
    world.say(user, session, "Said in secret.").await;
    assert!(listed(&world, user).await.is_empty());

    world.switch(user, session, PauseMemories).await;
    assert_eq!(listed(&world, user).await, [session]);
    let view = world.sessions.get(user, session).await.unwrap();
    assert_eq!(
        (view.session.profile, view.message_count),
        (Some(default.id()), 0)
    );
    world.say(user, session, "Stored after.").await;
    assert!(
        !world
            .last_prompt()
            .iter()
            .any(|text| text.contains("secret"))
    );
    assert_eq!(world.stored(user, session).await.len(), 2);
}

#[tokio::test]
async fn an_incognito_session_outlives_its_profile() {
    let world = World::new();
    let (user, default) = world.user().await;
    let doomed = world
        .profiles
        .create(user, "Doomed", None, false)
        .await
        .unwrap()
        .profile;
    let new = NewSession {
        mode: Incognito,
        profile: Some(doomed.id()),
    };
    let session = world.sessions.create(user, new).await.unwrap().session.id;
    world.profiles.delete(user, doomed.id()).await.unwrap();

    world.switch(user, session, Normal).await;
    let view = world.sessions.get(user, session).await.unwrap();
    assert_eq!(view.session.profile, Some(default.id()));
}

#[tokio::test]
async fn a_mode_applies_from_the_next_message_on() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    for mode in [Normal, PauseMemories, Normal] {
        world.switch(user, session, mode).await;
        world.say(user, session, mode.as_str()).await;
    }
    let stamps: Vec<PrivacyMode> = world
        .stored(user, session)
        .await
        .iter()
        .map(|message| message.stamp)
        .collect();
    assert_eq!(
        stamps,
        [Normal, Normal, PauseMemories, PauseMemories, Normal, Normal]
    );
}

#[tokio::test]
async fn a_session_can_leave_its_profile_and_take_another() {
    let world = World::new();
    let (user, _) = world.user().await;
    let other = world
        .profiles
        .create(user, "Other", None, false)
        .await
        .unwrap()
        .profile;
    let session = world.session(user, Normal).await;
    for profile in [None, Some(other.id())] {
        let change = SessionChange {
            profile: Some(profile),
            mode: None,
        };
        let view = world.sessions.update(user, session, change).await.unwrap();
        assert_eq!(view.session.profile, profile);
    }
}

#[tokio::test]
async fn a_deleted_session_leaves_or_takes_its_memories_as_asked() {
    for (memories, left) in [(WithMemories::Keep, 1), (WithMemories::Forget, 0)] {
        let world = World::new();
        let (user, profile) = world.user().await;
        let session = world.session(user, Normal).await;
        world.say(user, session, "My dog is called Rex.").await;
        world.run_jobs().await;
        assert_eq!(world.found(&profile, "dog").await.len(), 1);

        world
            .sessions
            .delete(user, session, memories)
            .await
            .unwrap();
        assert_eq!(world.memories_of(&profile).await.len(), left);
        assert_eq!(world.found(&profile, "dog").await.len(), left, "at once");
        world.run_jobs().await;
        assert_eq!(world.found(&profile, "dog").await.len(), left);
        assert!(listed(&world, user).await.is_empty());
        assert!(matches!(
            world.sessions.get(user, session).await,
            Err(SessionError::NotFound)
        ));
    }
}

#[tokio::test]
async fn a_kept_memory_loses_the_source_that_was_deleted() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let session = world.session(user, Normal).await;
    let question = world
        .say(user, session, "My dog is called Rex.")
        .await
        .start
        .question
        .id;
    world.run_jobs().await;
    let keep = WithMemories::Keep;
    world
        .sessions
        .delete_message(user, session, question, keep)
        .await
        .unwrap();
    let page = PageRequest::first(10);
    let memories = world
        .memories
        .list(user, profile.id(), page)
        .await
        .unwrap()
        .items;
    assert_eq!((memories.len(), memories[0].source), (1, None));
    assert_eq!(
        world.stored(user, session).await.len(),
        1,
        "the answer stays"
    );
}

#[tokio::test]
async fn a_deleted_message_can_take_what_was_learned_from_it() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let session = world.session(user, Normal).await;
    let question = world
        .say(user, session, "My dog is called Rex.")
        .await
        .start
        .question
        .id;
    world.say(user, session, "My cat is called Mia.").await;
    world.run_jobs().await;
    let forget = WithMemories::Forget;
    world
        .sessions
        .delete_message(user, session, question, forget)
        .await
        .unwrap();
    assert_eq!(world.memories_of(&profile).await, ["My cat is called Mia."]);
    assert!(world.found(&profile, "dog").await.is_empty());
}

#[tokio::test]
async fn an_ephemeral_session_can_be_deleted() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Incognito).await;
    world
        .sessions
        .delete(user, session, WithMemories::Keep)
        .await
        .unwrap();
    assert!(matches!(
        world.sessions.get(user, session).await,
        Err(SessionError::NotFound)
    ));
    let twice = world
        .sessions
        .delete(user, session, WithMemories::Keep)
        .await;
    assert!(matches!(twice, Err(SessionError::NotFound)));
}

#[tokio::test]
async fn the_session_of_another_does_not_exist() {
    let world = World::new();
    let (ada, _) = world.user().await;
    let (bob, _) = world.user().await;
    let stored = world.session(bob, Normal).await;
    let message = world
        .say(bob, stored, "Hello there!")
        .await
        .start
        .question
        .id;
    let ephemeral = world.session(bob, Incognito).await;
    for id in [stored, ephemeral, SessionId::new(fresh_id())] {
        let page = PageRequest::first(10);
        let change = SessionChange {
            mode: Some(Incognito),
            ..SessionChange::default()
        };
        let results = [
            world.sessions.get(ada, id).await.map(drop),
            world.sessions.update(ada, id, change).await.map(drop),
            world.sessions.messages(ada, id, page).await.map(drop),
            world.sessions.summary(ada, id).await.map(drop),
            world.sessions.delete(ada, id, WithMemories::Forget).await,
        ];
        for (call, result) in results.iter().enumerate() {
            assert!(
                matches!(result, Err(SessionError::NotFound)),
                "call {call}: {result:?}"
            );
        }
        let asked = world.ask(ada, id, "Hello?").await.err();
        assert!(matches!(asked, Some(ChatError::SessionNotFound)));
        let keep = WithMemories::Keep;
        let deleted = world.sessions.delete_message(ada, id, message, keep).await;
        assert!(matches!(deleted, Err(SessionError::MessageNotFound)));
    }
    assert_eq!(world.stored(bob, stored).await.len(), 2);
    assert_eq!(
        world
            .sessions
            .get(bob, ephemeral)
            .await
            .unwrap()
            .session
            .mode,
        Incognito
    );
}

#[tokio::test]
async fn a_message_is_deleted_only_through_its_own_session() {
    let world = World::new();
    let (user, _) = world.user().await;
    let here = world.session(user, Normal).await;
    let there = world.session(user, Normal).await;
    let message = world
        .say(user, here, "Hello there!")
        .await
        .start
        .question
        .id;
    for (session, id) in [(there, message), (here, MessageId::new(fresh_id()))] {
        let keep = WithMemories::Keep;
        let refused = world.sessions.delete_message(user, session, id, keep).await;
        assert!(matches!(refused, Err(SessionError::MessageNotFound)));
    }
    assert_eq!(world.stored(user, here).await.len(), 2);
}

#[tokio::test]
async fn the_profile_of_another_cannot_be_used() {
    let world = World::new();
    let (ada, _) = world.user().await;
    let (_, foreign) = world.user().await;
    let session = world.session(ada, Normal).await;
    for profile in [foreign.id(), ProfileId::new(fresh_id())] {
        for mode in PrivacyMode::ALL {
            let new = NewSession {
                mode,
                profile: Some(profile),
            };
            let made = world.sessions.create(ada, new).await;
            assert!(matches!(made, Err(SessionError::ProfileNotFound)), "{mode}");
        }
        let change = SessionChange {
            profile: Some(Some(profile)),
            mode: None,
        };
        let moved = world.sessions.update(ada, session, change).await;
        assert!(matches!(moved, Err(SessionError::ProfileNotFound)));
    }
    assert_eq!(listed(&world, ada).await, [session]);
}
