//! Values with sensible fields and fresh ids. Change what a test is about with struct update:
//! `User { is_active: false, ..a_user() }`.

use std::sync::atomic::{AtomicU64, Ordering};

use domain::account::{ApiKey, Login, PasswordHash, Scope, User};
use domain::ids::{ApiKeyId, JobId, LoginId, MemoryId, MessageId, ProfileId, SessionId, UserId};
use domain::jobs::{Job, JobKind};
use domain::memory::{Memory, MemoryContent, MemorySource, Origin};
use domain::privacy::PrivacyMode;
use domain::profile::Profile;
use domain::session::{FinishReason, Message, MessageStatus, ReplyInfo, Role, Session, TokenUsage};
use time::{Duration, OffsetDateTime, macros::datetime};
use uuid::Uuid;

/// A moment, so many seconds after the start of the test world. It has microseconds, as stores do.
pub fn at(seconds: i64) -> OffsetDateTime {
    datetime!(2026-01-01 00:00:00.123456 UTC) + Duration::seconds(seconds)
}

/// The n-th identifier of the test world; later ones sort after earlier ones.
pub fn nth_id(n: u64) -> Uuid {
    const START_MS: u64 = 1_767_225_600_000;
    uuid::Builder::from_unix_timestamp_millis(START_MS + n, &[0x5A; 10]).into_uuid()
}

/// An identifier that nothing else in this process has.
pub fn fresh_id() -> Uuid {
    nth_id(fresh_number())
}

fn fresh_number() -> u64 {
    // Starts high, so that the ids of a test's own generator do not meet these.
    static NEXT: AtomicU64 = AtomicU64::new(1_000_000_000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// An active user with an address of their own.
pub fn a_user() -> User {
    let n = fresh_number();
    User {
        id: UserId::new(nth_id(n)),
        email: format!("user{n}@example.org").parse().unwrap(),
        is_active: true,
        created_at: at(0),
        updated_at: at(0),
    }
}

/// A stored hash of no particular password.
pub fn a_hash(text: &str) -> PasswordHash {
    PasswordHash(format!("test${text}"))
}

/// A log-in at its first generation.
pub fn a_login(user: UserId) -> Login {
    Login {
        id: LoginId::new(fresh_id()),
        user,
        generation: 1,
        created_at: at(0),
        expires_at: at(3600),
        revoked_at: None,
    }
}

/// An API key that never ends.
pub fn an_api_key(user: UserId) -> ApiKey {
    ApiKey {
        id: ApiKeyId::new(fresh_id()),
        user,
        name: "nightly export".to_owned(),
        prefix: "mc_test".to_owned(),
        scopes: vec![Scope::Read, Scope::Chat],
        created_at: at(0),
        expires_at: None,
        revoked_at: None,
    }
}

/// A profile that is not the default.
pub fn a_profile(user: UserId, name: &str) -> Profile {
    Profile::new(ProfileId::new(fresh_id()), user, name, None, false, at(0)).unwrap()
}

/// A default profile, as it comes with an account.
pub fn a_default_profile(user: UserId) -> Profile {
    Profile::first(ProfileId::new(fresh_id()), user, at(0))
}

/// A session in normal mode.
pub fn a_session(user: UserId, profile: Option<ProfileId>) -> Session {
    Session {
        id: SessionId::new(fresh_id()),
        user,
        profile,
        mode: PrivacyMode::Normal,
        created_at: at(0),
        updated_at: at(0),
    }
}

/// A question in normal mode.
pub fn a_message(session: SessionId, content: &str) -> Message {
    Message {
        id: MessageId::new(fresh_id()),
        session,
        role: Role::User,
        content: content.to_owned(),
        stamp: PrivacyMode::Normal,
        status: MessageStatus::Complete,
        reply: None,
        created_at: at(0),
    }
}

/// How an answer came about.
pub fn a_reply(finish: FinishReason) -> ReplyInfo {
    let usage = TokenUsage {
        prompt: 40,
        completion: 2,
    };
    ReplyInfo {
        model: "test-model".to_owned(),
        usage,
        finish,
        memories_used: Some(2),
    }
}

/// A whole answer.
pub fn an_answer(session: SessionId, content: &str) -> Message {
    let reply = Some(a_reply(FinishReason::Stop));
    Message {
        role: Role::Assistant,
        reply,
        ..a_message(session, content)
    }
}

/// An answer that is still being written.
pub fn a_streaming_answer(session: SessionId) -> Message {
    let status = MessageStatus::Streaming;
    Message {
        role: Role::Assistant,
        status,
        ..a_message(session, "")
    }
}

/// The text of a memory.
pub fn content(text: &str) -> MemoryContent {
    MemoryContent::new(text).unwrap()
}

/// A memory that its owner wrote.
pub fn a_memory(profile: &Profile, text: &str) -> Memory {
    Memory {
        id: MemoryId::new(fresh_id()),
        scope: profile.scope(),
        content: content(text),
        origin: Origin::Manual,
        source: None,
        version: 1,
        created_at: at(0),
        updated_at: at(0),
    }
}

/// A memory that was learned from a message.
pub fn a_drawn_memory(profile: &Profile, text: &str, from: &Message) -> Memory {
    let source = Some(MemorySource {
        session: from.session,
        message: from.id,
    });
    Memory {
        origin: Origin::Extracted,
        source,
        ..a_memory(profile, text)
    }
}

/// A job that is due at once.
pub fn a_job(user: UserId, kind: JobKind) -> Job {
    Job {
        id: JobId::new(fresh_id()),
        user,
        kind,
        available_at: at(0),
    }
}

/// A job to index a memory.
pub fn an_index_job(memory: &Memory) -> Job {
    let kind = JobKind::Index {
        memory: memory.id,
        profile: memory.scope.profile,
    };
    a_job(memory.scope.user, kind)
}
