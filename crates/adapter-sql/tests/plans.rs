//! Postgres finds rows by an index, under row level security too: the plans of what is really asked.

mod common;

use std::time::Duration;

use adapter_sql::{SqlConfig, SqlMemoryIndex, SqlStore};
use common::open;
use domain::account::AccountDirectory;
use domain::ids::{LoginId, MemoryId};
use domain::jobs::{JobQueue, Maintenance};
use domain::memory::{IndexEntry, IndexQuery, MemoryIndex, Terms};
use domain::page::PageRequest;
use domain::privacy::{LearnGrant, RecallGrant};
use domain::session::SessionFilter;
use domain::store::Store;
use sea_orm::ConnectionTrait;
use testkit::bulk::{self, Bulk};
use testkit::fixtures::{at, fresh_id};
use testkit::seed;
use testkit::servers::Postgres;

/// Tables that grow with the number of users.
const LARGE: [&str; 10] = [
    "users",
    "logins",
    "api_keys",
    "memory_profiles",
    "chat_sessions",
    "chat_messages",
    "memories",
    "outbox",
    "index_revisions",
    "memory_vectors",
];

/// Work for, and entries of, the memories that [`Bulk`] makes: what was given up stays, and much waits.
const DERIVED: &str = "
insert into mc.outbox (id, user_id, kind, subject_id, profile_id, state, attempts, available_at)
    select gen_random_uuid(), user_id, 'index', id, profile_id, 'dead', 9, 1 from mc.memories;
insert into mc.outbox (id, user_id, kind, subject_id, profile_id, state, attempts, available_at)
    select gen_random_uuid(), user_id, 'index', id, profile_id, 'pending', 1, 9000000000000000 from mc.memories
    limit 20;
insert into mc.outbox (id, user_id, kind, subject_id, profile_id, state, attempts, available_at)
    select gen_random_uuid(), user_id, 'learn', id, profile_id, 'pending', 1, 9000000000000000 from mc.memories;
insert into mc.logins (id, user_id, generation, created_at, expires_at)
    select gen_random_uuid(), user_id, 1, 1, 9000000000000000 from mc.memories;
insert into mc.index_revisions select user_id, id, 1 from mc.memory_profiles;
insert into mc.memory_vectors (memory_id, user_id, profile_id, vector, terms, length, revision, version)
    select id, user_id, profile_id, null, '', 0, 1, 1 from mc.memories;
analyze";

#[tokio::test(flavor = "multi_thread")]
async fn no_question_reads_a_whole_table() {
    let Some(server) = Postgres::new() else {
        return;
    };
    let owner = open(server.url().to_owned()).await;
    let (user, profile) = seed::user_with_profile(&owner).await;
    let grown = Bulk {
        users: 400,
        sessions: 10,
        messages: 10,
        memories: 20,
    };
    for sql in bulk::statements(grown, true) {
        owner.connection().execute_unprepared(&sql).await.unwrap();
    }
    owner
        .connection()
        .execute_unprepared(DERIVED)
        .await
        .unwrap();
    // From now on the server logs how it answers each statement, and those in the doors.
    server.run("alter database postgres set session_preload_libraries = 'auto_explain'");
    server.run("alter database postgres set auto_explain.log_min_duration = 0");
    server.run("alter database postgres set auto_explain.log_nested_statements = on");
    let url = server.url().replace("postgres@", "mc_login@");
    let store = SqlStore::connect(&SqlConfig::new(url)).await.unwrap();

    let page = PageRequest::first(20);
    let grant = RecallGrant::by_owner(&profile);
    let mut work = store.read(user.id).await.unwrap();
    let filter = SessionFilter::default();
    let sessions = work.sessions().list(filter, page).await.unwrap().items;
    assert_eq!(sessions.len(), 10);
    let session = sessions[0].session.id;
    let of_profile = SessionFilter {
        profile: Some(profile.id()),
    };
    work.sessions().list(of_profile, page).await.unwrap();
    work.sessions().find(session).await.unwrap().unwrap();
    let messages = work.messages().list(session, page).await.unwrap().items;
    assert_eq!(messages.len(), 10);
    work.messages().recent(session, 10).await.unwrap();
    work.messages().summary(session).await.unwrap();
    work.profiles().list().await.unwrap();
    let memories = work.memories().list(&grant, page).await.unwrap().items;
    assert_eq!(memories.len(), 20);
    let ids: Vec<MemoryId> = memories.iter().map(|memory| memory.id).collect();
    work.memories().find(&grant, &ids).await.unwrap();
    work.users().find().await.unwrap().unwrap();
    work.api_keys().list().await.unwrap();
    store.credential(&user.email).await.unwrap();
    store.login(LoginId::new(fresh_id())).await.unwrap();
    store.api_key("none").await.unwrap();
    let workers = store.for_workers();
    let lease = Duration::from_secs(1);
    workers.claim(at(0), lease, 10).await.unwrap();
    workers.unindexed(true, 10).await.unwrap();
    workers.scopes(None, 10).await.unwrap();
    workers.interrupt_stale(at(0)).await.unwrap();
    // Two are left out that go over many rows by their nature: how many jobs there are, and which of those
    // that were given up are settled.
    assert_eq!(workers.dead(10).await.unwrap().len(), 10);
    workers.remove_ended_logins(at(0), 10).await.unwrap();
    let index = SqlMemoryIndex::new(&workers, 1 << 20);
    assert_eq!(index.owners(None, 10).await.unwrap().len(), 10);
    let scope = grant.scope();
    assert_eq!(index.entries(scope, None, 20).await.unwrap().len(), 20);
    let entry = IndexEntry {
        memory: ids[0],
        version: 1,
        embedding: None,
        terms: Terms::of("green tea"),
    };
    let query = IndexQuery {
        embedding: None,
        terms: Terms::of("tea"),
        limit: 5,
    };
    let learn = LearnGrant::by_owner(&profile);
    for _ in 0..2 {
        index.upsert(&learn, vec![entry.clone()]).await.unwrap();
        assert_eq!(index.search(&grant, &query).await.unwrap().len(), 1);
    }
    index.remove(scope, Some(&ids[..1])).await.unwrap();
    index.remove(scope, None).await.unwrap();

    let log = std::fs::read_to_string(server.folder().join("log")).unwrap();
    let plans: Vec<&str> = log.split("plan:").skip(1).collect();
    assert!(plans.len() > 40, "the server logs its plans: {log}");
    for plan in plans {
        let scanned = LARGE.iter().find(|table| {
            let scan = format!("Seq Scan on {table} ");
            plan.contains(&scan)
        });
        assert_eq!(scanned, None, "a whole table is read:\n{plan}");
    }
}
