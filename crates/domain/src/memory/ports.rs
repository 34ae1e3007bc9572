//! What memories need from outside.

use async_trait::async_trait;

use super::{Candidate, Embedding, EmbeddingSpace, Memory, Terms};
use crate::chat::ModelError;
use crate::error::{Classify, ErrorKind, Source};
use crate::ids::{MemoryId, MessageId};
use crate::page::{Page, PageRequest};
use crate::privacy::{LearnGrant, MemoryScope, RecallGrant};
use crate::session::DrawnFrom;
use crate::store::StoreError;

/// What came of adding a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It is new.
    Added,
    /// The profile holds the same statement already, under this id; nothing changed.
    Known(MemoryId),
}

/// The memories as rows: the truth about what is remembered. A grant for another owner than the unit
/// of work's finds and changes nothing.
#[async_trait]
pub trait MemoryRepository: Send {
    /// Adds a memory. [`StoreError::Conflict`] on `reference` when the profile is not the owner's, or
    /// the source is not a message of the owner stamped `normal`.
    async fn add(&mut self, grant: &LearnGrant, memory: &Memory) -> Result<Stored, StoreError>;
    /// Those of these memories that exist in the scope, in the order asked for.
    async fn find(
        &mut self,
        grant: &RecallGrant,
        ids: &[MemoryId],
    ) -> Result<Vec<Memory>, StoreError>;
    /// The memories of the scope, newest first, ties by id, largest first. A cursor's key is the time
    /// of making in microseconds since 1970.
    async fn list(
        &mut self,
        grant: &RecallGrant,
        page: PageRequest,
    ) -> Result<Page<Memory>, StoreError>;
    /// Stores content, version and time of change, if the stored version is the one before: otherwise,
    /// and when it is gone, `false`. A removed memory is never brought back.
    /// [`StoreError::Conflict`] on `memory` when the profile holds the same statement already.
    async fn update(&mut self, grant: &LearnGrant, memory: &Memory) -> Result<bool, StoreError>;
    /// Removes these memories of the scope, or all of it; answers with those that were there.
    async fn remove(
        &mut self,
        scope: MemoryScope,
        ids: Option<&[MemoryId]>,
    ) -> Result<Vec<MemoryId>, StoreError>;
    /// Removes the memories drawn from a session or message, in whatever profile of the owner, those too
    /// that are being stored at this moment; none is drawn from it any more until this unit of work ends.
    async fn remove_drawn(
        &mut self,
        from: DrawnFrom,
    ) -> Result<Vec<(MemoryScope, MemoryId)>, StoreError>;
    /// The memory to be indexed, whatever its profile: for jobs, which know no more than its id.
    async fn find_for_index(&mut self, id: MemoryId) -> Result<Option<Memory>, StoreError>;
    /// Records what the index holds of this version of a memory; a newer version's record stays.
    async fn mark_indexed(&mut self, memory: &Memory, held: Indexed) -> Result<(), StoreError>;
}

/// What the index holds of a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indexed {
    /// Nothing, or what is out of date.
    Nothing,
    /// Its words.
    Words,
    /// Its words and its vector.
    Vector,
}

/// A point of the index: a memory's words and, where an embedder was there, its vector.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexEntry {
    /// The memory; one entry each.
    pub memory: MemoryId,
    /// The version of the memory that this was made of.
    pub version: u32,
    /// Its words.
    pub terms: Terms,
    /// Its vector.
    pub embedding: Option<Embedding>,
}

impl IndexEntry {
    /// The entry of a memory as it stands.
    pub fn of(memory: &Memory, embedding: Option<Embedding>) -> Self {
        Self {
            memory: memory.id,
            version: memory.version,
            terms: Terms::of(memory.content.as_str()),
            embedding,
        }
    }
}

/// That an entry is there, to be compared with its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexedMemory {
    /// The memory.
    pub memory: MemoryId,
    /// The version of the memory that the entry was made of.
    pub version: u32,
    /// Has it a vector?
    pub with_vector: bool,
}

/// What to search for.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexQuery {
    /// Words; may be empty.
    pub terms: Terms,
    /// Meaning; `None` to search by words alone.
    pub embedding: Option<Embedding>,
    /// At most this many hits of each kind.
    pub limit: usize,
}

/// A memory that was found, with both of its scores, so that one piece of code fuses them whatever
/// the index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IndexHit {
    /// The memory.
    pub memory: MemoryId,
    /// Cosine of the vectors, -1 to 1; `None` when either side has none.
    pub cosine: Option<f32>,
    /// BM25 (Robertson and Zaragoza 2009; k1 0.9, b 0.4) over the profile's own statistics; 0 without
    /// a common word.
    pub bm25: f32,
}

/// A failure of the memory index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The vector or query belongs to another embedding space than the index.
    #[error("the index holds vectors of {}, not of this model", .recorded.model)]
    WrongSpace {
        /// What the index was made with.
        recorded: EmbeddingSpace,
    },
    /// It cannot be reached.
    #[error("the memory index is not available")]
    Unavailable(#[source] Source),
}

impl Classify for IndexError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::WrongSpace { .. } | Self::Unavailable(_) => ErrorKind::Unavailable,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::WrongSpace { .. } => "index_needs_rebuild",
            Self::Unavailable(_) => "index_unavailable",
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::WrongSpace { .. } => {
                "The memory index must be rebuilt for the present embedding model."
            }
            Self::Unavailable(_) => "The memory index is not available. Try again in a moment.",
        }
        .to_owned()
    }
}

