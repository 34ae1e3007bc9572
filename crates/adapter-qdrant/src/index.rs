//! [`MemoryIndex`] on a Qdrant server.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::ids::MemoryId;
use domain::memory::{
    Embedding, EmbeddingSpace, IndexEntry, IndexError, IndexHit, IndexQuery, IndexRebuild,
    IndexedMemory, MemoryIndex,
};
use domain::privacy::{LearnGrant, MemoryScope, RecallGrant};
use qdrant_client::Qdrant;
use qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use qdrant_client::qdrant::{DeletePoints, Filter, PointsSelector};
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::client::{CallError, Client};
use crate::collection::{Collection, Collections};
use crate::config::QdrantConfig;
use crate::point::{among, within};
use crate::rebuild::Rebuild;
use crate::space;
use crate::write::strong;

/// How long it is believed which collection serves. One that is deleted meanwhile is noticed at once.
const BELIEVED: Duration = Duration::from_secs(10);

/// Ids in one call.
const BATCH: usize = 500;

/// [`MemoryIndex`] on a Qdrant server or cluster. Clones share the connection.
#[derive(Clone)]
pub struct QdrantMemoryIndex(pub(crate) Arc<Shared>);

/// What the clones of an index share.
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) config: QdrantConfig,
    serving: Mutex<Option<(Instant, Collection)>>,
    /// The space that this process embeds in, once it has said so.
    adopted: Mutex<Option<EmbeddingSpace>>,
    pub(crate) alarm: Alarm,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl QdrantMemoryIndex {
    /// An index on the configured server, which need not be there yet: it is connected to when it is
    /// first needed. The configuration must have passed its [`check`](QdrantConfig::check).
    pub fn new(config: QdrantConfig) -> Result<Self, IndexError> {
        Ok(Self(Arc::new(Shared {
            client: Client::new(&config)?,
            config,
            serving: Mutex::default(),
            adopted: Mutex::default(),
            alarm: Alarm::default(),
        })))
    }

    /// Says in which space this process embeds, before the server is asked for its own.
    pub fn expect(&self, space: Option<EmbeddingSpace>) {
        self.0.embed_in(space);
    }

    /// How many points were met that name another owner than they should; each was dropped.
    pub fn foreign_points(&self) -> u64 {
        self.0.alarm.count()
    }

    /// The server's version, to see that it answers.
    pub async fn server_version(&self) -> Result<String, IndexError> {
        let deadline = Instant::now() + Duration::from_secs(2);
        let health = self
            .0
            .client
            .ask("health_check", deadline, Qdrant::health_check);
        Ok(health.await?.version)
    }
}

impl Shared {
    pub(crate) fn collections(&self) -> Collections<'_> {
        Collections {
            client: &self.client,
            config: &self.config,
        }
    }

    pub(crate) fn patient(&self) -> Instant {
        Instant::now() + self.config.write_patience
    }

    /// The collection that serves, as it was a few seconds ago at most.
    pub(crate) async fn serving(&self, deadline: Instant) -> Result<Option<Collection>, CallError> {
        let believed = lock(&self.serving).clone();
        if let Some((since, collection)) = believed
            && since.elapsed() < BELIEVED
        {
            return Ok(Some(collection));
        }
        self.look(deadline).await
    }

    /// The collection that serves now.
    async fn look(&self, deadline: Instant) -> Result<Option<Collection>, CallError> {
        let found = self.collections().serving(deadline).await?;
        *lock(&self.serving) = found.clone().map(|found| (Instant::now(), found));
        Ok(found)
    }

    /// Forgets which collection serves.
    pub(crate) fn doubt(&self) {
        *lock(&self.serving) = None;
    }

    /// The collection that serves; makes the first one, of this space, if there is none.
    pub(crate) async fn ensure(
        &self,
        space: Option<&EmbeddingSpace>,
    ) -> Result<Collection, CallError> {
        if let Some(collection) = self.serving(self.patient()).await? {
            return Ok(collection);
        }
        let collections = self.collections();
        let name = match collections.create(1, space).await {
            Ok(collection) => collection.name,
            // Somebody else makes it just now, or was cut off doing so.
            Err(CallError::Exists) => {
                let name = format!("{}-1", self.config.collection);
                collections.index_fields(&name).await?;
                name
            }
            Err(error) => return Err(error),
        };
        collections.serve(&name).await?;
        self.look(self.patient()).await?.ok_or(CallError::Missing)
    }

    /// From now on this process embeds in this space.
    pub(crate) fn embed_in(&self, space: Option<EmbeddingSpace>) {
        *lock(&self.adopted) = space;
    }

    /// The space that this process embeds in.
    fn adopted(&self) -> Option<EmbeddingSpace> {
        lock(&self.adopted).clone()
    }

    /// Refuses vectors of another space than the collection's, and of another length.
    pub(crate) fn check<'a>(
        &self,
        collection: &Collection,
        vectors: impl Iterator<Item = &'a Embedding>,
    ) -> Result<(), IndexError> {
        space::check(collection.space.as_ref(), self.adopted().as_ref(), vectors)
    }

    async fn delete(&self, collection: &str, filter: Filter) -> Result<(), CallError> {
        let request = DeletePoints {
            collection_name: collection.to_owned(),
            wait: Some(true),
            points: Some(PointsSelector {
                points_selector_one_of: Some(PointsSelectorOneOf::Filter(filter)),
            }),
            ordering: Some(strong()),
            ..DeletePoints::default()
        };
        self.client
            .write("delete_points", |q| q.delete_points(request.clone()))
            .await
    }

    async fn remove(
        &self,
        collection: &str,
        scope: MemoryScope,
        memories: Option<&[MemoryId]>,
    ) -> Result<(), CallError> {
        let Some(memories) = memories else {
            return self.delete(collection, within(scope)).await;
        };
        for batch in memories.chunks(BATCH) {
            self.delete(collection, among(scope, batch)).await?;
        }
        Ok(())
    }
}

