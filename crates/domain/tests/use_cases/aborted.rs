//! Units of work that the database gives up for the sake of others, as in a deadlock.

use std::sync::Arc;
use std::time::Duration;

use domain::account::{Actor, ApiKeyDraft, ForeignAccounts, ForeignLogin, Scope, SignUp};
use domain::error::{Classify, ErrorKind};
use domain::jobs::{JobOutcome, JobQueue};
use domain::page::PageRequest;
use domain::privacy::PrivacyMode::{Incognito, Normal};
use domain::profile::ProfileChange;
use domain::session::{NewSession, SessionFilter, WithMemories};
use domain::store::{StoreError, UNIT_TRIES, repeat_aborted};
use testkit::fakes::SequentialIds;
use testkit::fixtures::{a_user, at, fresh_id};

use crate::common::World;

const PASSWORD: &str = "correct horse";

/// Lets the next unit of work fail as often as it may without being seen.
fn abort(world: &World) {
    world.store.abort.next(u64::from(UNIT_TRIES) - 1);
}

async fn pending(world: &World) -> u64 {
    world.rows.depth().await.unwrap().pending
}

async fn an_actor(world: &World) -> (Actor, String, String) {
    abort(world);
    let signed_up = world
        .accounts
        .sign_up("ada@example.org", PASSWORD.to_owned(), None);
    let SignUp::Done(signed_in) = signed_up.await.unwrap() else {
        panic!("a local account needs no confirmation")
    };
    let tokens = signed_in.tokens;
    let actor = world.accounts.authenticate(&tokens.access).await.unwrap();
    (actor, tokens.access, tokens.refresh)
}

#[tokio::test]
async fn whatever_an_account_does_is_done_again_and_once() {
    let world = World::new();
    let (actor, access, refresh) = an_actor(&world).await;
    assert_eq!(world.profiles.list(actor.user).await.unwrap().len(), 1);

    abort(&world);
    let logged_in = world
        .accounts
        .log_in("ada@example.org", PASSWORD.to_owned(), None);
    assert_eq!(logged_in.await.unwrap().user.id, actor.user);
    abort(&world);
    world.accounts.refresh(&refresh, None).await.unwrap();

    let draft = ApiKeyDraft {
        name: "laptop".to_owned(),
        scopes: vec![Scope::Read],
        expires_at: None,
    };
    abort(&world);
    let (key, _) = world.accounts.create_api_key(&actor, draft).await.unwrap();
    assert_eq!(world.accounts.list_api_keys(&actor).await.unwrap().len(), 1);
    abort(&world);
    world.accounts.revoke_api_key(&actor, key.id).await.unwrap();

    abort(&world);
    world.accounts.log_out(&actor, &access).await.unwrap();
    assert!(world.accounts.authenticate(&access).await.is_err());
}

#[tokio::test]
async fn a_stolen_refresh_token_ends_the_log_in_also_at_the_third_try() {
    let world = World::new();
    let (_, access, first) = an_actor(&world).await;
    let second = world.accounts.refresh(&first, None).await.unwrap();
    let second = second.tokens.refresh;
    world.accounts.refresh(&second, None).await.unwrap();
    abort(&world);
    assert!(world.accounts.refresh(&first, None).await.is_err());
    assert!(world.accounts.authenticate(&access).await.is_err());
}

#[tokio::test]
async fn a_user_of_another_issuer_gets_their_rows_and_is_logged_out_all_the_same() {
    let world = World::new();
    let accounts = ForeignAccounts::new(
        world.store.clone(),
        world.rows.clone(),
        world.clock.clone(),
        Arc::new(SequentialIds::default()),
    );
    let login = ForeignLogin {
        issuer: "https://issuer/auth/v1".to_owned(),
        subject: fresh_id(),
        session: fresh_id(),
        email: Some(a_user().email),
        expires_at: at(3600),
    };
    abort(&world);
    let identity = accounts.admit(&login).await.unwrap();
    assert_eq!(world.default_profiles(identity.user).await.len(), 1);
    abort(&world);
    accounts.end(&identity).await.unwrap();
    assert!(accounts.admit(&login).await.is_err());
}

#[tokio::test]
async fn whatever_is_done_with_profiles_is_done_again_and_once() {
    let world = World::new();
    let (user, first) = world.user().await;
    abort(&world);
    let work = world.profiles.create(user, "Work", None, false);
    let work = work.await.unwrap().profile;
    assert_eq!(world.profiles.list(user).await.unwrap().len(), 2);

    abort(&world);
    let change = ProfileChange {
        name: Some("Office".to_owned()),
        ..ProfileChange::default()
    };
    world
        .profiles
        .update(user, work.id(), change)
        .await
        .unwrap();
    abort(&world);
    world.profiles.set_default(user, work.id()).await.unwrap();
    assert_eq!(world.default_profiles(user).await, [work.id()]);

    abort(&world);
    world.profiles.delete(user, work.id()).await.unwrap();
    assert_eq!(world.default_profiles(user).await, [first.id()]);
    assert_eq!(pending(&world).await, 1);
}

