//! A database in memory.

mod accounts;
mod jobs;
mod memories;
mod messages;
mod operators;
mod page;
mod profiles;
mod sessions;
mod state;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::account::{ApiKeyRepository, LoginRepository, UserRepository};
use domain::ids::UserId;
use domain::jobs::JobOutbox;
use domain::memory::MemoryRepository;
use domain::profile::ProfileRepository;
use domain::session::{MessageRepository, SessionRepository};
use domain::store::{Store, StoreError, UnitOfWork};
use tokio::sync::OwnedMutexGuard;

use self::state::State;
use super::lock;

/// A [`Store`] with one writer and snapshot readers, and every port beside it. Clones share the data.
///
/// A unit of work works on a copy that replaces the data at commit. The writer's place is held from
/// `begin` until then, so a use case that keeps one open across another `begin` hangs its test.
#[derive(Clone, Default)]
pub struct InMemoryStore {
    committed: Arc<Mutex<State>>,
    writer: Arc<tokio::sync::Mutex<()>>,
}

impl InMemoryStore {
    /// An empty database.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at what is committed now.
    fn look<T>(&self, f: impl FnOnce(&State) -> T) -> T {
        f(&lock(&self.committed))
    }

    /// Changes what is committed, in turn with the units of work.
    async fn change<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        let _place = self.writer.lock().await;
        f(&mut lock(&self.committed))
    }
}

#[async_trait]
impl Store for InMemoryStore {
    async fn begin(&self, owner: UserId) -> Result<Box<dyn UnitOfWork>, StoreError> {
        let place = Arc::clone(&self.writer).lock_owned().await;
        let target = Some(Target {
            committed: Arc::clone(&self.committed),
            _place: place,
        });
        let state = self.look(State::clone);
        Ok(Box::new(Unit {
            owner,
            state,
            broken: false,
            target,
        }))
    }

    async fn read(&self, owner: UserId) -> Result<Box<dyn UnitOfWork>, StoreError> {
        let state = self.look(State::clone);
        Ok(Box::new(Unit {
            owner,
            state,
            broken: false,
            target: None,
        }))
    }
}

/// Where a unit of work that writes puts its state.
struct Target {
    committed: Arc<Mutex<State>>,
    _place: OwnedMutexGuard<()>,
}

/// A unit of work; it is all repositories at once.
struct Unit {
    owner: UserId,
    state: State,
    broken: bool,
    target: Option<Target>,
}

impl Unit {
    /// The conflict, after which nothing of this unit can be kept.
    fn conflict<T>(&mut self, what: &'static str) -> Result<T, StoreError> {
        self.broken = true;
        Err(StoreError::Conflict { what })
    }
}

#[async_trait]
impl UnitOfWork for Unit {
    fn users(&mut self) -> &mut dyn UserRepository {
        self
    }

    fn logins(&mut self) -> &mut dyn LoginRepository {
        self
    }

    fn api_keys(&mut self) -> &mut dyn ApiKeyRepository {
        self
    }

    fn profiles(&mut self) -> &mut dyn ProfileRepository {
        self
    }

    fn sessions(&mut self) -> &mut dyn SessionRepository {
        self
    }

    fn messages(&mut self) -> &mut dyn MessageRepository {
        self
    }

    fn memories(&mut self) -> &mut dyn MemoryRepository {
        self
    }

    fn jobs(&mut self) -> &mut dyn JobOutbox {
        self
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        if self.broken {
            return Err(StoreError::Unavailable(
                "the unit of work has met a conflict".into(),
            ));
        }
        if let Some(target) = &self.target {
            *lock(&target.committed) = self.state;
        }
        Ok(())
    }
}
