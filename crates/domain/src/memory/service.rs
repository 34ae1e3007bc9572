//! What owners do with their memories, outside any session.

use std::sync::Arc;

use super::recall::RecallError;
use super::{
    BadMemory, IndexError, Indexer, Memory, MemoryContent, MemoryIndex, Origin, RecallResult,
    Recaller, Stored,
};
use crate::clock::{Clock, IdGenerator};
use crate::error::{Classify, ErrorKind, FieldError};
use crate::ids::{JobId, MemoryId, ProfileId, UserId};
use crate::jobs::{Job, JobKind, WorkSignal};
use crate::page::{Page, PageRequest, Position};
use crate::privacy::{LearnGrant, RecallGrant};
use crate::profile::Profile;
use crate::store::{MayBeAborted, Store, StoreError, UnitOfWork, repeat_aborted};

/// A failure of [`MemoryService`].
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The profile is unknown, or somebody else's.
    #[error("no such memory profile")]
    ProfileNotFound,
    /// Unknown, of another profile, or somebody else's.
    #[error("no such memory")]
    NotFound,
    /// The profile holds this statement already.
    #[error("the profile holds this memory already")]
    Known,
    /// It was changed by somebody else meanwhile.
    #[error("the memory was changed meanwhile")]
    Changed,
    /// The text breaks a rule.
    #[error(transparent)]
    Content(#[from] BadMemory),
    /// The query breaks a rule.
    #[error("not an acceptable query")]
    Query,
    /// Source and target of a copy are the same.
    #[error("a profile cannot be copied to itself")]
    SameProfile,
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The database.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for MemoryError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { what: "memory" } => Self::Known,
            StoreError::Conflict { what: "reference" } => Self::ProfileNotFound,
            other => Self::Store(other),
        }
    }
}

impl From<RecallError> for MemoryError {
    fn from(error: RecallError) -> Self {
        match error {
            RecallError::Index(error) => Self::Index(error),
            RecallError::Store(error) => Self::from(error),
        }
    }
}

impl Classify for MemoryError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::ProfileNotFound | Self::NotFound => ErrorKind::NotFound,
            Self::Known | Self::Changed => ErrorKind::Conflict,
            Self::Content(_) | Self::Query | Self::SameProfile => ErrorKind::Invalid,
            Self::Index(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::ProfileNotFound => "profile_not_found",
            Self::NotFound => "memory_not_found",
            Self::Known => "memory_exists",
            Self::Changed => "memory_changed",
            Self::Content(_) | Self::Query | Self::SameProfile => "validation_failed",
            Self::Index(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::ProfileNotFound => "No such memory profile.".to_owned(),
            Self::NotFound => "No such memory.".to_owned(),
            Self::Known => "The profile holds this memory already.".to_owned(),
            Self::Changed => "The memory was changed meanwhile. Read it again.".to_owned(),
            Self::Content(_) => "A memory has 1 to 2000 characters.".to_owned(),
            Self::Query => "A query has 1 to 2000 characters.".to_owned(),
            Self::SameProfile => "Choose another profile to copy to.".to_owned(),
            Self::Index(error) => error.detail(),
            Self::Store(error) => error.detail(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Content(_) => vec![FieldError::new("content", "1 to 2000 characters")],
            Self::Query => vec![FieldError::new("query", "1 to 2000 characters")],
            Self::SameProfile => vec![FieldError::new("target_profile_id", "another profile")],
            Self::ProfileNotFound
            | Self::NotFound
            | Self::Known
            | Self::Changed
            | Self::Index(_)
            | Self::Store(_) => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }
}

impl MayBeAborted for MemoryError {
    fn is_aborted(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_aborted())
    }
}

/// Memories of a user's profiles.
pub struct MemoryService {
    store: Arc<dyn Store>,
    index: Arc<dyn MemoryIndex>,
    indexer: Arc<Indexer>,
    recaller: Arc<Recaller>,
    signal: Arc<dyn WorkSignal>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
}

impl MemoryService {
    /// Wires the service.
    pub fn new(
        store: Arc<dyn Store>,
        index: Arc<dyn MemoryIndex>,
        indexer: Arc<Indexer>,
        recaller: Arc<Recaller>,
        signal: Arc<dyn WorkSignal>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
    ) -> Self {
        Self {
            store,
            index,
            indexer,
            recaller,
            signal,
            clock,
            ids,
        }
    }

