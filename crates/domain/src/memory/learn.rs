//! Learning from a message.

use std::sync::Arc;

use super::{
    Candidate, ExtractError, Memory, MemoryContent, MemoryExtractor, MemorySource, Origin,
    RuleExtractor, Stored, Utterance, ground,
};
use crate::clock::{Clock, IdGenerator};
use crate::ids::{JobId, MemoryId, MessageId, ProfileId, UserId};
use crate::jobs::{Job, JobKind};
use crate::privacy::{LearnGrant, MemoryScope};
use crate::session::{Message, Role};
use crate::store::{Store, StoreError, UnitOfWork};

/// Earlier messages that an extractor may look at.
const CONTEXT_MESSAGES: u32 = 6;

/// What came of learning from one message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LearnOutcome {
    /// New memories.
    pub added: usize,
    /// Statements that were known already.
    pub known: usize,
    /// Candidates that did not rest on the message.
    pub ungrounded: usize,
}

/// A failure to learn.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// The extractor; try again later.
    #[error(transparent)]
    Extract(#[from] ExtractError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Draws memories from what a person said, if it may.
pub struct Learner {
    store: Arc<dyn Store>,
    extractor: Arc<dyn MemoryExtractor>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
}

/// A message that may be learned from.
struct Lesson {
    grant: LearnGrant,
    message: Message,
    utterance: Utterance,
}

impl Learner {
    /// Wires the use case.
    pub fn new(
        store: Arc<dyn Store>,
        extractor: Arc<dyn MemoryExtractor>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
    ) -> Self {
        Self {
            store,
            extractor,
            clock,
            ids,
        }
    }

    /// Learns from a message for a profile. Both are looked up now: when either is gone, or the message
    /// is not stamped with a mode that learns, nothing is learned. On the `last_try` a model that fails
    /// is replaced by rules. Answers with a unit of work that holds the memories and their index jobs,
    /// still to be committed together with the end of the job.
    pub async fn learn(
        &self,
        user: UserId,
        message: MessageId,
        profile: ProfileId,
        last_try: bool,
    ) -> Result<(Box<dyn UnitOfWork>, LearnOutcome), LearnError> {
        let scope = MemoryScope { user, profile };
        let lesson = self.lesson(scope, message).await?;
        let Some(lesson) = lesson else {
            return Ok((self.store.begin(user).await?, LearnOutcome::default()));
        };
        let candidates = self.extract(&lesson, last_try).await?;
        let (contents, dropped) = ground(&lesson.utterance.text, candidates);

        let mut work = self.store.begin(user).await?;
        let mut outcome = LearnOutcome {
            ungrounded: dropped.len(),
            ..LearnOutcome::default()
        };
        let still_there = work.messages().find(message).await?.is_some()
            && work.profiles().find(profile).await?.is_some();
        if still_there {
            for content in contents {
                match self.keep(&mut *work, &lesson, content).await? {
                    Stored::Added => outcome.added += 1,
                    Stored::Known(_) => outcome.known += 1,
                }
            }
        }
        Ok((work, outcome))
    }

    async fn lesson(
        &self,
        scope: MemoryScope,
        id: MessageId,
    ) -> Result<Option<Lesson>, StoreError> {
        let mut work = self.store.read(scope.user).await?;
        let Some(message) = work.messages().find(id).await? else {
            return Ok(None);
        };
        let granted = LearnGrant::from_message(message.stamp, scope);
        let Some(grant) = granted.filter(|_| message.role == Role::User) else {
            return Ok(None);
        };
        if work.profiles().find(scope.profile).await?.is_none() {
            return Ok(None);
        }
        let recent = work
            .messages()
            .recent(message.session, CONTEXT_MESSAGES * 2)
            .await?;
        // Where the session has moved on too far, there is no context rather than a wrong one.
        let earlier = recent.iter().position(|m| m.id == id).unwrap_or(0);
        let before = recent[..earlier]
            .iter()
            .filter(|m| m.stamp.learns())
            .map(|m| (m.role, m.content.clone()))
            .collect();
        let utterance = Utterance {
            message: id,
            text: message.content.clone(),
            before,
        };
        Ok(Some(Lesson {
            grant,
            message,
            utterance,
        }))
    }

    async fn extract(
        &self,
        lesson: &Lesson,
        last_try: bool,
    ) -> Result<Vec<Candidate>, ExtractError> {
        match self
            .extractor
            .extract(&lesson.grant, &lesson.utterance)
            .await
        {
            Err(ExtractError::Unusable(_)) => {
                RuleExtractor
                    .extract(&lesson.grant, &lesson.utterance)
                    .await
            }
            Err(_) if last_try => {
                RuleExtractor
                    .extract(&lesson.grant, &lesson.utterance)
                    .await
            }
            other => other,
        }
    }

    async fn keep(
        &self,
        work: &mut dyn UnitOfWork,
        lesson: &Lesson,
        content: MemoryContent,
    ) -> Result<Stored, StoreError> {
        let now = self.clock.now();
        let scope = lesson.grant.scope();
        let memory = Memory {
            id: MemoryId::new(self.ids.next()),
            scope,
            content,
            origin: Origin::Extracted,
            source: Some(MemorySource {
                session: lesson.message.session,
                message: lesson.message.id,
            }),
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let stored = work.memories().add(&lesson.grant, &memory).await?;
        if stored == Stored::Added {
            let kind = JobKind::Index {
                memory: memory.id,
                profile: scope.profile,
            };
            let job = Job {
                id: JobId::new(self.ids.next()),
                user: scope.user,
                kind,
                available_at: now,
            };
            work.jobs().enqueue(&job).await?;
        }
        Ok(stored)
    }
}
