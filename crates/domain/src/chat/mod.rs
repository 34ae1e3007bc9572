//! The turn: one question and its answer.

mod error;
mod model;
mod ports;
mod prompt;
mod queue;
mod record;
mod replay;
mod service;

pub use error::{ChatError, ModelError};
pub use model::{
    IdempotencyKey, Question, RecallNote, TurnEvent, TurnOutcome, TurnStart, TurnStream,
};
pub use ports::{
    ChatModel, ModelLimits, Prompt, PromptMessage, ReplyEvent, ReplyStream, WholeReply, complete,
};
pub use prompt::{PromptParts, build as build_prompt};
pub use service::{TurnConfig, TurnService};
