//! Memories: what was learned, how it is found again, how it is forgotten.

// mod extract;
// mod learn;
mod model;
mod ports;
// mod recall;
// mod reindex;
// mod service;
mod terms;

/*TMP pub use extract::{RuleExtractor, Ungrounded, ground}; TMP*/
/*TMP pub use learn::{LearnOutcome, Learner}; TMP*/
pub use model::{BadMemory, Candidate, Embedding, EmbeddingSpace, Memory, MemoryContent, MemorySource, Origin, Recalled};
pub use ports::{
    EmbedError, Embedder, EmbeddingPurpose, ExtractError, IndexEntry, IndexError, IndexHit, IndexQuery,
    MemoryExtractor, MemoryIndex, MemoryRepository, Stored, Utterance,
};
/*TMP pub use recall::{RecallConfig, RecallResult, Recaller, fuse}; TMP*/
/*TMP pub use reindex::{ReindexError, ReindexReport, Reindexer}; TMP*/
/*TMP pub use service::{MemoryError, MemoryService}; TMP*/
pub use terms::{TermCount, Terms};
