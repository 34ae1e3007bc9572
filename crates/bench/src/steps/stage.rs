//! A profile of one size with everything a turn needs: the real adapters, on a database of their own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter_sql::{SqlConfig, SqlMemoryIndex, SqlStore};
use anyhow::{Result, bail, ensure};
use domain::chat::{Question, RecallNote, TurnConfig, TurnEvent, TurnService};
use domain::clock::Clock;
use domain::memory::{Embedder, IndexEntry, IndexQuery, MemoryIndex, RecallConfig, Recaller};
use domain::privacy::{LearnGrant, RecallGrant};
use domain::profile::Profile;
use domain::session::{EphemeralLimits, RamTranscripts, Session};
use domain::store::Store;
use futures::StreamExt;
use memorychat::system::{Bell, SystemClock, TimeOrderedIds};
use tempfile::TempDir;
use testkit::fakes::{Play, ScriptedChatModel};
use testkit::seed;

use super::seed::{Vectors, fill};
use super::timed::Timed;
use super::watch::Stopwatch;
use crate::stats::millis;
use crate::{machine, texts};

/// Memory that the index may use, in bytes: what the server gives it.
const INDEX_CACHE_BYTES: u64 = 256 * 1024 * 1024;

/// Turns in a profile of one size.
pub(super) struct Stage {
    pub(super) size: usize,
    pub(super) watch: Arc<Stopwatch>,
    turns: TurnService,
    session: Session,
    profile: Profile,
    index: Arc<dyn MemoryIndex>,
    /// An entry that is in the index already.
    entry: IndexEntry,
    _folder: TempDir,
}

/// How long a turn took.
pub(super) struct Turn {
    /// Until the answer began.
    pub(super) begun: Duration,
    /// Until everything was stored.
    pub(super) whole: Duration,
    /// CPU time of the process, in milliseconds.
    pub(super) cpu: f64,
}

impl Stage {
    /// Makes a database with a profile of this size.
    pub(super) async fn new(
        size: usize,
        embedder: &Arc<dyn Embedder>,
        vectors: &Vectors,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let sql = open(&folder).await?;
        let store: Arc<dyn Store> = Arc::new(sql.clone());
        let index: Arc<dyn MemoryIndex> = Arc::new(SqlMemoryIndex::new(&sql, INDEX_CACHE_BYTES));
        index.adopt(embedder.space()).await?;
        let (user, profile) = seed::user_with_profile(&*store).await;
        let session = seed::session(&*store, user.id, Some(profile.id())).await;
        let entry = fill(&*store, &*index, &profile, size, vectors).await?;
        let watch = Arc::new(Stopwatch::default());
        // A new index knows nothing yet: the first search loads the profile.
        let index: Arc<dyn MemoryIndex> = Arc::new(SqlMemoryIndex::new(&sql, INDEX_CACHE_BYTES));
        let turns = turns(store, Arc::clone(&index), Arc::clone(embedder), &watch);
        Ok(Self {
            size,
            watch,
            turns,
            session,
            profile,
            index,
            entry,
            _folder: folder,
        })
    }

    /// Runs a turn to its end.
    pub(super) async fn turn(&self, question: &str) -> Result<Turn> {
        let question = Question::new(question.to_owned())?;
        let cpu = own_cpu();
        let start = Instant::now();
        let mut events = self
            .turns
            .stream(self.session.user, self.session.id, question)
            .await?
            .events;
        let begun = start.elapsed();
        while let Some(event) = events.next().await {
            match event {
                TurnEvent::Started(start) => {
                    ensure!(
                        start.recall == RecallNote::Done,
                        "the recall failed: {:?}",
                        start.recall
                    );
                }
                TurnEvent::Delta(_) => {}
                TurnEvent::Completed(_) => {
                    return Ok(Turn {
                        begun,
                        whole: start.elapsed(),
                        cpu: own_cpu() - cpu,
                    });
                }
                TurnEvent::Failed(error) => return Err(error.into()),
            }
        }
        bail!("the turn did not end")
    }

    /// Writes an entry anew, as a background job does after something was learned, then searches: how
    /// long each took.
    pub(super) async fn relearn(&self) -> Result<(f64, f64)> {
        let grant = LearnGrant::by_owner(&self.profile);
        let start = Instant::now();
        self.index.upsert(&grant, vec![self.entry.clone()]).await?;
        let written = millis(start.elapsed());
        let start = Instant::now();
        let query = IndexQuery {
            terms: self.entry.terms.clone(),
            embedding: self.entry.embedding.clone(),
            limit: 50,
        };
        let hits = self
            .index
            .search(&RecallGrant::by_owner(&self.profile), &query)
            .await?;
        ensure!(
            hits.iter().any(|hit| hit.memory == self.entry.memory),
            "a new memory was not found"
        );
        Ok((written, millis(start.elapsed())))
    }

    /// A question nobody asked, and the turn it makes.
    pub(super) async fn new_question(&self) -> Result<(String, Turn)> {
        let question = texts::new_question();
        let turn = self.turn(&question).await?;
        Ok((question, turn))
    }
}

fn own_cpu() -> f64 {
    machine::cpu_millis(std::process::id()).unwrap_or(f64::NAN)
}

async fn open(folder: &TempDir) -> Result<SqlStore> {
    let path = folder.path().join("memorychat.db");
    let sql = SqlStore::connect(&SqlConfig::new(format!("sqlite:{}", path.display()))).await?;
    migrations::up(sql.connection()).await?;
    Ok(sql)
}

fn turns(
    store: Arc<dyn Store>,
    index: Arc<dyn MemoryIndex>,
    embedder: Arc<dyn Embedder>,
    watch: &Arc<Stopwatch>,
) -> TurnService {
    let store: Arc<dyn Store> = Arc::new(Timed {
        inner: store,
        watch: Arc::clone(watch),
    });
    let index = Arc::new(Timed {
        inner: index,
        watch: Arc::clone(watch),
    });
    let embedder: Arc<dyn Embedder> = Arc::new(Timed {
        inner: embedder,
        watch: Arc::clone(watch),
    });
    let recaller = Recaller::new(
        Arc::clone(&store),
        index,
        Some(embedder),
        RecallConfig::default(),
    );
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    TurnService::new(
        store,
        Arc::new(RamTranscripts::new(
            Arc::clone(&clock),
            EphemeralLimits::default(),
        )),
        Arc::new(recaller),
        Arc::new(ScriptedChatModel::always(Play::say("Noted."))),
        Arc::new(Bell::default()),
        clock,
        Arc::new(TimeOrderedIds),
        TurnConfig::default(),
    )
}
