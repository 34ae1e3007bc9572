//! What users do with their sessions.

use std::sync::Arc;

use super::{
    DrawnFrom, Message, Session, SessionFilter, SessionSummary, SessionView, TranscriptCache,
    TranscriptError,
};
use crate::clock::{Clock, IdGenerator};
use crate::error::{Classify, ErrorKind};
use crate::ids::{JobId, MemoryId, MessageId, ProfileId, SessionId, UserId};
use crate::jobs::{Job, JobKind, WorkSignal};
use crate::memory::MemoryIndex;
use crate::page::{Page, PageRequest};
use crate::privacy::{MemoryScope, PrivacyMode};
use crate::store::{MayBeAborted, Store, StoreError, UnitOfWork, repeat_aborted};

/// A failure of [`SessionService`].
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Unknown, expired, or somebody else's.
    #[error("no such session")]
    NotFound,
    /// Unknown, or of another session.
    #[error("no such message")]
    MessageNotFound,
    /// The profile asked for is unknown, or somebody else's.
    #[error("no such memory profile")]
    ProfileNotFound,
    /// Where ephemeral turns are kept.
    #[error(transparent)]
    Ephemeral(#[from] TranscriptError),
    /// The database.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for SessionError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { what: "reference" } => Self::ProfileNotFound,
            other => Self::Store(other),
        }
    }
}

impl Classify for SessionError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound | Self::MessageNotFound | Self::ProfileNotFound => ErrorKind::NotFound,
            Self::Ephemeral(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "session_not_found",
            Self::MessageNotFound => "message_not_found",
            Self::ProfileNotFound => "profile_not_found",
            Self::Ephemeral(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::NotFound => "No such session.".to_owned(),
            Self::MessageNotFound => "No such message.".to_owned(),
            Self::ProfileNotFound => "No such memory profile.".to_owned(),
            Self::Ephemeral(error) => error.detail(),
            Self::Store(error) => error.detail(),
        }
    }

    fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            Self::Store(error) => error.retry_after(),
            Self::Ephemeral(error) => error.retry_after(),
            Self::NotFound | Self::MessageNotFound | Self::ProfileNotFound => None,
        }
    }
}

impl MayBeAborted for SessionError {
    fn is_aborted(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_aborted())
    }
}

/// What a new session is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewSession {
    /// How it treats memories.
    pub mode: PrivacyMode,
    /// Its profile; without one a persisting session takes the user's default, an incognito one none.
    pub profile: Option<ProfileId>,
}

/// The fields of a session that are to change; `None` leaves one as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionChange {
    /// How it treats memories from the next message on.
    pub mode: Option<PrivacyMode>,
    /// Another profile, or none.
    pub profile: Option<Option<ProfileId>>,
}

/// What becomes of the memories that were drawn from deleted messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithMemories {
    /// They stay, without that source.
    Keep,
    /// They go too.
    Forget,
}

/// Sessions of a user. Those made incognito live in the [`TranscriptCache`] only; no route lists them
/// and nothing of them is ever read out.
pub struct SessionService {
    store: Arc<dyn Store>,
    transcripts: Arc<dyn TranscriptCache>,
    index: Arc<dyn MemoryIndex>,
    signal: Arc<dyn WorkSignal>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
}

impl SessionService {
    /// Wires the service.
    pub fn new(
        store: Arc<dyn Store>,
        transcripts: Arc<dyn TranscriptCache>,
        index: Arc<dyn MemoryIndex>,
        signal: Arc<dyn WorkSignal>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
    ) -> Self {
        Self {
            store,
            transcripts,
            index,
            signal,
            clock,
            ids,
        }
    }

    /// Opens a session.
    pub async fn create(&self, user: UserId, new: NewSession) -> Result<SessionView, SessionError> {
        let now = self.clock.now();
        let id = SessionId::new(self.ids.next());
        let session = Session {
            id,
            user,
            profile: new.profile,
            mode: new.mode,
            created_at: now,
            updated_at: now,
        };
        let session = if new.mode.persists() {
            repeat_aborted(|| self.store_new(session.clone())).await?
        } else {
            if let Some(profile) = new.profile {
                let mut work = self.store.read(user).await?;
                work.profiles()
                    .find(profile)
                    .await?
                    .ok_or(SessionError::ProfileNotFound)?;
            }
            self.transcripts.put(session.clone()).await?;
            session
        };
        Ok(SessionView {
            session,
            message_count: 0,
        })
    }

