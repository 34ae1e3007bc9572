//! The embedded index on Postgres: who waits for whom.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use adapter_sql::{SqlConfig, SqlMemoryIndex, SqlStore};
use common::{open, postgres_url};
use domain::memory::{IndexEntry, MemoryIndex};
use domain::privacy::LearnGrant;
use domain::store::Store;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement, TransactionTrait};
use testkit::seed;
use testkit::servers::Postgres;

/// The index of two profiles, each with one entry, and its database as the owner sees it.
struct Stage {
    _server: Postgres,
    owner: SqlStore,
    store: SqlStore,
    index: SqlMemoryIndex,
    profiles: Vec<(LearnGrant, IndexEntry)>,
}

impl Stage {
    async fn set() -> Option<Self> {
        let server = Postgres::start()?;
        let url = postgres_url(&server).await;
        let owner = open(url.clone()).await;
        let store = SqlStore::connect(&SqlConfig {
            patience: Duration::from_mins(1),
            ..SqlConfig::new(url.replace("postgres@", "mc_login@"))
        })
        .await
        .unwrap();
        let index = SqlMemoryIndex::new(&store.for_workers(), 1 << 20);
        let mut profiles = Vec::new();
        for _ in 0..2 {
            let (_, profile) = seed::user_with_profile(&store).await;
            let memory = seed::memory(&store, &profile, "Likes tea.").await;
            let grant = LearnGrant::by_owner(&profile);
            let entry = IndexEntry::of(&memory, None);
            index.upsert(&grant, vec![entry.clone()]).await.unwrap();
            profiles.push((grant, entry));
        }
        Some(Self {
            _server: server,
            owner,
            store,
            index,
            profiles,
        })
    }

    /// Somebody who is about to write into the index of a profile.
    async fn writer(&self, grant: &LearnGrant) -> DatabaseTransaction {
        let held = self.owner.connection().begin().await.unwrap();
        let user = grant.scope().user.as_uuid();
        let lock = format!("select 1 from mc.index_revisions where user_id = '{user}' for update");
        held.execute_unprepared(&lock).await.unwrap();
        held
    }
}

/// Waits until somebody waits for a lock.
async fn somebody_waits(db: &impl ConnectionTrait) {
    let waits = "select 1 from pg_locks where not granted";
    let waits = Statement::from_string(DbBackend::Postgres, waits);
    for _ in 0..3000 {
        if db.query_one_raw(waits.clone()).await.unwrap().is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_waits_for_one_profile_keeps_no_other() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let (store, index, profiles) = (&stage.store, &stage.index, &stage.profiles);
    let rebuild = index.begin_rebuild(None).await.unwrap();
    for (grant, entry) in profiles {
        rebuild.upsert(grant, vec![entry.clone()]).await.unwrap();
    }

    let held = stage.writer(&profiles[1].0).await;
    let meanwhile = async {
        somebody_waits(&held).await;
        // The other one forgets, which takes the entry and the memory.
        let (grant, entry) = &profiles[0];
        let mut work = store.begin(grant.scope().user).await.unwrap();
        let ids = [entry.memory];
        let forgotten = tokio::time::timeout(Duration::from_secs(30), async {
            let removed = work.memories().remove(grant.scope(), Some(&ids)).await;
            work.commit().await.unwrap();
            index.remove(grant.scope(), Some(&ids)).await.unwrap();
            removed
        });
        assert_eq!(forgotten.await.unwrap().unwrap(), ids);
        held.rollback().await.unwrap();
    };
    let (finished, ()) = tokio::join!(rebuild.finish(), meanwhile);
    finished.unwrap();

    for ((grant, _), entries) in profiles.iter().zip([0, 1]) {
        let held = index.entries(grant.scope(), None, 10).await.unwrap();
        assert_eq!(held.len(), entries);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_removes_an_entry_waits_before_the_entry_is_locked() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let (grant, entry) = &stage.profiles[0];
    let held = stage.writer(grant).await;
    let ids = [entry.memory];
    let removed = stage.index.remove(grant.scope(), Some(&ids));
    let meanwhile = async {
        somebody_waits(&held).await;
        // Who has the profile's turn may write its entries: nobody waits in a circle.
        let lock = "select 1 from mc.memory_vectors for update nowait";
        held.execute_unprepared(lock).await.unwrap();
        held.rollback().await.unwrap();
    };
    let (removed, ()) = tokio::join!(removed, meanwhile);
    removed.unwrap();
    let left = stage.index.entries(grant.scope(), None, 10).await.unwrap();
    assert!(left.is_empty());
}
