//! Memories: what was learned, how it is found again, how it is forgotten.

mod extract;
mod indexer;
mod learn;
mod model;
mod ports;
mod recall;
mod reconcile;
mod reindex;
mod service;
mod terms;

pub use extract::{RuleExtractor, Ungrounded, ground};
pub use indexer::{Indexer, IndexingError};
pub use learn::{LearnError, LearnOutcome, Learner};
pub use model::{
    BadMemory, Candidate, Embedding, EmbeddingSpace, Memory, MemoryContent, MemorySource, Origin,
    Recalled,
};
pub use ports::{
    EmbedError, Embedder, EmbeddingPurpose, ExtractError, IndexEntry, IndexError, IndexHit,
    IndexQuery, IndexRebuild, Indexed, IndexedMemory, MemoryExtractor, MemoryIndex,
    MemoryRepository, Stored, Utterance,
};
pub use recall::{RecallConfig, RecallError, RecallResult, Recaller, fuse};
pub use reconcile::{Place, Reconciled};
pub use reindex::{ReindexError, ReindexReport, Reindexer};
pub use service::{MemoryError, MemoryService};
pub use terms::{TermCount, Terms};
