//! Rows that a test needs before it starts: each is added in a unit of work of its own.

use domain::account::User;
use domain::ids::{ProfileId, UserId};
use domain::memory::{Memory, Stored};
use domain::privacy::LearnGrant;
use domain::profile::Profile;
use domain::session::{Message, Session};
use domain::store::Store;

use crate::fixtures::{a_default_profile, a_memory, a_message, a_profile, a_session, a_user};

/// A user without a password and without a profile.
pub async fn user(store: &dyn Store) -> User {
    let user = a_user();
    let mut work = store.begin(user.id).await.unwrap();
    work.users().add(&user, None).await.unwrap();
    work.commit().await.unwrap();
    user
}

/// A user with a default profile.
pub async fn user_with_profile(store: &dyn Store) -> (User, Profile) {
    let user = user(store).await;
    let profile = a_default_profile(user.id);
    add_profile(store, &profile).await;
    (user, profile)
}

/// A further profile of the user, not the default.
pub async fn profile(store: &dyn Store, user: UserId, name: &str) -> Profile {
    let profile = a_profile(user, name);
    add_profile(store, &profile).await;
    profile
}

/// This profile.
pub async fn add_profile(store: &dyn Store, profile: &Profile) {
    let mut work = store.begin(profile.user()).await.unwrap();
    work.profiles().add(profile).await.unwrap();
    work.commit().await.unwrap();
}

/// A session in normal mode.
pub async fn session(store: &dyn Store, user: UserId, profile: Option<ProfileId>) -> Session {
    let session = a_session(user, profile);
    add_session(store, &session).await;
    session
}

/// This session.
pub async fn add_session(store: &dyn Store, session: &Session) {
    let mut work = store.begin(session.user).await.unwrap();
    work.sessions().add(session).await.unwrap();
    work.commit().await.unwrap();
}

/// A question in normal mode.
pub async fn message(store: &dyn Store, session: &Session, content: &str) -> Message {
    let message = a_message(session.id, content);
    add_message(store, session.user, &message).await;
    message
}

/// This message.
pub async fn add_message(store: &dyn Store, user: UserId, message: &Message) {
    let mut work = store.begin(user).await.unwrap();
    work.messages().add(message).await.unwrap();
    work.commit().await.unwrap();
}

/// A memory that its owner wrote.
pub async fn memory(store: &dyn Store, profile: &Profile, text: &str) -> Memory {
    let memory = a_memory(profile, text);
    add_memory(store, profile, &memory).await;
    memory
}

/// This memory; it must be new to the profile.
pub async fn add_memory(store: &dyn Store, profile: &Profile, memory: &Memory) {
    let mut work = store.begin(profile.user()).await.unwrap();
    let grant = LearnGrant::by_owner(profile);
    assert_eq!(
        work.memories().add(&grant, memory).await.unwrap(),
        Stored::Added
    );
    work.commit().await.unwrap();
}
