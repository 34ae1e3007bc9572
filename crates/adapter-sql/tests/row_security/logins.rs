//! Who logs in, through what, and what is left of them on a connection.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use adapter_sql::{Login, SqlConfig, SqlMemoryIndex, SqlStore};
use domain::account::AccountDirectory;
use domain::ids::LoginId;
use domain::jobs::{DeadJobs, JobQueue, Maintenance};
use domain::memory::MemoryIndex;
use domain::store::Store;
use futures::FutureExt;
use futures::future::join_all;
use migrations::MigratorTrait;
use sea_orm::ConnectionTrait;
use testkit::fixtures::{at, fresh_id};
use testkit::pgbouncer::{PgBouncer, Pooling};
use testkit::seed;
use testkit::servers::Postgres;

use crate::common::{owned_url, postgres_url};
use crate::rows::texts;

/// Who somebody is between two transactions, and for whom.
const LEFT: &str = "select current_user::text || coalesce(current_setting('mc.user_id', true), '')";

/// Alternating owners on one connection, who commit, go away, break off or panic: nothing of one is left
/// to the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_forgets_whom_it_acted_for() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let url = postgres_url(&server).await;
    crate::common::open(url.clone()).await;
    let store = SqlStore::connect(&SqlConfig {
        connections: 1,
        ..SqlConfig::new(url.replace("postgres@", "mc_login@"))
    })
    .await
    .unwrap();
    let users = [seed::user(&store).await, seed::user(&store).await];
    for turn in 0..1000 {
        let [user, other] = [&users[turn % 2], &users[(turn + 1) % 2]];
        let mut work = store.begin(user.id).await.unwrap();
        assert_eq!(work.users().find().await.unwrap().unwrap().id, user.id);
        match turn / 2 % 4 {
            0 => work.commit().await.unwrap(),
            1 => drop(work),
            2 => {
                let abort = tokio::time::timeout(Duration::ZERO, work.commit());
                drop(abort.await);
            }
            _ => {
                let faulty = async move {
                    work.users().find().await.unwrap();
                    // Quietly: the hook for panics is not told.
                    std::panic::resume_unwind(Box::new("a fault"))
                };
                assert!(AssertUnwindSafe(faulty).catch_unwind().await.is_err());
            }
        }
        let mut read = store.read(other.id).await.unwrap();
        assert_eq!(read.users().find().await.unwrap().unwrap().id, other.id);
        drop(read);
        assert_eq!(texts(store.connection(), LEFT).await, ["mc_login"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_knows_whom_it_lets_in() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let url = postgres_url(&server).await;
    let as_role = |role: &str| url.replace("postgres@", &format!("{role}@"));
    let login = async |role: &str| {
        let store = SqlStore::connect(&SqlConfig::new(as_role(role)))
            .await
            .unwrap();
        let login = store.logged_in_as().await.unwrap();
        store.close().await.unwrap();
        login
    };
    let privileged = |role: &str| Login::Privileged {
        role: role.to_owned(),
    };
    assert_eq!(login("postgres").await, privileged("postgres"));
    let owner = crate::common::open(url.clone()).await;
    let roles = "create role stranger login; create role member login in role mc_login; \
                 create role past login bypassrls in role mc_login; \
                 create role climber login noinherit in role past";
    owner.connection().execute_unprepared(roles).await.unwrap();
    assert_eq!(login("postgres").await, privileged("postgres"));
    assert_eq!(login("mc_login").await, Login::Runtime);
    assert_eq!(login("member").await, Login::Runtime);
    assert_eq!(
        login("stranger").await,
        Login::Stranger {
            role: "stranger".to_owned()
        }
    );
    assert_eq!(login("past").await, privileged("past"));
    assert_eq!(login("climber").await, privileged("climber"));

    // A member of mc_login can do what mc_login can.
    let store = SqlStore::connect(&SqlConfig::new(as_role("member")))
        .await
        .unwrap();
    let user = seed::user(&store).await;
    assert!(
        store
            .begin(user.id)
            .await
            .unwrap()
            .users()
            .find()
            .await
            .unwrap()
            .is_some()
    );
}

/// An owner who is no superuser, as at a hosting service.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_without_special_powers_can_make_the_schema() {
    for server in Postgres::each() {
        let url = owned_url(&server).await;
        let owner = crate::common::open(url.clone()).await;
        let runtime = SqlConfig::new(url.replace("landlord@", "mc_login@"));
        let runtime = SqlStore::connect(&runtime).await.unwrap();
        // Whoever serves, as an owner too, acts as a role that owns nothing.
        for store in [owner, runtime] {
            let user = seed::user(&store).await;
            assert!(store.credential(&user.email).await.unwrap().is_none());
            for store in [store.for_workers(), store] {
                let mut work = store.begin(user.id).await.unwrap();
                assert!(work.users().find().await.unwrap().is_some());
                work.commit().await.unwrap();
                every_door_opens(&store).await;
            }
        }
    }
}

/// All that goes past owners may be called.
async fn every_door_opens(store: &SqlStore) {
    store.login(LoginId::new(fresh_id())).await.unwrap();
    store.api_key("none").await.unwrap();
    let lease = Duration::from_secs(1);
    store.claim(at(0), lease, 1).await.unwrap();
    store.release().await.unwrap();
    store.depth().await.unwrap();
    store.dead(1).await.unwrap();
    store.revive(DeadJobs::All, at(0)).await.unwrap();
    store.forget(DeadJobs::All).await.unwrap();
    store.forget_settled(true).await.unwrap();
    store.interrupt_stale(at(0)).await.unwrap();
    store.remove_ended_logins(at(0), 1).await.unwrap();
    store.scopes(None, 1).await.unwrap();
    store.unindexed(true, 1).await.unwrap();
    let index = SqlMemoryIndex::new(store, 1 << 20);
    index.owners(None, 1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_start_at_once_make_one_schema() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let url = postgres_url(&server).await;
    let starts = (0..6).map(|_| async {
        let store = SqlStore::connect(&SqlConfig::new(url.as_str()))
            .await
            .unwrap();
        migrations::up(store.connection()).await.unwrap();
    });
    join_all(starts).await;
    let store = SqlStore::connect(&SqlConfig::new(url.as_str()))
        .await
        .unwrap();
    let changes = texts(
        store.connection(),
        "select version from mc.seaql_migrations",
    )
    .await;
    assert_eq!(changes.len(), migrations::Migrator::migrations().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_mixes_sessions_is_refused() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let Some(mixing) = PgBouncer::before(&server, Pooling::Transaction) else {
        return;
    };
    for connections in [1, 2, 3, 8, 8, 8] {
        let config = SqlConfig {
            connections,
            ..SqlConfig::new(mixing.url())
        };
        let refused = SqlStore::connect(&config).await.unwrap_err();
        let reason = std::error::Error::source(&refused).unwrap().to_string();
        assert!(reason.contains("session mode"), "{reason}");
    }
    // In session mode all is well, also when everybody comes at once.
    let Some(keeping) = PgBouncer::before(&server, Pooling::Session) else {
        return;
    };
    let store = crate::common::open(keeping.url().to_owned()).await;
    let visits = (0..40).map(|_| async {
        let user = seed::user(&store).await;
        let mut work = store.read(user.id).await.unwrap();
        assert_eq!(work.users().find().await.unwrap().unwrap().id, user.id);
    });
    join_all(visits).await;
    let left = (0..40).map(|_| texts(store.connection(), LEFT));
    for left in join_all(left).await {
        assert_eq!(left, ["postgres"], "nothing of a visit");
    }
}
