//! How the database and the memory index are.

use std::sync::Arc;

#[cfg(feature = "embedded-qdrant")]
use adapter_qdrant::EdgeMemoryIndex;
use adapter_qdrant::QdrantMemoryIndex;
use adapter_sql::SqlStore;
use async_trait::async_trait;
use domain::health::{Ailment, Probe};
use domain::memory::{Embedder, IndexError, MemoryIndex};

use crate::database::{SchemaState, schema_state};
use crate::index::REINDEX;

/// Looks whether the database answers and has the right schema.
pub struct DatabaseProbe {
    /// The database.
    pub store: SqlStore,
}

#[async_trait]
impl Probe for DatabaseProbe {
    fn name(&self) -> &'static str {
        "database"
    }

    fn required(&self) -> bool {
        true
    }

    async fn check(&self) -> Result<String, Ailment> {
        let unreachable = || Ailment {
            problem: "the database does not answer".to_owned(),
            way_out: "look at DATABASE_URL, the disk and the database's own log".to_owned(),
        };
        self.store.ping().await.map_err(|_| unreachable())?;
        match schema_state(&self.store).await.map_err(|_| unreachable())? {
            SchemaState::Current => Ok(format!("{}, schema up to date", self.store.engine())),
            SchemaState::Behind(changes) => Err(Ailment {
                problem: format!("the database schema is {changes} changes behind"),
                way_out: "run `memorychat migrate`".to_owned(),
            }),
            // No program starts on a newer schema. One that runs while it is made goes on, until the
            // new ones have taken its place: if it were not ready, nobody would be.
            SchemaState::Ahead => Ok(format!(
                "{}, schema of a newer memorychat; this program is to be replaced",
                self.store.engine()
            )),
        }
    }
}

/// Where the memory index is.
pub enum IndexPlace {
    /// In the database.
    Embedded,
    /// On a server.
    Qdrant(QdrantMemoryIndex),
    /// In a folder, by Qdrant's engine in this process.
    #[cfg(feature = "embedded-qdrant")]
    Engine(EdgeMemoryIndex),
}

/// Looks whether the memory index answers and belongs to the embedding model in use.
pub struct IndexProbe {
    /// The index.
    pub index: Arc<dyn MemoryIndex>,
    /// Where it is.
    pub place: IndexPlace,
    /// The embedding model in use.
    pub embedder: Option<Arc<dyn Embedder>>,
}

fn wrong_owners(points: u64) -> String {
    match points {
        0 => String::new(),
        count => format!(", {count} points of a wrong owner met"),
    }
}

impl IndexProbe {
    async fn place(&self) -> Result<String, IndexError> {
        match &self.place {
            IndexPlace::Embedded => Ok("embedded".to_owned()),
            IndexPlace::Qdrant(index) => {
                let version = index.server_version().await?;
                let foreign = wrong_owners(index.foreign_points());
                Ok(format!("Qdrant {version}{foreign}"))
            }
            #[cfg(feature = "embedded-qdrant")]
            IndexPlace::Engine(index) => {
                let foreign = wrong_owners(index.foreign_points());
                Ok(format!("Qdrant's engine in this process{foreign}"))
            }
        }
    }

    fn ailment(&self, error: &IndexError) -> Ailment {
        let way_out = match self.place {
            IndexPlace::Embedded => "look at the database; `memorychat reindex` rebuilds the index",
            IndexPlace::Qdrant(_) => {
                "look at QDRANT_URL and at the server; until then chat goes on without memories"
            }
            #[cfg(feature = "embedded-qdrant")]
            IndexPlace::Engine(_) => {
                "one process at a time has the folder `qdrant` in the data folder; if no other one runs, \
                 delete that folder and run `memorychat reindex`"
            }
        };
        Ailment {
            problem: error.to_string(),
            way_out: way_out.to_owned(),
        }
    }
}

#[async_trait]
impl Probe for IndexProbe {
    fn name(&self) -> &'static str {
        "memory_index"
    }

    /// Without a server, chat goes on; without the database, nothing does. The engine's folder is as near
    /// as the database's: if it cannot be used, somebody should look.
    fn required(&self) -> bool {
        match self.place {
            IndexPlace::Embedded => true,
            IndexPlace::Qdrant(_) => false,
            #[cfg(feature = "embedded-qdrant")]
            IndexPlace::Engine(_) => true,
        }
    }

    async fn check(&self) -> Result<String, Ailment> {
        let place = self.place().await.map_err(|error| self.ailment(&error))?;
        let recorded = self.index.space().await;
        match (
            recorded.map_err(|error| self.ailment(&error))?,
            &self.embedder,
        ) {
            (Some(space), Some(embedder)) if space != *embedder.space() => Err(Ailment {
                problem: format!(
                    "the index was made with {}, but {} is in use",
                    space.model,
                    embedder.space().model
                ),
                way_out: REINDEX.to_owned(),
            }),
            (Some(space), _) => Ok(format!(
                "{place}, vectors of {} ({} numbers)",
                space.model, space.dimension
            )),
            (None, _) => Ok(format!("{place}, by words alone")),
        }
    }
}