    /// The memories of a profile, newest first.
    pub async fn list(
        &self,
        user: UserId,
        profile: ProfileId,
        page: PageRequest,
    ) -> Result<Page<Memory>, MemoryError> {
        let mut work = self.store.read(user).await?;
        let profile = own_profile(&mut *work, profile).await?;
        Ok(work
            .memories()
            .list(&RecallGrant::by_owner(&profile), page)
            .await?)
    }

    /// One memory of a profile.
    pub async fn get(
        &self,
        user: UserId,
        profile: ProfileId,
        id: MemoryId,
    ) -> Result<Memory, MemoryError> {
        let mut work = self.store.read(user).await?;
        let profile = own_profile(&mut *work, profile).await?;
        own_memory(&mut *work, &profile, id).await
    }

    /// The memories that have to do with a text, best first.
    pub async fn search(
        &self,
        user: UserId,
        profile: ProfileId,
        query: &str,
        limit: usize,
    ) -> Result<RecallResult, MemoryError> {
        if query.trim().is_empty() || query.chars().count() > MemoryContent::MAX_CHARS {
            return Err(MemoryError::Query);
        }
        let profile = own_profile(&mut *self.store.read(user).await?, profile).await?;
        Ok(self
            .recaller
            .recall(&RecallGrant::by_owner(&profile), query, limit)
            .await?)
    }

    /// Writes a memory by hand; it can be found when this returns, unless the index is down.
    pub async fn add(
        &self,
        user: UserId,
        profile: ProfileId,
        content: &str,
    ) -> Result<Memory, MemoryError> {
        let content = MemoryContent::new(content)?;
        let memory = repeat_aborted::<_, MemoryError, _>(|| async {
            let mut work = self.store.begin(user).await?;
            let profile = own_profile(&mut *work, profile).await?;
            let memory = self.new_memory(&profile, content.clone(), Origin::Manual);
            if work
                .memories()
                .add(&LearnGrant::by_owner(&profile), &memory)
                .await?
                != Stored::Added
            {
                return Err(MemoryError::Known);
            }
            self.enqueue(&mut *work, user, index_job(&memory)).await?;
            work.commit().await?;
            Ok(memory)
        })
        .await?;
        self.index_now(&memory).await;
        Ok(memory)
    }

    /// Changes the text of a memory.
    pub async fn update(
        &self,
        user: UserId,
        profile: ProfileId,
        id: MemoryId,
        content: &str,
    ) -> Result<Memory, MemoryError> {
        let content = MemoryContent::new(content)?;
        let memory = repeat_aborted::<_, MemoryError, _>(|| async {
            let mut work = self.store.begin(user).await?;
            let profile = own_profile(&mut *work, profile).await?;
            let mut memory = own_memory(&mut *work, &profile, id).await?;
            memory.content = content.clone();
            memory.version += 1;
            memory.updated_at = self.clock.now();
            if !work
                .memories()
                .update(&LearnGrant::by_owner(&profile), &memory)
                .await?
            {
                return Err(MemoryError::Changed);
            }
            self.enqueue(&mut *work, user, index_job(&memory)).await?;
            work.commit().await?;
            Ok(memory)
        })
        .await?;
        self.index_now(&memory).await;
        Ok(memory)
    }

    /// Forgets one memory: its row and its index entry are gone when this returns. Where the index is
    /// down, a job takes the entry out; no search returns it even before.
    pub async fn delete(
        &self,
        user: UserId,
        profile: ProfileId,
        id: MemoryId,
    ) -> Result<(), MemoryError> {
        let scope = repeat_aborted::<_, MemoryError, _>(|| async {
            let mut work = self.store.begin(user).await?;
            let profile = own_profile(&mut *work, profile).await?;
            let scope = profile.scope();
            if work.memories().remove(scope, Some(&[id])).await?.is_empty() {
                return Err(MemoryError::NotFound);
            }
            let kind = JobKind::Index {
                memory: id,
                profile: scope.profile,
            };
            self.enqueue(&mut *work, user, kind).await?;
            work.commit().await?;
            Ok(scope)
        })
        .await?;
        self.signal.work_added();
        let _ = self.index.remove(scope, Some(&[id])).await;
        Ok(())
    }

