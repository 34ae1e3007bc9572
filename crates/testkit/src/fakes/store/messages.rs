//! Messages.

use async_trait::async_trait;
use domain::ids::{MessageId, SessionId};
use domain::page::{Cursor, Page, PageRequest};
use domain::session::{Message, MessageRepository, MessageStatus, Role, SessionSummary};
use domain::store::StoreError;
use time::OffsetDateTime;

use super::Unit;
use super::page::{Order, page};
use super::state::MessageRow;

impl Unit {
    /// The messages of a session of the owner's, in the order of adding.
    fn messages_of(&self, session: SessionId) -> impl Iterator<Item = &MessageRow> {
        let rows = self.state.messages.iter();
        rows.filter(move |row| row.owner == self.owner && row.message.session == session)
    }

    /// The answer, if this may still be said of its status.
    fn answer(
        &mut self,
        id: MessageId,
        may_be: impl Fn(MessageStatus) -> bool,
    ) -> Option<&mut MessageRow> {
        let owner = self.owner;
        let mut rows = self.state.messages.iter_mut();
        let row = rows.find(|row| row.owner == owner && row.message.id == id);
        row.filter(|row| may_be(row.message.status))
    }
}

#[async_trait]
impl MessageRepository for Unit {
    async fn add(&mut self, message: &Message) -> Result<(), StoreError> {
        if self.state.session(self.owner, message.session).is_none() {
            return self.conflict("reference");
        }
        if !message.stamp.persists() {
            return self.conflict("mode");
        }
        let streaming = MessageStatus::Streaming;
        let mut others = self.messages_of(message.session);
        if message.status == streaming && others.any(|row| row.message.status == streaming) {
            drop(others);
            return self.conflict("streaming");
        }
        drop(others);
        self.state.places += 1;
        self.state.messages.push(MessageRow {
            owner: self.owner,
            place: self.state.places,
            alive_at: message.created_at,
            message: message.clone(),
        });
        Ok(())
    }

    async fn recent(&mut self, session: SessionId, limit: u32) -> Result<Vec<Message>, StoreError> {
        let done = |row: &&MessageRow| row.message.status != MessageStatus::Streaming;
        let rows: Vec<_> = self.messages_of(session).filter(done).collect();
        let newest = &rows[rows.len().saturating_sub(limit as usize)..];
        Ok(newest.iter().map(|row| row.message.clone()).collect())
    }

    async fn list(
        &mut self,
        session: SessionId,
        request: PageRequest,
    ) -> Result<Page<Message>, StoreError> {
        let rows = self.messages_of(session).collect();
        let cursor = |row: &&MessageRow| Cursor {
            key: row.place,
            id: row.message.id.as_uuid(),
        };
        Ok(page(rows, Order::Ascending, request, cursor).map(|row| row.message.clone()))
    }

    async fn find(&mut self, id: MessageId) -> Result<Option<Message>, StoreError> {
        Ok(self.state.message(self.owner, id).cloned())
    }

    async fn progress(
        &mut self,
        id: MessageId,
        content: &str,
        at: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let Some(row) = self.answer(id, |is| is == MessageStatus::Streaming) else {
            return Ok(false);
        };
        content.clone_into(&mut row.message.content);
        row.alive_at = at;
        Ok(true)
    }

    async fn finish(&mut self, message: &Message) -> Result<bool, StoreError> {
        let Some(row) = self.answer(message.id, |is| is != MessageStatus::Complete) else {
            return Ok(false);
        };
        row.message.content.clone_from(&message.content);
        row.message.status = message.status;
        row.message.reply.clone_from(&message.reply);
        Ok(true)
    }

    async fn remove(&mut self, id: MessageId) -> Result<bool, StoreError> {
        let owner = self.owner;
        Ok(self
            .state
            .remove_messages(|row| row.owner == owner && row.message.id == id))
    }

    async fn summary(&mut self, session: SessionId) -> Result<SessionSummary, StoreError> {
        let messages: Vec<_> = self.messages_of(session).map(|row| &row.message).collect();
        let of = |role: Role| messages.iter().filter(|m| m.role == role).count() as u64;
        let times = messages.iter().map(|m| m.created_at);
        Ok(SessionSummary {
            user_messages: of(Role::User),
            assistant_messages: of(Role::Assistant),
            total_messages: messages.len() as u64,
            first_message_at: times.clone().min(),
            last_message_at: times.max(),
        })
    }
}
