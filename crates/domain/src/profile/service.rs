//! What users do with their profiles.

use std::sync::Arc;

use super::{BadProfile, Profile, ProfileChange, ProfileView};
use crate::clock::{Clock, IdGenerator};
use crate::error::{Classify, ErrorKind, FieldError};
use crate::ids::{JobId, ProfileId, UserId};
use crate::jobs::{Job, JobKind, WorkSignal};
use crate::memory::MemoryIndex;
use crate::store::{MayBeAborted, Store, StoreError, UnitOfWork, repeat_aborted};

/// A failure of [`ProfileService`].
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Unknown, or somebody else's.
    #[error("no such memory profile")]
    NotFound,
    /// Another profile of this user has the name.
    #[error("a profile with this name exists")]
    NameTaken,
    /// A user keeps at least one.
    #[error("the only profile cannot be deleted")]
    LastProfile,
    /// A field breaks a rule.
    #[error(transparent)]
    Invalid(#[from] BadProfile),
    /// The database.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for ProfileError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict {
                what: "profile_name",
            } => Self::NameTaken,
            other => Self::Store(other),
        }
    }
}

impl Classify for ProfileError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::NameTaken => ErrorKind::Conflict,
            Self::LastProfile => ErrorKind::Refused,
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::Store(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "profile_not_found",
            Self::NameTaken => "profile_name_taken",
            Self::LastProfile => "last_profile",
            Self::Invalid(_) => "validation_failed",
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::NotFound => "No such memory profile.".to_owned(),
            Self::NameTaken => "You already have a memory profile with this name.".to_owned(),
            Self::LastProfile => "Your only memory profile cannot be deleted.".to_owned(),
            Self::Invalid(_) => "The memory profile is not acceptable like this.".to_owned(),
            Self::Store(error) => error.detail(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Invalid(BadProfile(fields)) => fields.clone(),
            Self::NotFound | Self::NameTaken | Self::LastProfile | Self::Store(_) => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            Self::Store(error) => error.retry_after(),
            Self::NotFound | Self::NameTaken | Self::LastProfile | Self::Invalid(_) => None,
        }
    }
}

impl MayBeAborted for ProfileError {
    fn is_aborted(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_aborted())
    }
}

/// Memory profiles of a user.
pub struct ProfileService {
    store: Arc<dyn Store>,
    index: Arc<dyn MemoryIndex>,
    signal: Arc<dyn WorkSignal>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
}

impl ProfileService {
    /// Wires the service.
    pub fn new(
        store: Arc<dyn Store>,
        index: Arc<dyn MemoryIndex>,
        signal: Arc<dyn WorkSignal>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
    ) -> Self {
        Self {
            store,
            index,
            signal,
            clock,
            ids,
        }
    }

    /// All profiles of the user, oldest first.
    pub async fn list(&self, user: UserId) -> Result<Vec<ProfileView>, ProfileError> {
        Ok(self.store.read(user).await?.profiles().list().await?)
    }

    /// One profile.
    pub async fn get(&self, user: UserId, id: ProfileId) -> Result<ProfileView, ProfileError> {
        let mut work = self.store.read(user).await?;
        find(&mut *work, id).await
    }

    /// Makes a profile; a user's first one becomes the default whatever is asked for.
    pub async fn create(
        &self,
        user: UserId,
        name: &str,
        description: Option<String>,
        is_default: bool,
    ) -> Result<ProfileView, ProfileError> {
        let id = ProfileId::new(self.ids.next());
        let profile = Profile::new(id, user, name, description, false, self.clock.now())?;
        repeat_aborted(|| async {
            let mut work = self.store.begin(user).await?;
            let first = work.profiles().find_default().await?.is_none();
            work.profiles().add(&profile).await?;
            if is_default || first {
                work.profiles().set_default(id).await?;
            }
            let view = find(&mut *work, id).await?;
            work.commit().await?;
            Ok(view)
        })
        .await
    }

    /// Changes the fields that are given, all or none.
    pub async fn update(
        &self,
        user: UserId,
        id: ProfileId,
        change: ProfileChange,
    ) -> Result<ProfileView, ProfileError> {
        repeat_aborted(|| async {
            let mut work = self.store.begin(user).await?;
            let mut profile = find(&mut *work, id).await?.profile;
            profile.apply(&change, self.clock.now())?;
            work.profiles().update(&profile).await?;
            if change.is_default == Some(true) {
                work.profiles().set_default(id).await?;
            }
            let view = find(&mut *work, id).await?;
            work.commit().await?;
            Ok(view)
        })
        .await
    }

    /// Makes this profile the default and no other.
    pub async fn set_default(
        &self,
        user: UserId,
        id: ProfileId,
    ) -> Result<ProfileView, ProfileError> {
        let change = ProfileChange {
            is_default: Some(true),
            ..ProfileChange::default()
        };
        self.update(user, id, change).await
    }

    /// Deletes a profile with its memories. Its sessions stay, without a profile; if it was the default,
    /// the oldest remaining profile becomes it.
    pub async fn delete(&self, user: UserId, id: ProfileId) -> Result<(), ProfileError> {
        let scope = repeat_aborted::<_, ProfileError, _>(|| async {
            let mut work = self.store.begin(user).await?;
            let all = work.profiles().list().await?;
            let gone = all
                .iter()
                .find(|v| v.profile.id() == id)
                .ok_or(ProfileError::NotFound)?;
            let heir = all
                .iter()
                .find(|v| v.profile.id() != id)
                .ok_or(ProfileError::LastProfile)?;
            work.profiles().remove(id).await?;
            if gone.profile.is_default() {
                work.profiles().set_default(heir.profile.id()).await?;
            }
            let kind = JobKind::Sweep { profile: id };
            let job = Job {
                id: JobId::new(self.ids.next()),
                user,
                kind,
                available_at: self.clock.now(),
            };
            work.jobs().enqueue(&job).await?;
            work.commit().await?;
            Ok(gone.profile.scope())
        })
        .await?;
        self.signal.work_added();
        // The job proves it; doing it here already means that no search can see it from now on.
        let _ = self.index.remove(scope, None).await;
        Ok(())
    }
}

async fn find(work: &mut dyn UnitOfWork, id: ProfileId) -> Result<ProfileView, ProfileError> {
    let view = work.profiles().find(id).await?;
    view.ok_or(ProfileError::NotFound)
}