/// The memory index: derived from the rows, can be thrown away and rebuilt. Every call is walled in
/// by a scope inside the query itself; there is no unscoped search. What it returns is believed only
/// after it was read again from SQL.
#[async_trait]
pub trait MemoryIndex: Send + Sync {
    /// The space its vectors belong to; `None` while it has none.
    async fn space(&self) -> Result<Option<EmbeddingSpace>, IndexError>;
    /// Records the space if none is recorded; [`IndexError::WrongSpace`] if another one is.
    async fn adopt(&self, space: &EmbeddingSpace) -> Result<(), IndexError>;
    /// Begins an empty index of this space beside the one that serves, which goes on serving and being
    /// written. One at a time: whoever begins takes over from an earlier one, whose calls then fail.
    async fn begin_rebuild(
        &self,
        space: Option<&EmbeddingSpace>,
    ) -> Result<Box<dyn IndexRebuild>, IndexError>;
    /// The best `limit` by vector and the best `limit` by words, each memory once, with both scores,
    /// in no promised order. An empty query finds nothing.
    async fn search(
        &self,
        grant: &RecallGrant,
        query: &IndexQuery,
    ) -> Result<Vec<IndexHit>, IndexError>;
    /// Writes entries; an entry for a memory that has one replaces it. Durable and visible to the next
    /// search when it returns. A vector of another length than the recorded space is
    /// [`IndexError::WrongSpace`]. An entry whose memory has no row may be left out.
    async fn upsert(&self, grant: &LearnGrant, entries: Vec<IndexEntry>) -> Result<(), IndexError>;
    /// Removes entries of the scope, `None` for all of it; idempotent, and gone when it returns.
    async fn remove(
        &self,
        scope: MemoryScope,
        memories: Option<&[MemoryId]>,
    ) -> Result<(), IndexError>;
    /// The entries of the scope in the order of their ids, at most `limit` of those after `after`: to
    /// prove that one is gone, and to compare with SQL.
    async fn entries(
        &self,
        scope: MemoryScope,
        after: Option<MemoryId>,
        limit: usize,
    ) -> Result<Vec<IndexedMemory>, IndexError>;
    /// Where the entries of all users lie, in the order of their memories' ids, at most `limit` of those
    /// after `after`: to find what has no profile any more. For maintenance, never for a user.
    async fn owners(
        &self,
        after: Option<MemoryId>,
        limit: usize,
    ) -> Result<Vec<(MemoryId, MemoryScope)>, IndexError>;
}

/// An index in the making. Dropped without a word, it is abandoned.
#[async_trait]
pub trait IndexRebuild: Send + Sync {
    /// As [`MemoryIndex::upsert`], into the new index: nobody sees it yet.
    async fn upsert(&self, grant: &LearnGrant, entries: Vec<IndexEntry>) -> Result<(), IndexError>;
    /// The new index takes the place of the old one, at once and for everybody; the old one is gone.
    async fn finish(self: Box<Self>) -> Result<(), IndexError>;
    /// Throws the new index away; the old one serves as before.
    async fn abandon(self: Box<Self>) -> Result<(), IndexError>;
}

/// What an embedding is for: some models treat the two differently, and queries go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbeddingPurpose {
    /// To search with; somebody waits.
    Query,
    /// To be found.
    Document,
}

/// A failure to embed.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The queue is full.
    #[error("the embedding model is busy")]
    Busy,
    /// It cannot be reached or failed.
    #[error("the embedding model is not available")]
    Unavailable(#[source] Source),
}

/// Turns texts into vectors. Texts that are too long are cut, not refused.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// The space its vectors belong to.
    fn space(&self) -> &EmbeddingSpace;
    /// As many vectors as texts, in their order. The same text gives the same vector (to 1e-5).
    async fn embed(
        &self,
        texts: Vec<String>,
        purpose: EmbeddingPurpose,
    ) -> Result<Vec<Embedding>, EmbedError>;
}

/// What a person said, as far as it may be learned from.
#[derive(Clone, PartialEq, Eq)]
pub struct Utterance {
    /// The message.
    pub message: MessageId,
    /// The person's words.
    pub text: String,
    /// What was said before, oldest first, `(speaker, words)`: only messages stamped `normal`. It helps
    /// to understand; nothing is drawn from it.
    pub before: Vec<(crate::session::Role, String)>,
}

/// A failure to extract.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The model failed; try again later.
    #[error("extraction failed")]
    Model(#[from] ModelError),
    /// The model cannot follow the schema: trying again will not help.
    #[error("the model's answer does not follow the schema")]
    Unusable(#[source] Source),
}

/// Finds what is worth remembering in a person's words. What it proposes is checked against those
/// words afterwards: an extractor cannot make a memory by itself. Ids, owner and profile never come
/// from it.
#[async_trait]
pub trait MemoryExtractor: Send + Sync {
    /// At most a few candidates, each with the words it rests on; none when there is nothing. The grant
    /// proves that this may be learned from.
    async fn extract(
        &self,
        grant: &LearnGrant,
        utterance: &Utterance,
    ) -> Result<Vec<Candidate>, ExtractError>;
}
