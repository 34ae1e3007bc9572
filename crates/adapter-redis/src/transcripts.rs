//! Incognito turns that several processes can see.

use std::sync::Arc;

use async_trait::async_trait;
use domain::clock::Clock;
use domain::error::Source;
use domain::ids::{SessionId, UserId};
use domain::session::{EphemeralLimits, Message, Session, TranscriptCache, TranscriptError};
use redis::{Script, ScriptInvocation};

use crate::record::{decode_message, decode_session, encode_message, encode_session, micros};
use crate::server::{Ran, RedisFailure, RedisServer};

/// [`TranscriptCache`] of all replicas on one Redis. Each key holds the user's id and lives for the idle
/// time, so that nothing of one user can be asked for in the name of another, and nothing stays.
pub struct RedisTranscripts {
    server: Arc<RedisServer>,
    clock: Arc<dyn Clock>,
    limits: EphemeralLimits,
    put: Script,
    find: Script,
    recent: Script,
    append: Script,
    remove: Script,
}

impl RedisTranscripts {
    /// Turns on this server, within these limits.
    pub fn new(server: Arc<RedisServer>, clock: Arc<dyn Clock>, limits: EphemeralLimits) -> Self {
        Self {
            server,
            clock,
            limits,
            put: Script::new(include_str!("scripts/put.lua")),
            find: Script::new(include_str!("scripts/find.lua")),
            recent: Script::new(include_str!("scripts/recent.lua")),
            append: Script::new(include_str!("scripts/append.lua")),
            remove: Script::new(include_str!("scripts/remove.lua")),
        }
    }

    /// What keys of a user's sessions begin with.
    fn of_user(&self, user: UserId) -> String {
        self.server.key(format_args!("turns:{user}:"))
    }

    /// A call of a script with all the keys of a session.
    fn on<'a>(&self, script: &'a Script, user: UserId, id: SessionId) -> ScriptInvocation<'a> {
        let session = format!("{}{id}", self.of_user(user));
        let mut call = script.prepare_invoke();
        call.key(&session)
            .key(format!("{session}:messages"))
            .key(self.server.key(format_args!("turns:{user}")))
            .key(self.server.key("turns"));
        call
    }

    fn idle_millis(&self) -> u64 {
        u64::try_from(self.limits.idle.as_millis()).unwrap_or(u64::MAX)
    }
}

#[async_trait]
impl TranscriptCache for RedisTranscripts {
    async fn put(&self, session: Session) -> Result<(), TranscriptError> {
        let mut call = self.on(&self.put, session.user, session.id);
        call.arg(session.id.to_string())
            .arg(session.user.to_string())
            .arg(encode_session(&session).map_err(TranscriptError::Unavailable)?)
            .arg(micros(session.updated_at))
            .arg(self.idle_millis())
            .arg(self.limits.sessions_per_user)
            .arg(self.limits.sessions)
            .arg(self.of_user(session.user));
        match self.server.run(&call).await.map_err(unavailable)? {
            0 => Err(TranscriptError::Full),
            _ => Ok(()),
        }
    }

    async fn find(&self, user: UserId, id: SessionId) -> Result<Option<Session>, TranscriptError> {
        let call = self.on(&self.find, user, id);
        let found: (Option<String>, Option<i64>) =
            self.server.run(&call).await.map_err(unavailable)?;
        let (Some(record), Some(updated_at)) = found else {
            return Ok(None);
        };
        let session = decode_session(user, id, &record, updated_at);
        session.map(Some).map_err(TranscriptError::Unavailable)
    }

    async fn recent(
        &self,
        user: UserId,
        id: SessionId,
        limit: u32,
    ) -> Result<Vec<Message>, TranscriptError> {
        let mut call = self.on(&self.recent, user, id);
        call.arg(limit);
        let found: Vec<String> = self.server.run(&call).await.map_err(unavailable)?;
        let decode = |text: &String| {
            let (_, record) = text.split_once(' ').ok_or("a message without its size")?;
            decode_message(id, record)
        };
        let messages: Result<Vec<_>, Source> = found.iter().map(decode).collect();
        messages.map_err(TranscriptError::Unavailable)
    }

    async fn append(
        &self,
        user: UserId,
        id: SessionId,
        turn: Vec<Message>,
    ) -> Result<(), TranscriptError> {
        let Some(last) = turn.last() else {
            return Ok(());
        };
        let mut call = self.on(&self.append, user, id);
        call.arg(id.to_string())
            .arg(user.to_string())
            .arg(last.id.to_string())
            .arg(micros(self.clock.now()))
            .arg(self.idle_millis())
            .arg(self.limits.bytes_per_session);
        for message in &turn {
            let record = encode_message(message).map_err(TranscriptError::Unavailable)?;
            call.arg(message.content.len()).arg(record);
        }
        let _kept: u8 = self.server.run(&call).await.map_err(unavailable)?;
        Ok(())
    }

    async fn remove(&self, user: UserId, id: SessionId) -> Result<bool, TranscriptError> {
        let mut call = self.on(&self.remove, user, id);
        call.arg(id.to_string()).arg(user.to_string());
        let ran: Ran<u64> = self.server.run_telling(&call).await.map_err(unavailable)?;
        // After a broken connection the first run may have removed it: gone it is in any case, and
        // whoever deleted it must not hear that there was nothing.
        Ok(ran.answer > 0 || ran.repeated)
    }
}

fn unavailable(failure: RedisFailure) -> TranscriptError {
    TranscriptError::Unavailable(failure.into())
}