/// Calls on the collection that serves; once more when it was replaced by another one meanwhile.
macro_rules! on_serving {
    ($shared:expr, $deadline:expr, |$collection:ident| $call:expr, else $none:expr) => {
        $shared
            .client
            .guarded(async {
                let mut tries = 0;
                loop {
                    let Some($collection) = $shared.serving($deadline).await? else {
                        break $none;
                    };
                    match $call {
                        Err(CallError::Missing) if tries == 0 => {
                            tries += 1;
                            $shared.doubt();
                        }
                        answer => break answer.map_err(IndexError::from),
                    }
                }
            })
            .await
    };
}

#[async_trait]
impl MemoryIndex for QdrantMemoryIndex {
    async fn space(&self) -> Result<Option<EmbeddingSpace>, IndexError> {
        let serving = self.0.look(self.0.patient()).await?;
        Ok(serving.and_then(|collection| collection.space))
    }

    async fn adopt(&self, space: &EmbeddingSpace) -> Result<(), IndexError> {
        self.0.doubt();
        let mut collection = self.0.ensure(Some(space)).await?;
        if collection.space.is_none() {
            collection = self.0.give_space(&collection, space).await?;
        }
        match collection.space {
            Some(recorded) if recorded != *space => Err(IndexError::WrongSpace { recorded }),
            _ => {
                self.0.embed_in(Some(space.clone()));
                Ok(())
            }
        }
    }

    async fn begin_rebuild(
        &self,
        space: Option<&EmbeddingSpace>,
    ) -> Result<Box<dyn IndexRebuild>, IndexError> {
        let rebuild = Rebuild::begin(Arc::clone(&self.0), space).await?;
        Ok(Box::new(rebuild))
    }

    async fn search(
        &self,
        grant: &RecallGrant,
        query: &IndexQuery,
    ) -> Result<Vec<IndexHit>, IndexError> {
        let asks_nothing = query.terms.is_empty() && query.embedding.is_none();
        // The server refuses a limit of nought.
        if asks_nothing || query.limit == 0 {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + self.0.config.search_patience;
        let scope = grant.scope();
        on_serving!(
            self.0,
            deadline,
            |collection| {
                self.0.check(&collection, query.embedding.iter())?;
                Box::pin(self.0.search(&collection.name, scope, query, deadline)).await
            },
            else Ok(Vec::new())
        )
    }

    async fn upsert(&self, grant: &LearnGrant, entries: Vec<IndexEntry>) -> Result<(), IndexError> {
        if entries.is_empty() {
            return Ok(());
        }
        let scope = grant.scope();
        on_serving!(
            self.0,
            self.0.patient(),
            |collection| {
                let vectors = entries.iter().filter_map(|entry| entry.embedding.as_ref());
                self.0.check(&collection, vectors)?;
                self.0.put(&collection.name, scope, &entries).await
            },
            else {
                let space = self.0.adopted();
                let collection = self.0.ensure(space.as_ref()).await?;
                let vectors = entries.iter().filter_map(|entry| entry.embedding.as_ref());
                self.0.check(&collection, vectors)?;
                Ok(self.0.put(&collection.name, scope, &entries).await?)
            }
        )
    }

    async fn remove(
        &self,
        scope: MemoryScope,
        memories: Option<&[MemoryId]>,
    ) -> Result<(), IndexError> {
        on_serving!(
            self.0,
            self.0.patient(),
            |collection| self.0.remove(&collection.name, scope, memories).await,
            else Ok(())
        )
    }

    async fn entries(
        &self,
        scope: MemoryScope,
        after: Option<MemoryId>,
        limit: usize,
    ) -> Result<Vec<IndexedMemory>, IndexError> {
        on_serving!(
            self.0,
            self.0.patient(),
            |collection| self.0.entries(&collection.name, scope, after, limit).await,
            else Ok(Vec::new())
        )
    }

    async fn owners(
        &self,
        after: Option<MemoryId>,
        limit: usize,
    ) -> Result<Vec<(MemoryId, MemoryScope)>, IndexError> {
        on_serving!(
            self.0,
            self.0.patient(),
            |collection| self.0.owners(&collection.name, after, limit).await,
            else Ok(Vec::new())
        )
    }
}
