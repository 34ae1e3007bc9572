//! How the database and the memory index are.

use std::sync::Arc;

use adapter_sql::SqlStore;
use async_trait::async_trait;
use domain::health::{Ailment, Probe};
use domain::memory::{Embedder, MemoryIndex};

use crate::database::{SchemaState, schema_state};

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

/// Looks whether the memory index answers and belongs to the embedding model in use.
pub struct IndexProbe {
    /// The index.
    pub index: Arc<dyn MemoryIndex>,
    /// The embedding model in use.
    pub embedder: Option<Arc<dyn Embedder>>,
}

#[async_trait]
impl Probe for IndexProbe {
    fn name(&self) -> &'static str {
        "memory_index"
    }

    fn required(&self) -> bool {
        true
    }

    async fn check(&self) -> Result<String, Ailment> {
        let recorded = self.index.space().await.map_err(|error| Ailment {
            problem: error.to_string(),
            way_out: "look at the database; `memorychat reindex` rebuilds the index".to_owned(),
        })?;
        match (recorded, &self.embedder) {
            (Some(space), Some(embedder)) if space != *embedder.space() => Err(Ailment {
                problem: format!(
                    "the index was made with {}, but {} is in use",
                    space.model,
                    embedder.space().model
                ),
                way_out: "run `memorychat reindex`".to_owned(),
            }),
            (Some(space), _) => Ok(format!(
                "embedded, vectors of {} ({} numbers)",
                space.model, space.dimension
            )),
            (None, _) => Ok("embedded, by words alone".to_owned()),
        }
    }
}
