//! `memorychat serve`: from the settings to a running server, and back to nothing without losing a turn.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use adapter_http::{HttpSettings, Running};
use anyhow::{Context, Result, bail};
use domain::jobs::{JobQueue, Maintenance};
use secrecy::ExposeSecret;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::database::{self, Schema};
use crate::identity;
use crate::index;
use crate::models;
use crate::say;
use crate::settings::Settings;
use crate::signals::{Hangups, signalled};
use crate::tasks::Tasks;
use crate::wiring::{self, Parts};
use crate::worker;

/// How long running turns may take to end after a signal.
const GRACE: Duration = Duration::from_secs(30);

/// A server that listens, with its workers.
pub struct Application {
    address: SocketAddr,
    running: Running,
    parts: Arc<Parts>,
    tasks: Tasks,
    workers: JoinSet<()>,
    stop: CancellationToken,
    /// Held as long as this process uses the data folder.
    _claim: Option<File>,
}

impl Application {
    /// Opens everything and starts to listen. Local models that are missing are fetched first.
    pub async fn build(settings: &Settings) -> Result<Self> {
        wiring::set_secrets(settings)?;
        identity::check(settings)?;
        let schema = if settings.migrate {
            Schema::Migrate
        } else {
            Schema::Check
        };
        let store = database::open(settings, schema).await?;
        let claim = claim(settings)?;
        fetch_models(settings).await;
        let parts = Parts::new(settings, store, models::choose(settings).await?)?;
        let parts = Arc::new(parts.sharing(settings)?);
        parts.shared.check().await?;
        index::adopt(&parts).await?;
        recover(&parts, claim.is_some(), settings.stale_after).await?;

        let listener = listen(settings)?;
        let address = listener.local_addr()?;
        let tasks = Tasks::new(Handle::current());
        let (accounts, supabase) = parts.accounts(settings)?;
        let api = parts.api(settings, Arc::new(tasks.clone()), accounts)?;
        parts.shared.compare().await;
        let running = adapter_http::serve(listener, api, http_settings(settings))?;

        let stop = CancellationToken::new();
        let mut workers = JoinSet::new();
        for _ in 0..settings.workers {
            workers.spawn(worker::run(
                parts.runner(settings),
                parts.bell.clone(),
                stop.clone(),
            ));
        }
        workers.spawn(worker::keep_house(
            Arc::clone(&parts),
            settings.stale_after,
            stop.clone(),
        ));
        if let Some(every) = settings.compare_every.filter(|_| settings.workers > 0) {
            workers.spawn(worker::compare(Arc::clone(&parts), every, stop.clone()));
        }
        if let Some(supabase) = supabase {
            let hangups = Hangups::listen().context("SIGHUP cannot be heard")?;
            workers.spawn(identity::forget_at_hangup(supabase, hangups, stop.clone()));
        }
        Ok(Self {
            address,
            running,
            parts,
            tasks,
            workers,
            stop,
            _claim: claim,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a person wants to know at start.
    pub fn banner(&self, settings: &Settings) -> String {
        let Self { address, parts, .. } = self;
        let database = if settings.is_sqlite() {
            settings.database.url.expose_secret()
        } else {
            parts.store.engine()
        };
        format!(
            "MemoryChat {version} listens on http://{address}\n\
             \x20 data        {data}\n\
             \x20 database    {database}\n\
             \x20 accounts    {accounts}\n\
             \x20 index       {index}\n\
             \x20 embeddings  {embeddings}\n\
             \x20 chat        {chat}\n\
             {replicas}\
             \x20 docs        http://{address}/docs\n\
             Try:\n\
             \x20 curl -s http://{address}/api/v1/auth/signup -H 'Content-Type: application/json' \
             -d '{{\"email\":\"ada@example.org\",\"password\":\"correct horse battery\"}}'",
            version = env!("CARGO_PKG_VERSION"),
            data = std::path::absolute(&settings.data_dir)
                .unwrap_or_else(|_| settings.data_dir.clone())
                .display(),
            accounts = identity::line(settings),
            index = parts.index_line,
            embeddings = parts.models.embedding_line,
            chat = parts.models.chat_line,
            replicas = parts
                .shared
                .line()
                .map(|line| format!("  replicas    {line}\n"))
                .unwrap_or_default(),
        )
    }

    /// Serves until a signal, then lets running turns and jobs end. A second signal ends it at once.
    pub async fn run(self) -> Result<()> {
        let Self {
            running,
            parts,
            tasks,
            mut workers,
            stop,
            ..
        } = self;
        let server = tokio::task::LocalSet::new();
        let served = server.run_until(async move {
            let Running { server, handle, drain } = running;
            tokio::pin!(server);
            tokio::select! {
                ended = &mut server => return ended.context("the server ended by itself"),
                signal = signalled() => info!(signal, "shutting down; a second signal ends it at once"),
            }
            drain.begin();
            stop.cancel();
            let quietly = async {
                let stopped = handle.stop(true);
                let (ended, ()) = tokio::join!(&mut server, stopped);
                if !tasks.finish(GRACE).await {
                    warn!("turns were still running; their answers will be marked as interrupted");
                }
                while workers.join_next().await.is_some() {}
                ended.context("the server failed while stopping")
            };
            tokio::select! {
                ended = quietly => ended,
                signal = signalled() => bail!("ended at once by {signal}"),
            }
        });
        let outcome = served.await;
        if let Err(error) = parts.store.close().await {
            warn!(%error, "the database was not closed properly");
        }
        outcome
    }
}

/// One server per SQLite file: two would each hold incognito turns and give up each other's answers.
fn claim(settings: &Settings) -> Result<Option<File>> {
    if !settings.is_sqlite() {
        return Ok(None);
    }
    let path = settings.data_dir.join("serve.lock");
    let file = File::create(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(_) => bail!(
            "another memorychat serves from {}; stop it, or set MEMORYCHAT_DATA_DIR",
            settings.data_dir.display()
        ),
    }
}

/// A missing model is no reason not to start: it is said, with the way out.
async fn fetch_models(settings: &Settings) {
    let missing = models::missing(settings);
    if missing.is_empty() || !settings.local.pull {
        return;
    }
    say(&format!(
        "Fetching local models into {} (only at the first start)",
        settings.local.models_dir.display()
    ));
    for failure in models::pull(settings, &missing).await {
        say(&format!("  {failure}"));
    }
}

/// After a crash: answers that nobody writes any more are marked, jobs that nobody works on are due
/// again, and what the index lacks is enqueued.
async fn recover(parts: &Parts, alone: bool, stale_after: Duration) -> Result<()> {
    let patience = if alone { Duration::ZERO } else { stale_after };
    let interrupted = parts
        .worker_store
        .interrupt_stale(parts.clock.now() - patience)
        .await?;
    if interrupted > 0 {
        warn!(
            interrupted,
            "answers were cut off by the last stop and are marked so"
        );
    }
    if alone {
        parts.worker_store.release().await?;
    }
    let enqueued = parts.reindexer().enqueue_missing().await?;
    if enqueued > 0 {
        info!(
            enqueued,
            "memories are missing in the index and will be added"
        );
    }
    Ok(())
}

fn listen(settings: &Settings) -> Result<TcpListener> {
    let address = SocketAddr::new(settings.api.host, settings.api.port);
    TcpListener::bind(address).with_context(|| {
        format!("cannot listen on {address}; set MEMORYCHAT_HOST or MEMORYCHAT_PORT")
    })
}

fn http_settings(settings: &Settings) -> HttpSettings {
    let api = &settings.api;
    HttpSettings {
        cors_origins: api.cors_origins.clone(),
        rate_limit: api.rate_limit,
        login_limit: api.login_limit.unwrap_or(0),
        max_streams_per_user: 64,
        max_turns: api.max_turns,
        trusted_proxies: api.trusted_proxies.clone(),
        ..HttpSettings::default()
    }
}