#[tokio::test]
async fn whatever_is_done_with_memories_is_done_again_and_once() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let other = world.profiles.create(user, "Work", None, false);
    let other = other.await.unwrap().profile;
    abort(&world);
    let memory = world.memories.add(user, profile.id(), "I like tea.").await;
    let memory = memory.unwrap();
    assert_eq!((pending(&world).await, memory.version), (1, 1));

    abort(&world);
    let changed = world
        .memories
        .update(user, profile.id(), memory.id, "I like mate.");
    assert_eq!(changed.await.unwrap().version, 2);
    abort(&world);
    let copied = world
        .memories
        .copy_all(user, profile.id(), other.id())
        .await;
    assert_eq!(copied.unwrap(), 1);
    assert_eq!(world.memories_of(&other).await, ["I like mate."]);

    abort(&world);
    world
        .memories
        .delete(user, profile.id(), memory.id)
        .await
        .unwrap();
    assert!(world.memories_of(&profile).await.is_empty());
    abort(&world);
    assert_eq!(
        world.memories.delete_all(user, other.id()).await.unwrap(),
        1
    );
    assert!(world.memories_of(&other).await.is_empty());
}

#[tokio::test]
async fn whatever_is_done_with_sessions_is_done_again_and_once() {
    let world = World::new();
    let (user, _) = world.user().await;
    abort(&world);
    let session = world.session(user, Normal).await;
    let listed = world
        .sessions
        .list(user, SessionFilter::default(), PageRequest::first(9));
    assert_eq!(listed.await.unwrap().items.len(), 1);
    abort(&world);
    world.switch(user, session, Incognito).await;
    abort(&world);
    world.switch(user, session, Normal).await;

    world.say(user, session, "I like tea.").await;
    let question = world.stored(user, session).await[0].id;
    abort(&world);
    let deleted = world
        .sessions
        .delete_message(user, session, question, WithMemories::Keep);
    deleted.await.unwrap();
    assert_eq!(world.stored(user, session).await.len(), 1);
    abort(&world);
    let deleted = world.sessions.delete(user, session, WithMemories::Forget);
    deleted.await.unwrap();
    assert!(world.sessions.get(user, session).await.is_err());
}

#[tokio::test]
async fn a_session_that_lives_in_memory_only_outlives_an_aborted_switch() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Incognito).await;
    abort(&world);
    world.switch(user, session, Normal).await;
    let found = world.sessions.get(user, session).await.unwrap();
    assert_eq!(found.session.mode, Normal);
}

#[tokio::test]
async fn after_three_tries_the_caller_is_asked_to_wait_and_nothing_is_stored() {
    let world = World::new();
    let (user, _) = world.user().await;
    world.store.abort.next(u64::from(UNIT_TRIES));
    let new = NewSession {
        mode: Normal,
        profile: None,
    };
    let refused = world.sessions.create(user, new).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.code()),
        (ErrorKind::Unavailable, "store_busy")
    );
    assert!(refused.retry_after().is_some());
    let listed = world
        .sessions
        .list(user, SessionFilter::default(), PageRequest::first(9));
    assert!(listed.await.unwrap().items.is_empty());
    // The fault is used up by those three: there was no fourth try, and now all is well.
    world.sessions.create(user, new).await.unwrap();
}

#[tokio::test]
async fn a_commit_of_unknown_outcome_is_not_repeated() {
    let world = World::new();
    let (user, _) = world.user().await;
    world.store.outcome.next(1);
    let new = NewSession {
        mode: Normal,
        profile: None,
    };
    let unknown = world.sessions.create(user, new).await.unwrap_err();
    assert_eq!(unknown.code(), "store_unavailable");
    let listed = world
        .sessions
        .list(user, SessionFilter::default(), PageRequest::first(9));
    assert_eq!(
        listed.await.unwrap().items.len(),
        1,
        "it was stored, and once"
    );
}

#[tokio::test]
async fn only_what_was_aborted_is_repeated() {
    for (fault, tries) in [
        (StoreError::Aborted as fn(_) -> _, UNIT_TRIES),
        (StoreError::Busy, 1),
        (StoreError::Unavailable, 1),
    ] {
        let mut tried = 0;
        let done: Result<(), StoreError> = repeat_aborted(|| {
            tried += 1;
            async { Err(fault("told to fail".into())) }
        })
        .await;
        assert!(done.is_err());
        assert_eq!(tried, tries);
    }
}

#[tokio::test]
async fn a_job_whose_end_is_aborted_is_given_back_at_once() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let session = world.session(user, Normal).await;
    world.say(user, session, "My dog is called Rex.").await;
    world.store.abort.next(1);
    let outcome = world.runner.run_next().await.unwrap();
    assert!(matches!(outcome, Some(JobOutcome::Retry { .. })));
    world.clock.advance(Duration::from_secs(2));
    world.run_jobs().await;
    assert_eq!(world.memories_of(&profile).await.len(), 1);
}
