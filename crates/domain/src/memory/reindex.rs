//! Making the whole index anew from the rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    EmbedError, Embedder, Embedding, EmbeddingPurpose, IndexEntry, IndexError, IndexRebuild,
    IndexingError, Memory, MemoryIndex,
};
use crate::clock::{Clock, IdGenerator};
use crate::error::Source;
use crate::ids::{JobId, MemoryId, UserId};
use crate::jobs::{Job, JobKind, Maintenance};
use crate::page::{PageRequest, Position};
use crate::privacy::{LearnGrant, MemoryScope, RecallGrant};
use crate::store::{Store, StoreError, repeat_aborted};

/// Memories embedded in one go.
const BATCH: u32 = 32;

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReindexReport {
    /// Profiles gone through.
    pub profiles: u64,
    /// Memories indexed.
    pub memories: u64,
}

/// A failure to rebuild.
#[derive(Debug, thiserror::Error)]
pub enum ReindexError {
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The embedding model.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The new index serves, but what changed meanwhile could not be brought up to date.
    #[error("the new index serves; what changed meanwhile is brought up to date later")]
    Unsettled(#[source] IndexingError),
    /// The model gave another number of vectors than it got texts.
    #[error("the embedding model lost a text")]
    Lost(#[source] Source),
}

/// Rebuilds the index, finds what it lacks, and mends it.
pub struct Reindexer {
    pub(super) store: Arc<dyn Store>,
    pub(super) maintenance: Arc<dyn Maintenance>,
    pub(super) index: Arc<dyn MemoryIndex>,
    pub(super) embedder: Option<Arc<dyn Embedder>>,
    pub(super) clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
}

impl Reindexer {
    /// Without an embedder, memories are indexed by their words alone.
    pub fn new(
        store: Arc<dyn Store>,
        maintenance: Arc<dyn Maintenance>,
        index: Arc<dyn MemoryIndex>,
        embedder: Option<Arc<dyn Embedder>>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
    ) -> Self {
        Self {
            store,
            maintenance,
            index,
            embedder,
            clock,
            ids,
        }
    }

    /// Checks that the index belongs to the present embedding model, and claims it when it is new.
    pub async fn adopt(&self) -> Result<(), IndexError> {
        match &self.embedder {
            Some(embedder) => self.index.adopt(embedder.space()).await,
            None => Ok(()),
        }
    }

    /// Fills a new index from every row while the old one serves, telling after each batch how far it
    /// is, and puts it in the old one's place. What was written meanwhile is found by comparing, and is
    /// enqueued. On an error before that, the old index serves as before.
    pub async fn rebuild(
        &self,
        mut progress: impl FnMut(ReindexReport) + Send,
    ) -> Result<ReindexReport, ReindexError> {
        let space = self.embedder.as_ref().map(|e| e.space());
        let rebuild = self.index.begin_rebuild(space).await?;
        let report = match self.fill(&*rebuild, &mut progress).await {
            Ok(report) => report,
            Err(error) => {
                // What is left of it is cleared when the next rebuild begins.
                let _ = rebuild.abandon().await;
                return Err(error);
            }
        };
        rebuild.finish().await?;
        self.settle().await.map_err(ReindexError::Unsettled)?;
        self.enqueue_missing().await?;
        let with_vectors = self.embedder.is_some();
        self.maintenance.forget_settled(with_vectors).await?;
        Ok(report)
    }

    async fn fill(
        &self,
        rebuild: &dyn IndexRebuild,
        progress: &mut (impl FnMut(ReindexReport) + Send),
    ) -> Result<ReindexReport, ReindexError> {
        let mut report = ReindexReport::default();
        let mut after = None;
        loop {
            let scopes = self.maintenance.scopes(after, 100).await?;
            for scope in &scopes {
                self.fill_scope(rebuild, *scope, &mut report, progress)
                    .await?;
                report.profiles += 1;
                progress(report);
            }
            match scopes.last() {
                Some(last) => after = Some(*last),
                None => return Ok(report),
            }
        }
    }

    async fn fill_scope(
        &self,
        rebuild: &dyn IndexRebuild,
        scope: MemoryScope,
        report: &mut ReindexReport,
        progress: &mut (impl FnMut(ReindexReport) + Send),
    ) -> Result<(), ReindexError> {
        let mut page = PageRequest::first(BATCH);
        loop {
            let mut work = self.store.read(scope.user).await?;
            let Some(profile) = work.profiles().find(scope.profile).await? else {
                return Ok(());
            };
            let grant = RecallGrant::by_owner(&profile.profile);
            let memories = work.memories().list(&grant, page).await?;
            drop(work);
            self.write(rebuild, &memories.items).await?;
            report.memories += memories.items.len() as u64;
            progress(*report);
            match memories.next {
                Some(cursor) => page.position = Position::After(cursor),
                None => return Ok(()),
            }
        }
    }

    async fn write(
        &self,
        rebuild: &dyn IndexRebuild,
        memories: &[Memory],
    ) -> Result<(), ReindexError> {
        let Some(first) = memories.first() else {
            return Ok(());
        };
        let vectors = self.embed(memories).await?;
        let entries = memories
            .iter()
            .zip(vectors)
            .map(|(memory, embedding)| IndexEntry::of(memory, embedding));
        let grant = LearnGrant::to_index(first);
        Ok(rebuild.upsert(&grant, entries.collect()).await?)
    }

    async fn embed(&self, memories: &[Memory]) -> Result<Vec<Option<Embedding>>, ReindexError> {
        let Some(embedder) = &self.embedder else {
            return Ok(vec![None; memories.len()]);
        };
        let texts: Vec<String> = memories
            .iter()
            .map(|m| m.content.as_str().to_owned())
            .collect();
        let wanted = texts.len();
        let vectors = embedder.embed(texts, EmbeddingPurpose::Document).await?;
        if vectors.len() != wanted {
            return Err(ReindexError::Lost("wrong number of vectors".into()));
        }
        Ok(vectors.into_iter().map(Some).collect())
    }

    /// Enqueues work for every memory that the index lacks, or has by words alone although there is an
    /// embedder now, and has no such work pending; how many. Any number of processes may do it at once.
    pub async fn enqueue_missing(&self) -> Result<u64, StoreError> {
        let mut enqueued = 0;
        loop {
            let missing = self
                .maintenance
                .unindexed(self.embedder.is_some(), 500)
                .await?;
            if missing.is_empty() {
                return Ok(enqueued);
            }
            let mut of_user: BTreeMap<UserId, Vec<(MemoryScope, MemoryId)>> = BTreeMap::new();
            for (scope, memory) in missing {
                of_user.entry(scope.user).or_default().push((scope, memory));
            }
            for (user, missing) in of_user {
                enqueued += repeat_aborted(|| self.enqueue_for(user, &missing)).await?;
            }
        }
    }

    async fn enqueue_for(
        &self,
        user: UserId,
        missing: &[(MemoryScope, MemoryId)],
    ) -> Result<u64, StoreError> {
        let mut work = self.store.begin(user).await?;
        let mut enqueued = 0;
        for (scope, memory) in missing {
            let kind = JobKind::Index {
                memory: *memory,
                profile: scope.profile,
            };
            let job = Job {
                id: JobId::new(self.ids.next()),
                user,
                kind,
                available_at: self.clock.now(),
            };
            enqueued += u64::from(work.jobs().enqueue_once(&job).await?);
        }
        work.commit().await?;
        Ok(enqueued)
    }
}
