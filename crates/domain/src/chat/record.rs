//! What of a turn is stored, also when the database fails in the middle of it.

use time::OffsetDateTime;

use super::service::{Inner, Kept, Turn};
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
    /// the place of the answer. One that was `asked` before keeps its row and its stamp; what came of its
    /// answer gives way to the new one.
    pub(super) async fn accept(
        &self,
        kept: Kept,
        session: Session,
        question: &Question,
        asked: Option<Message>,
    ) -> Result<Turn, ChatError> {
        let is_new = asked.is_none();
        let asked = asked.unwrap_or_else(|| Message {
            content: question.as_str().to_owned(),
            ..self.message(&session, question, Role::User)
        });
        let answer = Message {
            stamp: asked.stamp,
            status: MessageStatus::Streaming,
            ..self.message(&session, question, Role::Assistant)
        };
        let mut turn = Turn {
            session,
            question: asked,
            answer,
            history: Vec::new(),
            memories_used: None,
        };
        let after = question.after.filter(|_| is_new);
        match kept {
            Kept::InRows(work) => self.accept_stored(work, &mut turn, after, is_new).await?,
            Kept::Apart(before) => self.accept_ephemeral(before, &mut turn, after).await?,
        }
        let (question, answer) = (turn.question.id, turn.answer.id);
        turn.history
            .retain(|message| message.id != question && message.id != answer);
        Ok(turn)
    }

    async fn accept_stored(
        &self,
        mut work: Box<dyn UnitOfWork>,
        turn: &mut Turn,
        after: Option<MessageId>,
        is_new: bool,
    ) -> Result<(), ChatError> {
        let session = &turn.session;
        let messages = work.messages();
        turn.history = messages.recent(session.id, self.config.history).await?;
        check_newest(after, &turn.history)?;
        if is_new {
            messages.add(&turn.question).await?;
        } else {
            messages.remove(turn.answer.id).await?;
        }
        messages.add(&turn.answer).await?;
        let at = turn.answer.created_at;
        work.sessions().touch(session.id, at).await?;
        match work.commit().await {
            Err(error) if !self.has_place(turn).await => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn accept_ephemeral(
        &self,
        before: Vec<Message>,
        turn: &mut Turn,
        after: Option<MessageId>,
    ) -> Result<(), ChatError> {
        let (session, limit) = (&turn.session, self.config.history);
        turn.history = before;
        self.transcripts.put(session.clone()).await?;
        let kept = self.transcripts.recent(session.user, session.id, limit);
        turn.history.extend(kept.await?);
        let extra = turn.history.len().saturating_sub(limit as usize);
        turn.history.drain(..extra);
        check_newest(after, &turn.history)
    }

    /// An empty, whole message of the session, as of now and under the question's key, if it has one.
    fn message(&self, session: &Session, question: &Question, role: Role) -> Message {
        let key = question.key.as_ref();
        let id = key.map(|key| key.message_id(session.id, role));
        Message {
            id: id.unwrap_or_else(|| MessageId::new(self.ids.next())),
            session: session.id,
            role,
            content: String::new(),
            stamp: session.mode,
            status: MessageStatus::Complete,
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
        // The clock may have been set back since.
        let due = grown >= self.config.flush_bytes || (now - at).abs() >= self.config.flush_every;
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
                ChatError::Store(
                    StoreError::Busy(_) | StoreError::Aborted(_) | StoreError::Unavailable(_)
                )
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
                Some(stored) if is_same(&stored, &turn.answer) => Ok(()),
                Some(_) => Err(ChatError::SessionBusy),
                None => Err(ChatError::SessionGone),
            };
        }
        work.sessions().touch(session.id, self.clock.now()).await?;
        if let Some(job) = lesson {
            work.jobs().enqueue(job).await?;
        }
        Ok(work.commit().await?)
    }

    /// After a commit whose outcome is unknown: is there a place for the answer? When nobody can tell, no.
    async fn has_place(&self, turn: &Turn) -> bool {
        let Ok(mut work) = self.store.read(turn.session.user).await else {
            return false;
        };
        let place = work.messages().find(turn.answer.id).await;
        matches!(place, Ok(Some(place)) if place.status == MessageStatus::Streaming)
    }
}

/// Somebody who was sent the question too may have answered it meanwhile.
fn is_same(stored: &Message, answer: &Message) -> bool {
    stored.status == answer.status && stored.content == answer.content
}

/// Refuses a question that was written without the newest message.
fn check_newest(after: Option<MessageId>, history: &[Message]) -> Result<(), ChatError> {
    let newest = history.last().map(|message| message.id);
    match after {
        Some(after) if newest != Some(after) => Err(ChatError::HistoryChanged),
        _ => Ok(()),
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
