//! The server is down, slow, or answers what is not so.

use std::time::{Duration, Instant};

use adapter_qdrant::{QdrantConfig, QdrantMemoryIndex};
use domain::jobs::JobOutcome;
use domain::memory::{Embedder, Embedding, IndexEntry, IndexError, IndexQuery, MemoryIndex, Terms};
use domain::privacy::{LearnGrant, RecallGrant};
use secrecy::SecretString;
use testkit::fakes::HashEmbedder;
use testkit::qdrant_server::{Misbehaviour, QdrantServer};
use testkit::seed;
use tonic::Code;

use crate::world::{World, index_on};

const REX: &str = "My dog is called Rex.";

/// How long a search may keep somebody waiting: its own limit, and what a busy machine adds.
const BOUND: Duration = Duration::from_millis(1500);

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_at_a_search_costs_little_and_then_nothing() {
    let mut world = World::new().await;
    let profile = world.profile().await;
    let memory = world.learned(&profile, REX).await;
    world.run_jobs().await;
    world.server.stop();
    for _ in 0..3 {
        let begun = Instant::now();
        assert!(world.recall_fails(&profile).await);
        assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    }
    world.server.restart();
    assert!(world.recall_fails(&profile).await, "it is left alone");
    assert!(
        world
            .server
            .take_calls()
            .iter()
            .all(|call| *call != "query")
    );
    tokio::time::sleep(Duration::from_millis(5100)).await;
    assert_eq!(world.found(&profile, "dog").await, [memory.id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_costs_a_bounded_wait() {
    let world = World::new().await;
    let profile = world.profile().await;
    world.server.break_down(Misbehaviour::Hang);
    for n in 0..4 {
        let begun = Instant::now();
        assert!(world.recall_fails(&profile).await);
        let limit = if n < 3 {
            BOUND
        } else {
            Duration::from_millis(100)
        };
        assert!(begun.elapsed() < limit, "{n}: {:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_does_not_wait_for_ever_either() {
    let world = World::new().await;
    let profile = world.profile().await;
    let memory = seed::memory(&*world.store, &profile, REX).await;
    let config = QdrantConfig {
        write_patience: Duration::from_millis(300),
        ..QdrantConfig::new(world.server.url())
    };
    let index = QdrantMemoryIndex::new(config).unwrap();
    index.space().await.unwrap(); // It knows by now where to write.
    world.server.break_down(Misbehaviour::Hang);
    let grant = LearnGrant::by_owner(&profile);
    let written = index.upsert(&grant, vec![IndexEntry::of(&memory, None)]);
    let written = tokio::time::timeout(Duration::from_secs(5), written).await;
    assert!(written.is_ok_and(|written| written.is_err()));
    world.server.heal();
    assert_eq!(world.server.total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_gets_neither_key_nor_question_over_https() {
    let server = QdrantServer::with_key(Some("a-key"));
    let config = QdrantConfig {
        api_key: Some(SecretString::from("a-key")),
        write_patience: Duration::from_secs(2),
        ..QdrantConfig::new(server.url().replace("http://", "https://"))
    };
    let index = QdrantMemoryIndex::new(config).unwrap();
    let space = HashEmbedder::new().space().clone();
    assert!(index.adopt(&space).await.is_err());
    assert_eq!(server.take_calls(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_at_a_write_gets_it_later_and_once() {
    let mut world = World::new().await;
    let profile = world.profile().await;
    world.server.stop();
    let memory = world.learned(&profile, REX).await;
    let outcomes = world.run_jobs().await;
    assert!(
        matches!(outcomes[..], [JobOutcome::Retry { .. }]),
        "{outcomes:?}"
    );
    world.server.restart();
    // The breaker rests on the real clock, the retry waits on the test's.
    tokio::time::sleep(Duration::from_millis(5100)).await;
    world.clock.advance(Duration::from_mins(1));
    let outcomes = world.run_jobs().await;
    assert!(
        matches!(outcomes[..], [JobOutcome::Done { .. }]),
        "{outcomes:?}"
    );
    assert_eq!(world.held().await, [memory.id]);
    assert_eq!(world.found(&profile, "dog").await, [memory.id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_mark_was_lost_is_repeated_and_makes_one_point() {
    let world = World::new().await;
    let profile = world.profile().await;
    let memory = seed::memory(&*world.store, &profile, REX).await;
    let unfinished = world
        .indexer
        .sync(profile.scope(), memory.id)
        .await
        .unwrap();
    drop(unfinished); // The process dies before the row says so.
    assert_eq!(world.held().await, [memory.id]);
    assert_eq!(world.reindexer.enqueue_missing().await.unwrap(), 1);
    world.run_jobs().await;
    assert_eq!(world.held().await, [memory.id]);
    assert_eq!(world.server.total(), 1);
    assert_eq!(world.reindexer.enqueue_missing().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_only_accepted_is_not_written() {
    let world = World::new().await;
    let profile = world.profile().await;
    world.learned(&profile, REX).await;
    for how in [Misbehaviour::Acknowledge, Misbehaviour::WaitTimeout] {
        world.server.break_down(how);
        world.clock.advance(Duration::from_mins(20));
        let outcomes = world.run_jobs().await;
        assert!(
            matches!(outcomes[..], [JobOutcome::Retry { .. }]),
            "{how:?}: {outcomes:?}"
        );
        let removed = world.index.remove(profile.scope(), None).await;
        assert!(removed.is_err(), "{how:?}");
    }
    world.server.heal();
    world.clock.advance(Duration::from_mins(20));
    let outcomes = world.run_jobs().await;
    assert!(
        matches!(outcomes[..], [JobOutcome::Done { .. }]),
        "{outcomes:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_once_is_tried_again_at_once() {
    let world = World::new().await;
    let profile = world.profile().await;
    let memory = world.learned(&profile, REX).await;
    world
        .server
        .break_down(Misbehaviour::RefuseNext(Code::Unavailable, 1));
    let outcomes = world.run_jobs().await;
    assert!(
        matches!(outcomes[..], [JobOutcome::Done { .. }]),
        "{outcomes:?}"
    );
    assert_eq!(world.held().await, [memory.id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_told_as_not_available() {
    let world = World::new().await;
    let profile = world.profile().await;
    let memory = seed::memory(&*world.store, &profile, REX).await;
    let (read, write) = (
        RecallGrant::by_owner(&profile),
        LearnGrant::by_owner(&profile),
    );
    for code in [
        Code::Unavailable,
        Code::Internal,
        Code::Unauthenticated,
        Code::PermissionDenied,
        Code::InvalidArgument,
        Code::ResourceExhausted,
        Code::FailedPrecondition,
    ] {
        let index = index_on(&world.server);
        world.server.break_down(Misbehaviour::Refuse(code));
        let query = IndexQuery {
            terms: Terms::of("dog"),
            embedding: None,
            limit: 5,
        };
        let searched = index.search(&read, &query).await;
        assert!(
            matches!(searched, Err(IndexError::Unavailable(_))),
            "{code:?}"
        );
        let entries = vec![IndexEntry::of(&memory, None)];
        let written = index.upsert(&write, entries).await;
        assert!(
            matches!(written, Err(IndexError::Unavailable(_))),
            "{code:?}"
        );
        world.server.heal();
    }
    assert_eq!(world.server.total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ignores_filters_is_not_believed() {
    let world = World::new().await;
    let (ada, bob) = (world.profile().await, world.profile().await);
    let ours = world.learned(&ada, REX).await;
    world.learned(&bob, "My dog is called Bello.").await;
    world.run_jobs().await;
    world.server.break_down(Misbehaviour::IgnoreFilters);
    let numbers = vec![1.0; HashEmbedder::DIMENSION];
    let query = IndexQuery {
        terms: Terms::of("dog"),
        embedding: Embedding::new(numbers),
        limit: 10,
    };
    let grant = RecallGrant::by_owner(&ada);
    let hits = world.index.search(&grant, &query).await.unwrap();
    assert_eq!(
        hits.iter().map(|hit| hit.memory).collect::<Vec<_>>(),
        [ours.id]
    );
    assert!(world.index.foreign_points() > 0, "and it is counted");
    let entries = world.index.entries(ada.scope(), None, 10).await.unwrap();
    assert_eq!(entries.len(), 1);
}