    /// Forgets all memories of a profile; how many.
    pub async fn delete_all(&self, user: UserId, profile: ProfileId) -> Result<u64, MemoryError> {
        let (scope, gone) = repeat_aborted::<_, MemoryError, _>(|| async {
            let mut work = self.store.begin(user).await?;
            let profile = own_profile(&mut *work, profile).await?;
            let scope = profile.scope();
            let gone = work.memories().remove(scope, None).await?;
            self.enqueue(
                &mut *work,
                user,
                JobKind::Sweep {
                    profile: scope.profile,
                },
            )
            .await?;
            work.commit().await?;
            Ok((scope, gone))
        })
        .await?;
        self.signal.work_added();
        let _ = self.index.remove(scope, Some(&gone)).await;
        Ok(gone.len() as u64)
    }

    /// Copies all memories of a profile to another one of the same user, but what that one knows
    /// already; how many were copied.
    pub async fn copy_all(
        &self,
        user: UserId,
        from: ProfileId,
        to: ProfileId,
    ) -> Result<u64, MemoryError> {
        if from == to {
            return Err(MemoryError::SameProfile);
        }
        let copied = repeat_aborted(|| self.try_copy(user, from, to)).await?;
        self.signal.work_added();
        Ok(copied)
    }

    async fn try_copy(
        &self,
        user: UserId,
        from: ProfileId,
        to: ProfileId,
    ) -> Result<u64, MemoryError> {
        let mut work = self.store.begin(user).await?;
        let source = own_profile(&mut *work, from).await?;
        let target = own_profile(&mut *work, to).await?;
        let (read, write) = (
            RecallGrant::by_owner(&source),
            LearnGrant::by_owner(&target),
        );
        let mut copied = 0;
        let mut page = PageRequest::first(500);
        loop {
            let batch = work.memories().list(&read, page).await?;
            for original in batch.items {
                let memory = Memory {
                    source: original.source,
                    ..self.new_memory(&target, original.content, Origin::Copied)
                };
                if work.memories().add(&write, &memory).await? == Stored::Added {
                    self.enqueue(&mut *work, user, index_job(&memory)).await?;
                    copied += 1;
                }
            }
            match batch.next {
                Some(cursor) => page.position = Position::After(cursor),
                None => break,
            }
        }
        work.commit().await?;
        Ok(copied)
    }

    fn new_memory(&self, profile: &Profile, content: MemoryContent, origin: Origin) -> Memory {
        let now = self.clock.now();
        Memory {
            id: MemoryId::new(self.ids.next()),
            scope: profile.scope(),
            content,
            origin,
            source: None,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    async fn enqueue(
        &self,
        work: &mut dyn UnitOfWork,
        user: UserId,
        kind: JobKind,
    ) -> Result<(), StoreError> {
        let job = Job {
            id: JobId::new(self.ids.next()),
            user,
            kind,
            available_at: self.clock.now(),
        };
        work.jobs().enqueue(&job).await
    }

    /// So that the owner finds what they just wrote. The job makes sure of it where this fails.
    async fn index_now(&self, memory: &Memory) {
        if let Ok(work) = self.indexer.sync(memory.scope, memory.id).await {
            let _ = work.commit().await;
        }
        self.signal.work_added();
    }
}

fn index_job(memory: &Memory) -> JobKind {
    JobKind::Index {
        memory: memory.id,
        profile: memory.scope.profile,
    }
}

async fn own_profile(work: &mut dyn UnitOfWork, id: ProfileId) -> Result<Profile, MemoryError> {
    Ok(work
        .profiles()
        .find(id)
        .await?
        .ok_or(MemoryError::ProfileNotFound)?
        .profile)
}

async fn own_memory(
    work: &mut dyn UnitOfWork,
    profile: &Profile,
    id: MemoryId,
) -> Result<Memory, MemoryError> {
    let found = work
        .memories()
        .find(&RecallGrant::by_owner(profile), &[id])
        .await?;
    found.into_iter().next().ok_or(MemoryError::NotFound)
}
