//! Rebuilding the embedded index on Postgres beside people who go on working.

mod common;

use std::time::Duration;

use adapter_sql::{SqlConfig, SqlMemoryIndex, SqlStore};
use common::{open, postgres_url};
use domain::memory::{IndexEntry, MemoryIndex};
use domain::privacy::LearnGrant;
use domain::store::Store;
use sea_orm::{ConnectionTrait, DbBackend, Statement, TransactionTrait};
use testkit::seed;
use testkit::servers::Postgres;

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_waits_for_one_profile_keeps_no_other() {
    let Some(server) = Postgres::start() else {
        return;
    };
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
    let rebuild = index.begin_rebuild(None).await.unwrap();
    for (grant, entry) in &profiles {
        rebuild.upsert(grant, vec![entry.clone()]).await.unwrap();
    }

    let held = owner.connection().begin().await.unwrap();
    let busy = profiles[1].0.scope().user.as_uuid();
    let lock = format!("select 1 from mc.index_revisions where user_id = '{busy}' for update");
    held.execute_unprepared(&lock).await.unwrap();
    let meanwhile = async {
        let waits = "select exists (select 1 from pg_locks where not granted)";
        let waits = Statement::from_string(DbBackend::Postgres, waits);
        while !held
            .query_one_raw(waits.clone())
            .await
            .unwrap()
            .unwrap()
            .try_get_by_index::<bool>(0)
            .unwrap()
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
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
