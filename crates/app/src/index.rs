//! Choosing the memory index: rows of the database, a Qdrant server, or its engine in this process.

use std::sync::Arc;

#[cfg(feature = "embedded-qdrant")]
use adapter_qdrant::EdgeMemoryIndex;
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
    /// The index as the workers see it.
    pub for_workers: Arc<dyn MemoryIndex>,
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
    // Known before the index is asked for its own, so that nothing of another model is ever mixed in.
    let space = embedder.map(|embedder| embedder.space().clone());
    let chosen = (&settings.qdrant_folder, &settings.qdrant);
    // Connections to the database are of the requests or of the workers; other indexes have none.
    let mut own: Option<Arc<dyn MemoryIndex>> = None;
    let (index, place, line): (Arc<dyn MemoryIndex>, _, _) = match chosen {
        #[cfg(feature = "embedded-qdrant")]
        (Some(folder), _) => {
            let index = EdgeMemoryIndex::new(folder);
            index.expect(space);
            let line = format!("Qdrant's engine in this process, {}", folder.display());
            (Arc::new(index.clone()), IndexPlace::Engine(index), line)
        }
        (_, Some(config)) => {
            let index = QdrantMemoryIndex::new(config.clone())
                .context("the Qdrant server cannot be used; look at QDRANT_URL")?;
            index.expect(space);
            let line = format!("Qdrant at {}, collection {}", config.url, config.collection);
            (Arc::new(index.clone()), IndexPlace::Qdrant(index), line)
        }
        (_, None) => {
            let index = SqlMemoryIndex::new(store, INDEX_CACHE_BYTES);
            own = Some(Arc::new(index.for_workers()));
            let line = "embedded, in the database".to_owned();
            (Arc::new(index), IndexPlace::Embedded, line)
        }
    };
    let for_workers = own.unwrap_or_else(|| Arc::clone(&index));
    let probe = Arc::new(IndexProbe {
        index: Arc::clone(&index),
        place,
        embedder: embedder.cloned(),
    });
    Ok(ChosenIndex {
        index,
        for_workers,
        probe,
        line,
    })
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
        Err(error @ IndexError::Unavailable(_)) => Err(error.into()),
        Err(error) => bail!("{error}; run `memorychat reindex`"),
    }
}