    async fn store_new(&self, mut session: Session) -> Result<Session, SessionError> {
        let mut work = self.store.begin(session.user).await?;
        session.profile = chosen_profile(&mut *work, session.profile).await?;
        work.sessions().add(&session).await?;
        work.commit().await?;
        Ok(session)
    }

    /// Stored sessions, most recently updated first.
    pub async fn list(
        &self,
        user: UserId,
        filter: SessionFilter,
        page: PageRequest,
    ) -> Result<Page<SessionView>, SessionError> {
        Ok(self
            .store
            .read(user)
            .await?
            .sessions()
            .list(filter, page)
            .await?)
    }

    /// One session, stored or ephemeral.
    pub async fn get(&self, user: UserId, id: SessionId) -> Result<SessionView, SessionError> {
        if let Some(view) = self.store.read(user).await?.sessions().find(id).await? {
            return Ok(view);
        }
        let session = self
            .transcripts
            .find(user, id)
            .await?
            .ok_or(SessionError::NotFound)?;
        Ok(SessionView {
            session,
            message_count: 0,
        })
    }

    /// Changes mode or profile, from the next message on. Leaving incognito drops the ephemeral turns;
    /// a session that was made incognito gets its row only then.
    pub async fn update(
        &self,
        user: UserId,
        id: SessionId,
        change: SessionChange,
    ) -> Result<SessionView, SessionError> {
        repeat_aborted(|| self.try_update(user, id, change)).await
    }

    async fn try_update(
        &self,
        user: UserId,
        id: SessionId,
        change: SessionChange,
    ) -> Result<SessionView, SessionError> {
        let mut work = self.store.begin(user).await?;
        let stored = work.sessions().lock(id).await?;
        let is_stored = stored.is_some();
        let before = if let Some(session) = stored {
            session
        } else {
            // Nothing of the database is held while somebody else is asked.
            drop(work);
            let found = self.transcripts.find(user, id).await?;
            let found = found.ok_or(SessionError::NotFound)?;
            work = self.store.begin(user).await?;
            found
        };
        let mut session = before.clone();
        session.mode = change.mode.unwrap_or(before.mode);
        session.profile = change.profile.unwrap_or(before.profile);
        session.updated_at = self.clock.now();
        if let Some(profile) = session.profile
            && work.profiles().find(profile).await?.is_none()
        {
            if change.profile.is_some() {
                return Err(SessionError::ProfileNotFound);
            }
            // Deleting a profile takes it out of rows, not out of ephemeral sessions.
            session.profile = None;
        }
        if is_stored {
            work.sessions().update(&session).await?;
        } else if session.mode.persists() {
            session.profile = chosen_profile(&mut *work, session.profile).await?;
            work.sessions().add(&session).await?;
        } else {
            drop(work);
            self.transcripts.put(session.clone()).await?;
            return Ok(SessionView {
                session,
                message_count: 0,
            });
        }
        let view = work
            .sessions()
            .find(id)
            .await?
            .ok_or(SessionError::NotFound)?;
        // Before the commit: where the turns cannot be dropped, the mode must not change either, or
        // they would be there again after the next switch.
        if before.mode.persists() != session.mode.persists() {
            self.transcripts.remove(user, id).await?;
        }
        match work.commit().await {
            Err(error) if error.is_aborted() && !is_stored => {
                // It has no row yet: without this it would be gone, and not only its turns.
                self.transcripts.put(before).await?;
                Err(error.into())
            }
            done => Ok(done.map(|()| view)?),
        }
    }

    /// Deletes a session with all its messages, stored or ephemeral.
    pub async fn delete(
        &self,
        user: UserId,
        id: SessionId,
        memories: WithMemories,
    ) -> Result<(), SessionError> {
        let forgotten = repeat_aborted(|| self.try_delete(user, id, memories)).await?;
        self.clear_index(forgotten).await;
        Ok(())
    }

