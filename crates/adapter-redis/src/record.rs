//! How sessions and messages lie in Redis. Replicas of two versions may meet there: add fields with a
//! default, and never change the meaning of one.

use domain::error::Source;
use domain::ids::{MessageId, ProfileId, SessionId, UserId};
use domain::privacy::PrivacyMode;
use domain::session::{FinishReason, Message, MessageStatus, ReplyInfo, Role, Session, TokenUsage};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

#[derive(Serialize, Deserialize)]
struct SessionRecord {
    profile: Option<Uuid>,
    mode: String,
    created_at: i64,
}

#[derive(Serialize, Deserialize)]
struct MessageRecord {
    id: Uuid,
    role: String,
    content: String,
    stamp: String,
    status: String,
    reply: Option<ReplyRecord>,
    created_at: i64,
}

#[derive(Serialize, Deserialize)]
struct ReplyRecord {
    model: String,
    prompt: u32,
    completion: u32,
    finish: String,
    #[serde(default)]
    memories_used: Option<u32>,
}

/// All of a session but its ids and its time of update, which have places of their own.
pub(crate) fn encode_session(session: &Session) -> Result<String, Source> {
    let record = SessionRecord {
        profile: session.profile.map(ProfileId::as_uuid),
        mode: session.mode.as_str().to_owned(),
        created_at: micros(session.created_at),
    };
    Ok(serde_json::to_string(&record)?)
}

pub(crate) fn decode_session(
    user: UserId,
    id: SessionId,
    text: &str,
    updated_at: i64,
) -> Result<Session, Source> {
    let record: SessionRecord = serde_json::from_str(text)?;
    Ok(Session {
        id,
        user,
        profile: record.profile.map(ProfileId::new),
        mode: record.mode.parse::<PrivacyMode>()?,
        created_at: moment(record.created_at)?,
        updated_at: moment(updated_at)?,
    })
}

pub(crate) fn encode_message(message: &Message) -> Result<String, Source> {
    let record = MessageRecord {
        id: message.id.as_uuid(),
        role: message.role.as_str().to_owned(),
        content: message.content.clone(),
        stamp: message.stamp.as_str().to_owned(),
        status: message.status.as_str().to_owned(),
        reply: message.reply.as_ref().map(|reply| ReplyRecord {
            model: reply.model.clone(),
            prompt: reply.usage.prompt,
            completion: reply.usage.completion,
            finish: reply.finish.as_str().to_owned(),
            memories_used: reply.memories_used,
        }),
        created_at: micros(message.created_at),
    };
    Ok(serde_json::to_string(&record)?)
}

pub(crate) fn decode_message(session: SessionId, text: &str) -> Result<Message, Source> {
    let record: MessageRecord = serde_json::from_str(text)?;
    Ok(Message {
        id: MessageId::new(record.id),
        session,
        role: Role::parse(&record.role).ok_or("an unknown role")?,
        content: record.content,
        stamp: record.stamp.parse::<PrivacyMode>()?,
        status: MessageStatus::parse(&record.status).ok_or("an unknown status")?,
        reply: record.reply.map(decode_reply).transpose()?,
        created_at: moment(record.created_at)?,
    })
}

fn decode_reply(record: ReplyRecord) -> Result<ReplyInfo, Source> {
    Ok(ReplyInfo {
        model: record.model,
        usage: TokenUsage {
            prompt: record.prompt,
            completion: record.completion,
        },
        finish: FinishReason::parse(&record.finish).ok_or("an unknown end")?,
        memories_used: record.memories_used,
    })
}

/// Microseconds since 1970, as in the database.
pub(crate) fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX)
}

fn moment(micros: i64) -> Result<OffsetDateTime, Source> {
    let nanos = i128::from(micros) * 1000;
    Ok(OffsetDateTime::from_unix_timestamp_nanos(nanos)?)
}
