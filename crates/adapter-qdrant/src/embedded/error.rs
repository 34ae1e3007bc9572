//! Why a call brought nothing.

use std::io;

use domain::memory::IndexError;
use qdrant_edge::OperationError;

/// A failure of the engine or of its folder.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EdgeError {
    /// One process at a time.
    #[error("another process uses the folder of the memory index")]
    InUse,
    /// The engine refused or failed.
    #[error("the engine failed")]
    Engine(#[from] OperationError),
    /// The folder or one of its small files.
    #[error("the folder of the memory index cannot be used")]
    Folder(#[from] io::Error),
    /// A small file does not say what it should.
    #[error("the file {0} of the memory index is damaged")]
    Damaged(&'static str),
    /// Nobody else's point is overwritten.
    #[error("a point belongs to another owner")]
    Foreign,
    /// Another rebuild was begun meanwhile.
    #[error("another rebuild has taken the place of this one")]
    Superseded,
    /// The engine panicked, or the runtime is at its end.
    #[error("the engine broke off")]
    BrokeOff,
    /// What the port tells apart.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl From<EdgeError> for IndexError {
    fn from(error: EdgeError) -> Self {
        match error {
            EdgeError::Index(error) => error,
            other => Self::Unavailable(Box::new(other)),
        }
    }
}
