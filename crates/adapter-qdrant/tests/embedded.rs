//! The engine in this process: `cargo test -p adapter-qdrant --features embedded-qdrant`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use adapter_qdrant::EdgeMemoryIndex;
use domain::memory::{
    Embedding, EmbeddingSpace, IndexEntry, IndexError, IndexQuery, MemoryIndex, Terms,
};
use domain::privacy::{LearnGrant, RecallGrant};
use domain::profile::Profile;
use testkit::contract::memory_index::{self, IndexHarness};
use testkit::fakes::InMemoryStore;
use testkit::seed;

#[tokio::test(flavor = "multi_thread")]
async fn the_index_keeps_its_contract() {
    let folder = tempfile::tempdir().unwrap();
    let next = AtomicU32::new(0);
    memory_index::check(async || {
        let case = next.fetch_add(1, Ordering::Relaxed).to_string();
        IndexHarness {
            index: Arc::new(EdgeMemoryIndex::new(folder.path().join(case))),
            store: Arc::new(InMemoryStore::new()),
            second: None,
        }
    })
    .await;
}

fn space() -> EmbeddingSpace {
    EmbeddingSpace {
        model: "embedded/4".to_owned(),
        dimension: 4,
    }
}

/// One entry of a new profile, with or without a vector.
async fn dog(with_vector: bool) -> (Profile, IndexEntry) {
    let store = InMemoryStore::new();
    let (_, profile) = seed::user_with_profile(&store).await;
    let memory = seed::memory(&store, &profile, "Has a dog.").await;
    let vector = Embedding::new(vec![1.0, 0.0, 0.0, 0.0]);
    let entry = IndexEntry::of(&memory, vector.filter(|_| with_vector));
    (profile, entry)
}

async fn put(index: &EdgeMemoryIndex, profile: &Profile, entry: &IndexEntry) {
    let grant = LearnGrant::by_owner(profile);
    index.upsert(&grant, vec![entry.clone()]).await.unwrap();
}

async fn found(index: &EdgeMemoryIndex, profile: &Profile) -> usize {
    let query = IndexQuery {
        terms: Terms::of("dog"),
        embedding: Embedding::new(vec![1.0, 0.0, 0.0, 0.0]),
        limit: 5,
    };
    let hits = index.search(&RecallGrant::by_owner(profile), &query).await;
    let hits = hits.unwrap();
    assert!(hits.iter().all(|hit| hit.bm25 > 0.0), "{hits:?}");
    hits.len()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn collections(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.path().is_dir());
    let names = folders.map(|entry| entry.file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_and_removed_outlives_a_process_that_was_cut_off() {
    let root = tempfile::tempdir().unwrap();
    let index = EdgeMemoryIndex::new(root.path().join("index"));
    index.adopt(&space()).await.unwrap();
    let ((ada, kept), (bob, gone)) = (dog(true).await, dog(true).await);
    put(&index, &ada, &kept).await;
    put(&index, &bob, &gone).await;
    let written = cut_off(root.path(), "written");
    index.remove(bob.scope(), None).await.unwrap();
    let removed = cut_off(root.path(), "removed");

    assert_eq!(written.space().await.unwrap(), Some(space()));
    assert_eq!(found(&written, &ada).await, 1);
    assert_eq!(found(&written, &bob).await, 1);
    assert_eq!(found(&removed, &ada).await, 1);
    assert_eq!(found(&removed, &bob).await, 0);
    let owners = removed.owners(None, 10).await.unwrap();
    assert_eq!(owners, [(kept.memory, ada.scope())]);
}

/// The folder `index` as it is while nobody has closed anything.
fn cut_off(root: &Path, name: &str) -> EdgeMemoryIndex {
    copy(&root.join("index"), &root.join(name));
    EdgeMemoryIndex::new(root.join(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_has_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = EdgeMemoryIndex::new(folder.path());
    first.adopt(&space()).await.unwrap();
    let second = EdgeMemoryIndex::new(folder.path());
    match second.space().await {
        Err(IndexError::Unavailable(source)) => {
            assert!(source.to_string().contains("another process"), "{source}");
        }
        other => panic!("two have one folder: {other:?}"),
    }
    drop(first);
    assert_eq!(second.space().await.unwrap(), Some(space()));
}

#[tokio::test(flavor = "multi_thread")]
async fn words_alone_are_kept_when_a_model_comes() {
    let folder = tempfile::tempdir().unwrap();
    let (profile, entry) = dog(false).await;
    let index = EdgeMemoryIndex::new(folder.path());
    put(&index, &profile, &entry).await;
    assert_eq!(index.space().await.unwrap(), None);
    index.adopt(&space()).await.unwrap();
    assert_eq!(found(&index, &profile).await, 1);
    drop(index);

    let again = EdgeMemoryIndex::new(folder.path());
    again.adopt(&space()).await.unwrap();
    assert_eq!(found(&again, &profile).await, 1);
    assert_eq!(collections(folder.path()), ["memorychat-2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_begins_a_rebuild_takes_over() {
    let folder = tempfile::tempdir().unwrap();
    let (profile, entry) = dog(true).await;
    let index = EdgeMemoryIndex::new(folder.path());
    index.adopt(&space()).await.unwrap();
    let first = index.begin_rebuild(Some(&space())).await.unwrap();
    let second = index.begin_rebuild(Some(&space())).await.unwrap();
    let grant = LearnGrant::by_owner(&profile);
    assert!(first.upsert(&grant, vec![entry.clone()]).await.is_err());
    assert!(first.finish().await.is_err());
    second.upsert(&grant, vec![entry]).await.unwrap();
    second.finish().await.unwrap();
    assert_eq!(found(&index, &profile).await, 1);
    assert_eq!(collections(folder.path()), ["memorychat-3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_was_cut_off_is_cleared_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let (profile, entry) = dog(true).await;
    let index = EdgeMemoryIndex::new(folder.path());
    index.adopt(&space()).await.unwrap();
    put(&index, &profile, &entry).await;
    let rebuild = index.begin_rebuild(Some(&space())).await.unwrap();
    assert_eq!(collections(folder.path()).len(), 2);
    drop((rebuild, index));

    let again = EdgeMemoryIndex::new(folder.path());
    assert_eq!(found(&again, &profile).await, 1);
    assert_eq!(collections(folder.path()), ["memorychat-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn someone_elses_point_is_left_alone_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let ((ada, entry), (bob, _)) = (dog(true).await, dog(true).await);
    let index = EdgeMemoryIndex::new(folder.path());
    index.adopt(&space()).await.unwrap();
    put(&index, &ada, &entry).await;
    let planted = index.upsert(&LearnGrant::by_owner(&bob), vec![entry]).await;
    assert!(planted.is_err(), "it must not be taken for written");
    assert_eq!(index.foreign_points(), 1);
    assert_eq!(found(&index, &bob).await, 0);
    assert_eq!(found(&index, &ada).await, 1);
}
