//! The contract of [`Store`] and of the repositories that a unit of work reaches.

mod accounts;
mod memories;
mod memory_sources;
mod message_writing;
mod messages;
mod outbox;
mod paging;
mod profiles;
mod sessions;
mod units;
mod users;

use std::future::Future;
use std::sync::Arc;

use domain::account::{AccountDirectory, User};
use domain::ids::{ProfileId, UserId};
use domain::jobs::{JobQueue, LeasedJob, Maintenance};
use domain::memory::Memory;
use domain::profile::Profile;
use domain::session::{Message, Session};
use domain::store::Store;

use crate::{contract, seed};

/// One empty database with every port that looks into it.
pub struct StoreHarness {
    /// Units of work.
    pub store: Arc<dyn Store>,
    /// Units of work as a worker begins them; the database may let it do other things.
    pub workers: Arc<dyn Store>,
    /// Look-ups before it is known who asks.
    pub directory: Arc<dyn AccountDirectory>,
    /// Jobs as a worker sees them.
    pub queue: Arc<dyn JobQueue>,
    /// What goes over all users.
    pub maintenance: Arc<dyn Maintenance>,
}

impl StoreHarness {
    /// Ends a job as a worker does, with no other effect.
    pub(crate) async fn complete(&self, user: UserId, lease: &LeasedJob) -> bool {
        let mut work = self.workers.begin(user).await.unwrap();
        let done = work.jobs().complete(lease).await.unwrap();
        work.commit().await.unwrap();
        done
    }

    pub(crate) async fn user(&self) -> User {
        seed::user(&*self.store).await
    }

    pub(crate) async fn user_with_profile(&self) -> (User, Profile) {
        seed::user_with_profile(&*self.store).await
    }

    pub(crate) async fn profile(&self, user: &User, name: &str) -> Profile {
        seed::profile(&*self.store, user.id, name).await
    }

    pub(crate) async fn session(&self, user: &User, profile: Option<ProfileId>) -> Session {
        seed::session(&*self.store, user.id, profile).await
    }

    pub(crate) async fn message(&self, session: &Session, content: &str) -> Message {
        seed::message(&*self.store, session, content).await
    }

    pub(crate) async fn add_message(&self, session: &Session, message: &Message) {
        seed::add_message(&*self.store, session.user, message).await;
    }

    pub(crate) async fn memory(&self, profile: &Profile, text: &str) -> Memory {
        seed::memory(&*self.store, profile, text).await
    }

    pub(crate) async fn add_memory(&self, profile: &Profile, memory: &Memory) {
        seed::add_memory(&*self.store, profile, memory).await;
    }
}

/// Checks a store; `fresh` makes an empty one for each case.
pub async fn check<Fut: Future<Output = StoreHarness>>(fresh: impl Fn() -> Fut) {
    let cases = [
        units::CASES,
        users::CASES,
        accounts::CASES,
        profiles::CASES,
        sessions::CASES,
        messages::CASES,
        message_writing::CASES,
        memories::CASES,
        memory_sources::CASES,
        paging::CASES,
        outbox::CASES,
    ];
    contract::run("store", cases.into_iter().flatten(), fresh).await;
}