    async fn try_delete(
        &self,
        user: UserId,
        id: SessionId,
        memories: WithMemories,
    ) -> Result<Vec<(MemoryScope, MemoryId)>, SessionError> {
        let mut work = self.store.begin(user).await?;
        let Some(stored) = work.sessions().lock(id).await? else {
            drop(work);
            let was_ephemeral = self.transcripts.remove(user, id).await?;
            return was_ephemeral.then(Vec::new).ok_or(SessionError::NotFound);
        };
        let forgotten = self
            .forget_drawn(&mut *work, user, DrawnFrom::Session(id), memories)
            .await?;
        work.sessions().remove(id).await?;
        // A stored session has ephemeral turns only while it is incognito.
        if !stored.mode.persists() {
            self.transcripts.remove(user, id).await?;
        }
        work.commit().await?;
        Ok(forgotten)
    }

    /// The session's stored messages, oldest first; none for an ephemeral session.
    pub async fn messages(
        &self,
        user: UserId,
        id: SessionId,
        page: PageRequest,
    ) -> Result<Page<Message>, SessionError> {
        let mut work = self.store.read(user).await?;
        if work.sessions().find(id).await?.is_some() {
            return Ok(work.messages().list(id, page).await?);
        }
        drop(work);
        self.transcripts
            .find(user, id)
            .await?
            .ok_or(SessionError::NotFound)?;
        Ok(Page {
            items: Vec::new(),
            next: None,
        })
    }

    /// Deletes one stored message.
    pub async fn delete_message(
        &self,
        user: UserId,
        session: SessionId,
        id: MessageId,
        memories: WithMemories,
    ) -> Result<(), SessionError> {
        let forgotten = repeat_aborted::<_, SessionError, _>(|| async {
            let mut work = self.store.begin(user).await?;
            let message = work
                .messages()
                .find(id)
                .await?
                .ok_or(SessionError::MessageNotFound)?;
            if message.session != session {
                return Err(SessionError::MessageNotFound);
            }
            let forgotten = self
                .forget_drawn(&mut *work, user, DrawnFrom::Message(id), memories)
                .await?;
            work.messages().remove(id).await?;
            work.commit().await?;
            Ok(forgotten)
        })
        .await?;
        self.clear_index(forgotten).await;
        Ok(())
    }

    /// The session's stored messages, counted.
    pub async fn summary(
        &self,
        user: UserId,
        id: SessionId,
    ) -> Result<SessionSummary, SessionError> {
        let mut work = self.store.read(user).await?;
        if work.sessions().find(id).await?.is_some() {
            return Ok(work.messages().summary(id).await?);
        }
        drop(work);
        self.transcripts
            .find(user, id)
            .await?
            .ok_or(SessionError::NotFound)?;
        Ok(SessionSummary::default())
    }

    async fn forget_drawn(
        &self,
        work: &mut dyn UnitOfWork,
        user: UserId,
        from: DrawnFrom,
        memories: WithMemories,
    ) -> Result<Vec<(MemoryScope, MemoryId)>, SessionError> {
        if memories == WithMemories::Keep {
            return Ok(Vec::new());
        }
        let forgotten = work.memories().remove_drawn(from).await?;
        for (scope, memory) in &forgotten {
            let kind = JobKind::Index {
                memory: *memory,
                profile: scope.profile,
            };
            let id = JobId::new(self.ids.next());
            work.jobs()
                .enqueue(&Job {
                    id,
                    user,
                    kind,
                    available_at: self.clock.now(),
                })
                .await?;
        }
        Ok(forgotten)
    }

    /// The jobs prove it; doing it here already means that no search can see them from now on.
    async fn clear_index(&self, forgotten: Vec<(MemoryScope, MemoryId)>) {
        if forgotten.is_empty() {
            return;
        }
        self.signal.work_added();
        for (scope, memory) in forgotten {
            let _ = self.index.remove(scope, Some(&[memory])).await;
        }
    }
}

async fn chosen_profile(
    work: &mut dyn UnitOfWork,
    wanted: Option<ProfileId>,
) -> Result<Option<ProfileId>, SessionError> {
    match wanted {
        Some(id) => {
            let view = work
                .profiles()
                .find(id)
                .await?
                .ok_or(SessionError::ProfileNotFound)?;
            Ok(Some(view.profile.id()))
        }
        None => Ok(work
            .profiles()
            .find_default()
            .await?
            .map(|profile| profile.id())),
    }
}
