//! Choosing the memory index: rows of the database, or a Qdrant server.

use std::sync::Arc;

use adapter_qdrant::QdrantMemoryIndex;
use adapter_sql::{SqlMemoryIndex, SqlStore};
use anyhow::{Context, Result, bail};
use domain::health::Probe;
use domain::memory::{Embedder, IndexError, MemoryIndex};
use tracing::warn;

use crate::probes::{IndexPlace, IndexProbe};
use crate::settings::Settings;
use crate::wiring::Parts;

/// Memory that the embedded index may use for vectors, in bytes.
const INDEX_CACHE_BYTES: u64 = 256 * 1024 * 1024;

/// The index in use.
pub struct ChosenIndex {
    /// The index.
    pub index: Arc<dyn MemoryIndex>,
    /// How it is.
    pub probe: Arc<dyn Probe>,
    /// One line about it.
    pub line: String,
}

/// Chooses by the settings. A server need not be there yet.
pub fn choose(
    settings: &Settings,
    store: &SqlStore,
    embedder: Option<&Arc<dyn Embedder>>,
) -> Result<ChosenIndex> {
    let (index, place, line): (Arc<dyn MemoryIndex>, _, _) = match &settings.qdrant {
        Some(config) => {
            let index = QdrantMemoryIndex::new(config.clone())
                .context("the Qdrant server cannot be used; look at QDRANT_URL")?;
            // Known before the server is asked, so that nothing of another model is ever mixed in.
            index.expect(embedder.map(|embedder| embedder.space().clone()));
            let line = format!("Qdrant at {}, collection {}", config.url, config.collection);
            (Arc::new(index.clone()), IndexPlace::Qdrant(index), line)
        }
        None => (
            Arc::new(SqlMemoryIndex::new(store, INDEX_CACHE_BYTES)),
            IndexPlace::Embedded,
            "embedded, in the database".to_owned(),
        ),
    };
    let probe = Arc::new(IndexProbe {
        index: Arc::clone(&index),
        place,
        embedder: embedder.cloned(),
    });
    Ok(ChosenIndex { index, probe, line })
}

/// Checks at start that the index is of the embedding model in use. A Qdrant server that does not answer
/// is no reason not to start: chat goes on without memories, and the comparing worker tries again.
pub(crate) async fn adopt(parts: &Parts) -> Result<()> {
    match parts.reindexer().adopt().await {
        Ok(()) => Ok(()),
        Err(error @ IndexError::Unavailable(_)) if !parts.index_probe.required() => {
            warn!(%error, "chat goes on without memories");
            Ok(())
        }
        Err(error) => bail!("{error}; run `memorychat reindex`"),
    }
}
