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
use crate::settings::{Settings, place as shown};
use crate::wiring::Parts;

/// What to do where the index was made by another embedding model.
pub(crate) const REINDEX: &str = "run `memorychat reindex`";

/// Memory that the embedded index may use for vectors, in bytes.
const INDEX_CACHE_BYTES: u64 = 256 * 1024 * 1024;

/// The index in use.
pub struct ChosenIndex {
    /// The index, for the requests.
    pub index: Arc<dyn MemoryIndex>,
    /// The same for the workers.
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
    let [index, for_workers, for_probes]: [Arc<dyn MemoryIndex>; 3];
    let (place, line) = match chosen {
        #[cfg(feature = "embedded-qdrant")]
        (Some(folder), _) => {
            let engine = EdgeMemoryIndex::new(folder);
            engine.expect(space);
            [index, for_workers, for_probes] = everywhere(engine.clone());
            let line = format!("Qdrant's engine in this process, {}", folder.display());
            (IndexPlace::Engine(engine), line)
        }
        (_, Some(config)) => {
            let server = QdrantMemoryIndex::new(config.clone())
                .context("the Qdrant server cannot be used; look at QDRANT_URL")?;
            server.expect(space);
            [index, for_workers, for_probes] = everywhere(server.clone());
            let at = shown(&config.url);
            let line = format!("Qdrant at {at}, collection {}", config.collection);
            (IndexPlace::Qdrant(server), line)
        }
        (_, None) => {
            // Nobody waits for the connections of somebody else.
            let rows = SqlMemoryIndex::new(store, INDEX_CACHE_BYTES);
            for_workers = Arc::new(rows.through(&store.for_workers()));
            for_probes = Arc::new(rows.through(&store.for_probes()));
            index = Arc::new(rows);
            (IndexPlace::Embedded, "embedded, in the database".to_owned())
        }
    };
    let probe = Arc::new(IndexProbe {
        index: for_probes,
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

/// One index for everybody.
fn everywhere(index: impl MemoryIndex + 'static) -> [Arc<dyn MemoryIndex>; 3] {
    let index: Arc<dyn MemoryIndex> = Arc::new(index);
    std::array::from_fn(|_| Arc::clone(&index))
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
        Err(error) => bail!("{error}; {REINDEX}"),
    }
}
