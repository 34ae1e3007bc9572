//! What of a turn is stored, also when the database fails in the middle of it.

use time::OffsetDateTime;

use super::service::{Inner, Turn};
use super::{ChatError, Question};
use crate::ids::{JobId, MessageId};
use crate::jobs::{Job, JobKind};
use crate::privacy::PrivacyMode;
use crate::session::{Message, MessageStatus, Role, Session};
use crate::store::{StoreError, UnitOfWork};

/// How often a whole answer is tried to be stored. Each try waits for a connection first, so that a
/// database that restarts is back before they end.
const CLOSING_TRIES: u32 = 5;

impl Inner {
    /// Stamps the question with the session's mode and stores it, where the mode persists, together with
    /// the place of the answer.
    pub(super) async fn accept(
        &self,
        mut work: Box<dyn UnitOfWork>,
        session: Session,
        question: &Question,
    ) -> Result<Turn, ChatError> {
        let question = question.as_str();
        let question = self.message(&session, Role::User, question, MessageStatus::Complete);
        let answer = self.message(&session, Role::Assistant, "", MessageStatus::Streaming);
        let mut history = work
            .messages()
            .recent(session.id, self.config.history)
            .await?;
        if session.mode.persists() {
            work.messages().add(&question).await?;
            work.messages().add(&answer).await?;
            work.sessions().touch(session.id, answer.created_at).await?;
            if let Err(error) = work.commit().await
                && !self.is_stored(&session, question.id).await
            {
                return Err(error.into());
            }
        } else {
            drop(work);
            self.transcripts.put(session.clone()).await?;
            let limit = self.config.history;
            history.extend(
                self.transcripts
                    .recent(session.user, session.id, limit)
                    .await?,
            );
            let extra = history.len().saturating_sub(limit as usize);
            history.drain(..extra);
        }
        Ok(Turn {
            session,
            question,
            answer,
            history,
        })
    }

    fn message(
        &self,
        session: &Session,
        role: Role,
        content: &str,
        status: MessageStatus,
    ) -> Message {
        Message {
            id: MessageId::new(self.ids.next()),
            session: session.id,
            role,
            content: content.to_owned(),
            stamp: session.mode,
            status,
            reply: None,
            created_at: self.clock.now(),
        }
    }

    /// The model refused before its first word: the place of the answer is given up, the question stays.
    /// Where even that fails, the place is swept up later as an interrupted answer.
    pub(super) async fn withdraw(&self, turn: &Turn) {
        if turn.question.stamp.persists()
            && let Ok(mut work) = self.store.begin(turn.session.user).await
            && let Ok(true) = work.messages().remove(turn.answer.id).await
        {
            let _ = work.commit().await;
        }
    }

    /// Stores what has come so far, now and then. A failure here is no failure of the turn: the end
    /// stores everything.
    pub(super) async fn flush(&self, turn: &Turn, flushed: &mut (usize, OffsetDateTime)) {
        let (bytes, at) = *flushed;
        let now = self.clock.now();
        let grown = turn.answer.content.len() - bytes;
        let due = grown >= self.config.flush_bytes || now - at >= self.config.flush_every;
        if !due || !turn.question.stamp.persists() {
            return;
        }
        *flushed = (turn.answer.content.len(), now);
        if let Ok(mut work) = self.store.begin(turn.session.user).await
            && let Ok(true) = work
                .messages()
                .progress(turn.answer.id, &turn.answer.content, now)
                .await
        {
            let _ = work.commit().await;
        }
    }

    /// Stores the answer and, where the mode learns, the work of learning, at once; tells whether there
    /// is any.
    pub(super) async fn close(&self, turn: &Turn) -> Result<bool, ChatError> {
        let session = &turn.session;
        if !turn.question.stamp.persists() {
            let messages = vec![turn.question.clone(), turn.answer.clone()];
            self.transcripts
                .append(session.user, session.id, messages)
                .await?;
            return Ok(false);
        }
        let lesson = learning_job(turn).map(|kind| Job {
            id: JobId::new(self.ids.next()),
            user: session.user,
            kind,
            available_at: self.clock.now(),
        });
        let mut tries = 1;
        while let Err(error) = self.store_answer(turn, lesson.as_ref()).await {
            let passing = matches!(
                error,
                ChatError::Store(StoreError::Busy(_) | StoreError::Unavailable(_))
            );
            if !passing || tries == CLOSING_TRIES {
                return Err(error);
            }
            tries += 1;
        }
        if lesson.is_some() {
            self.signal.work_added();
        }
        Ok(lesson.is_some())
    }

    async fn store_answer(&self, turn: &Turn, lesson: Option<&Job>) -> Result<(), ChatError> {
        let session = &turn.session;
        let mut work = self.store.begin(session.user).await?;
        if !work.messages().finish(&turn.answer).await? {
            // An earlier try may have been stored although its commit was cut off.
            let stored = work.messages().find(turn.answer.id).await?;
            return match stored {
                Some(stored) if stored.status == turn.answer.status => Ok(()),
                _ => Err(ChatError::SessionGone),
            };
        }
        work.sessions().touch(session.id, self.clock.now()).await?;
        if let Some(job) = lesson {
            work.jobs().enqueue(job).await?;
        }
        Ok(work.commit().await?)
    }

    /// After a commit whose outcome is unknown: did it happen? When nobody can tell, no.
    async fn is_stored(&self, session: &Session, message: MessageId) -> bool {
        let Ok(mut work) = self.store.read(session.user).await else {
            return false;
        };
        matches!(work.messages().find(message).await, Ok(Some(_)))
    }
}

/// Only a whole answer in a mode that learns, in a session with a profile, leaves work behind.
fn learning_job(turn: &Turn) -> Option<JobKind> {
    let learns =
        PrivacyMode::learns(turn.question.stamp) && turn.answer.status == MessageStatus::Complete;
    let profile = turn.session.profile.filter(|_| learns)?;
    Some(JobKind::Learn {
        message: turn.question.id,
        profile,
    })
}
