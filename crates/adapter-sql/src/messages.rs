//! The stored messages of the owner's sessions.

use async_trait::async_trait;
use domain::ids::{MessageId, SessionId};
use domain::page::{Cursor, Page, PageRequest, Position};
use domain::session::{
    FinishReason, Message, MessageRepository, MessageStatus, ReplyInfo, Role, SessionRepository,
    SessionSummary, TokenUsage,
};
use domain::store::StoreError;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select, UpdateMany};
use time::OffsetDateTime;

use crate::entities::message;
use crate::error::store_error;
use crate::rows::{Table, count, micros, offset};
use crate::unit_of_work::SqlUnitOfWork;

const MESSAGES: Table = Table("chat_messages");

/// The row takes its owner from its session, and the place behind the last one.
const ADD: &str = "\
    insert into chat_messages (id, user_id, session_id, seq, memory_mode, status, role, content, \
        model, prompt_tokens, completion_tokens, finish_reason, memories_used, alive_at, created_at) \
    select $3, s.user_id, s.id, \
        1 + coalesce((select max(m.seq) from chat_messages m \
                      where m.user_id = s.user_id and m.session_id = s.id), 0), \
        $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13 \
    from chat_sessions s where s.user_id = $1 and s.id = $2";

impl SqlUnitOfWork {
    fn own_messages(&self, session: SessionId) -> Select<message::Entity> {
        message::Entity::find()
            .filter(message::Column::UserId.eq(self.owner))
            .filter(message::Column::SessionId.eq(session.as_uuid()))
    }

    fn update_of(&self, id: MessageId) -> UpdateMany<message::Entity> {
        message::Entity::update_many()
            .filter(message::Column::Id.eq(id.as_uuid()))
            .filter(message::Column::UserId.eq(self.owner))
    }
}

#[async_trait]
impl MessageRepository for SqlUnitOfWork {
    async fn add(&mut self, message: &Message) -> Result<(), StoreError> {
        if self.needs_locks() && self.locked != Some(message.session) {
            SessionRepository::lock(self, message.session).await?;
        }
        let reply = message.reply.as_ref();
        let values = [
            self.owner.into(),
            message.session.as_uuid().into(),
            message.id.as_uuid().into(),
            message.stamp.as_str().into(),
            message.status.as_str().into(),
            message.role.as_str().into(),
            message.content.as_str().into(),
            reply.map(|reply| reply.model.clone()).into(),
            reply.map(|reply| i64::from(reply.usage.prompt)).into(),
            reply.map(|reply| i64::from(reply.usage.completion)).into(),
            reply.map(|reply| reply.finish.as_str().to_owned()).into(),
            memories_used(reply).into(),
            micros(message.created_at).into(),
        ];
        match self.execute(ADD, values).await?.rows_affected() {
            0 => Err(StoreError::Conflict { what: "reference" }),
            _ => Ok(()),
        }
    }

    async fn recent(&mut self, session: SessionId, limit: u32) -> Result<Vec<Message>, StoreError> {
        let rows = self
            .own_messages(session)
            .filter(message::Column::Status.ne(MessageStatus::Streaming.as_str()))
            .order_by_desc(message::Column::Seq)
            .limit(u64::from(limit))
            .all(&self.tx)
            .await
            .map_err(store_error)?;
        rows.into_iter().rev().map(message_of).collect()
    }

    async fn list(
        &mut self,
        session: SessionId,
        page: PageRequest,
    ) -> Result<Page<Message>, StoreError> {
        let query = self
            .own_messages(session)
            .order_by_asc(message::Column::Seq)
            .limit(u64::from(page.limit) + 1);
        let query = match page.position {
            Position::Offset(rows) => query.offset(offset(rows)),
            Position::After(Cursor { key, .. }) => query.filter(message::Column::Seq.gt(key)),
        };
        let rows = query.all(&self.tx).await.map_err(store_error)?;
        let place = |row: &message::Model| Cursor {
            key: row.seq,
            id: row.id,
        };
        let Page { items, next } = Page::cut(rows, page.limit, place);
        let items = items
            .into_iter()
            .map(message_of)
            .collect::<Result<_, _>>()?;
        Ok(Page { items, next })
    }

    async fn find(&mut self, id: MessageId) -> Result<Option<Message>, StoreError> {
        let row = message::Entity::find_by_id(id.as_uuid())
            .filter(message::Column::UserId.eq(self.owner))
            .one(&self.tx)
            .await
            .map_err(store_error)?;
        row.map(message_of).transpose()
    }

