//! Memories on the wire.

use domain::memory::{Memory, MemorySource, RecallResult, Recalled};
use domain::page::PageRequest;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::super::wire::{OriginName, Timestamp};
use crate::pagination::{BadPage, Limits, page_request};

/// Which memories to list. All of them, unless a page is asked for: a profile holds thousands, and
/// clients that know no paging expect them whole.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct MemoriesQuery {
    /// At most this many memories.
    #[param(minimum = 1, maximum = 10_000, default = 10_000)]
    limit: Option<i64>,
    /// Skip this many memories.
    #[param(minimum = 0, maximum = 1_000_000, default = 0)]
    offset: Option<i64>,
    /// Start of the page, taken from the `Link` header of the page before. Not together with `offset`.
    #[param(max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

impl MemoriesQuery {
    /// The page meant.
    pub(super) fn page(&self) -> Result<PageRequest, BadPage> {
        let limits = Limits {
            default: 10_000,
            max: 10_000,
        };
        page_request(limits, self.limit, self.offset, self.cursor.as_deref())
    }
}

/// The text of a memory.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemoryRequest {
    /// One statement. White space is folded.
    #[schema(
        min_length = 1,
        max_length = 2000,
        example = "Ada's dog is called Rex."
    )]
    pub(super) content: String,
}

/// What to search for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchRequest {
    #[schema(min_length = 1, max_length = 2000, example = "pets")]
    pub(super) query: String,
    /// At most this many memories.
    #[schema(minimum = 1, maximum = 50, default = 5)]
    limit: Option<i64>,
}

impl SearchRequest {
    /// How many memories are wanted.
    pub(super) fn limit(&self) -> Result<usize, BadPage> {
        let limits = Limits {
            default: 5,
            max: 50,
        };
        Ok(page_request(limits, self.limit, None, None)?.limit as usize)
    }
}

/// Where to copy to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CopyMemoriesRequest {
    /// Another profile of the same user.
    pub(super) target_profile_id: Uuid,
}

/// Something remembered.
#[derive(Serialize, ToSchema)]
pub(crate) struct MemoryResponse {
    id: Uuid,
    #[schema(
        min_length = 1,
        max_length = 2000,
        example = "Ada's dog is called Rex."
    )]
    memory: String,
    /// The same text as `memory`.
    #[schema(
        min_length = 1,
        max_length = 2000,
        example = "Ada's dog is called Rex."
    )]
    memory_content: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    user_id: Uuid,
    memory_profile_id: Uuid,
    metadata: MemoryMetadata,
    /// The message it was drawn from; `null` when it was written by hand or the message was deleted.
    #[schema(required = true)]
    source: Option<SourceResponse>,
    /// 1, and one more with each change.
    #[schema(minimum = 1)]
    version: u32,
}

/// Where a memory lives and how it came to be.
#[derive(Serialize, ToSchema)]
pub(crate) struct MemoryMetadata {
    memory_profile_id: Uuid,
    origin: OriginName,
}

/// The message that a memory was drawn from.
#[derive(Serialize, ToSchema)]
pub(crate) struct SourceResponse {
    session_id: Uuid,
    message_id: Uuid,
}

impl From<MemorySource> for SourceResponse {
    fn from(source: MemorySource) -> Self {
        Self {
            session_id: source.session.as_uuid(),
            message_id: source.message.as_uuid(),
        }
    }
}

impl From<Memory> for MemoryResponse {
    fn from(memory: Memory) -> Self {
        let memory_profile_id = memory.scope.profile.as_uuid();
        Self {
            id: memory.id.as_uuid(),
            memory: memory.content.as_str().to_owned(),
            memory_content: memory.content.as_str().to_owned(),
            created_at: memory.created_at.into(),
            updated_at: memory.updated_at.into(),
            user_id: memory.scope.user.as_uuid(),
            memory_profile_id,
            metadata: MemoryMetadata {
                memory_profile_id,
                origin: memory.origin.into(),
            },
            source: memory.source.map(Into::into),
            version: memory.version,
        }
    }
}

/// A memory that fits a text.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecalledResponse {
    #[serde(flatten)]
    memory: MemoryResponse,
    /// How well it fits: higher is better, comparable within one answer only.
    #[schema(example = 0.83)]
    score: f32,
}

impl From<Recalled> for RecalledResponse {
    fn from(recalled: Recalled) -> Self {
        Self {
            memory: recalled.memory.into(),
            score: recalled.score,
        }
    }
}

/// What a search found.
#[derive(Serialize, ToSchema)]
pub(crate) struct FoundResponse {
    /// Best first.
    #[schema(max_items = 50)]
    memories: Vec<RecalledResponse>,
    /// How many there are in this answer.
    #[schema(minimum = 0, maximum = 50)]
    count: usize,
    /// True when no embedding model answered, so that only words were compared.
    words_only: bool,
}

impl From<RecallResult> for FoundResponse {
    fn from(result: RecallResult) -> Self {
        Self {
            count: result.memories.len(),
            memories: result.memories.into_iter().map(Into::into).collect(),
            words_only: result.words_only,
        }
    }
}

/// How much was copied.
#[derive(Serialize, ToSchema)]
pub(crate) struct CopiedResponse {
    #[schema(max_length = 200, example = "Memories copied.")]
    pub(super) message: &'static str,
    /// How many memories are new in the other profile.
    #[schema(minimum = 0)]
    pub(super) copied: u64,
}

/// What was deleted.
#[derive(Serialize, ToSchema)]
pub(crate) struct MemoryDeletedResponse {
    #[schema(max_length = 200, example = "Memory deleted.")]
    pub(super) message: &'static str,
    pub(super) memory_id: Uuid,
}

/// How much was deleted.
#[derive(Serialize, ToSchema)]
pub(crate) struct MemoriesDeletedResponse {
    #[schema(max_length = 200, example = "All memories of the profile deleted.")]
    pub(super) message: &'static str,
    pub(super) profile_id: Uuid,
    /// How many there were.
    #[schema(minimum = 0)]
    pub(super) deleted: u64,
}
