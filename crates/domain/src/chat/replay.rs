//! A question that was asked before, under the same key.

use futures::{StreamExt, stream};

use super::service::{Inner, Kept};
use super::{ChatError, Question, RecallNote, TurnEvent, TurnOutcome, TurnStart, TurnStream};
use crate::privacy::PrivacyMode;
use crate::session::{FinishReason, Message, MessageStatus, Role, Session};

/// What became of a question.
pub(super) enum Earlier {
    /// It was never asked.
    Never,
    /// It was asked, and no whole answer came: the model refused, or broke off.
    Unanswered(Message),
    /// It has its answer.
    Answered(Message, Message),
}

impl Inner {
    /// Looks for a question of this key where the session's mode keeps its turns.
    /// [`ChatError::SessionBusy`] while its answer is being written, [`ChatError::KeyReused`] when it
    /// was another question.
    pub(super) async fn earlier(
        &self,
        kept: &mut Kept,
        session: &Session,
        question: &Question,
    ) -> Result<Earlier, ChatError> {
        let Some(key) = &question.key else {
            return Ok(Earlier::Never);
        };
        let asked = key.message_id(session.id, Role::User);
        let answer = key.message_id(session.id, Role::Assistant);
        let (asked, answer) = match kept {
            Kept::InRows(work) => {
                let messages = work.messages();
                (messages.find(asked).await?, messages.find(answer).await?)
            }
            Kept::Apart(_) => {
                let turns = self.transcripts.recent(session.user, session.id, u32::MAX);
                let turns = turns.await?;
                let find = |id| turns.iter().rfind(|message| message.id == id).cloned();
                (find(asked), find(answer))
            }
        };
        let Some(asked) = asked else {
            return Ok(Earlier::Never);
        };
        if asked.content != question.as_str() {
            return Err(ChatError::KeyReused);
        }
        match answer {
            Some(answer) => match answer.status {
                MessageStatus::Complete => Ok(Earlier::Answered(asked, answer)),
                MessageStatus::Streaming => Err(ChatError::SessionBusy),
                MessageStatus::Interrupted => Ok(Earlier::Unanswered(asked)),
            },
            None => Ok(Earlier::Unanswered(asked)),
        }
    }
}

/// Tells a turn again from what is kept of it.
pub(super) fn answered(question: Message, answer: Message) -> TurnStream {
    let reply = answer.reply.clone();
    let memories_used = reply.as_ref().and_then(|reply| reply.memories_used);
    let start = TurnStart {
        session: question.session,
        mode: question.stamp,
        memories_used: memories_used.map_or(0, |used| used as usize),
        memories: Vec::new(),
        recall: RecallNote::Replayed,
        question,
    };
    let words = answer.content.clone();
    let outcome = TurnOutcome {
        // Who had something to recall from had somewhere to learn into.
        learning: PrivacyMode::learns(start.mode) && memories_used.is_some(),
        usage: reply.as_ref().map(|reply| reply.usage).unwrap_or_default(),
        finish: reply.map_or(FinishReason::Stop, |reply| reply.finish),
        answer,
    };
    let events = [
        TurnEvent::Started(Box::new(start)),
        TurnEvent::Delta(words),
        TurnEvent::Completed(Box::new(outcome)),
    ];
    TurnStream {
        events: stream::iter(events).boxed(),
        survives_hangup: false,
    }
}
