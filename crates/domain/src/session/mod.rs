//! Sessions and their messages.

mod ephemeral;
mod model;
mod ports;
mod service;

pub use ephemeral::{EphemeralLimits, RamTranscripts};
pub use model::{
    FinishReason, Message, MessageStatus, ReplyInfo, Role, Session, SessionSummary, SessionView,
    TokenUsage,
};
pub use ports::{
    DrawnFrom, MessageRepository, SessionFilter, SessionRepository, TranscriptCache,
    TranscriptError,
};
pub use service::{NewSession, SessionChange, SessionError, SessionService, WithMemories};