    async fn progress(
        &mut self,
        id: MessageId,
        content: &str,
        at: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let stored = self
            .update_of(id)
            .filter(message::Column::Status.eq(MessageStatus::Streaming.as_str()))
            .col_expr(message::Column::Content, Expr::value(content))
            .col_expr(message::Column::AliveAt, Expr::value(micros(at)))
            .exec(&self.tx)
            .await
            .map_err(store_error)?;
        Ok(stored.rows_affected > 0)
    }

    async fn finish(&mut self, message: &Message) -> Result<bool, StoreError> {
        let reply = message.reply.as_ref();
        let model = reply.map(|reply| reply.model.as_str());
        let prompt = reply.map(|reply| i64::from(reply.usage.prompt));
        let completion = reply.map(|reply| i64::from(reply.usage.completion));
        let finish = reply.map(|reply| reply.finish.as_str());
        let stored = self
            .update_of(message.id)
            .filter(message::Column::Status.ne(MessageStatus::Complete.as_str()))
            .col_expr(
                message::Column::Content,
                Expr::value(message.content.as_str()),
            )
            .col_expr(
                message::Column::Status,
                Expr::value(message.status.as_str()),
            )
            .col_expr(message::Column::Model, Expr::value(model))
            .col_expr(message::Column::PromptTokens, Expr::value(prompt))
            .col_expr(message::Column::CompletionTokens, Expr::value(completion))
            .col_expr(message::Column::FinishReason, Expr::value(finish))
            .col_expr(
                message::Column::MemoriesUsed,
                Expr::value(memories_used(reply)),
            )
            .exec(&self.tx)
            .await
            .map_err(store_error)?;
        Ok(stored.rows_affected > 0)
    }

    async fn remove(&mut self, id: MessageId) -> Result<bool, StoreError> {
        let removed = message::Entity::delete_many()
            .filter(message::Column::Id.eq(id.as_uuid()))
            .filter(message::Column::UserId.eq(self.owner))
            .exec(&self.tx)
            .await
            .map_err(store_error)?;
        Ok(removed.rows_affected > 0)
    }

    async fn summary(&mut self, session: SessionId) -> Result<SessionSummary, StoreError> {
        let groups: Vec<(String, i64, i64, i64)> = self
            .own_messages(session)
            .select_only()
            .column(message::Column::Role)
            .expr_as(Expr::cust("count(*)"), "messages")
            .column_as(message::Column::CreatedAt.min(), "first_at")
            .column_as(message::Column::CreatedAt.max(), "last_at")
            .group_by(message::Column::Role)
            .into_tuple()
            .all(&self.tx)
            .await
            .map_err(store_error)?;
        let of = |role: Role| {
            let group = groups.iter().find(|group| group.0 == role.as_str());
            group.map_or(0, |group| count(group.1))
        };
        let first = groups.iter().map(|group| group.2).min();
        let last = groups.iter().map(|group| group.3).max();
        Ok(SessionSummary {
            user_messages: of(Role::User),
            assistant_messages: of(Role::Assistant),
            total_messages: groups.iter().map(|group| count(group.1)).sum(),
            first_message_at: MESSAGES.time_opt("created_at", first)?,
            last_message_at: MESSAGES.time_opt("created_at", last)?,
        })
    }
}

fn message_of(row: message::Model) -> Result<Message, StoreError> {
    Ok(Message {
        id: MessageId::new(row.id),
        session: SessionId::new(row.session_id),
        role: MESSAGES.value("role", Role::parse(&row.role))?,
        stamp: MESSAGES.value("memory_mode", row.memory_mode.parse().ok())?,
        status: MESSAGES.value("status", MessageStatus::parse(&row.status))?,
        created_at: MESSAGES.time("created_at", row.created_at)?,
        reply: reply_of(&row)?,
        content: row.content,
    })
}

fn reply_of(row: &message::Model) -> Result<Option<ReplyInfo>, StoreError> {
    let Some(model) = row.model.clone() else {
        return Ok(None);
    };
    let tokens = |column, tokens: Option<i64>| MESSAGES.number(column, tokens.unwrap_or(0));
    let finish = row.finish_reason.as_deref().and_then(FinishReason::parse);
    Ok(Some(ReplyInfo {
        model,
        usage: TokenUsage {
            prompt: tokens("prompt_tokens", row.prompt_tokens)?,
            completion: tokens("completion_tokens", row.completion_tokens)?,
        },
        finish: MESSAGES.value("finish_reason", finish)?,
        memories_used: row
            .memories_used
            .map(|used| MESSAGES.number("memories_used", used))
            .transpose()?,
    }))
}

fn memories_used(reply: Option<&ReplyInfo>) -> Option<i64> {
    reply.and_then(|reply| reply.memories_used).map(i64::from)
}
