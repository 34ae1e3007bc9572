//! The contract suites on SQLite: a file of its own for each case.

mod common;

use common::{folder, harness, index_harness, open, sqlite_url};
use testkit::contract::{account_directory, job_queue, maintenance, memory_index, store};

#[tokio::test(flavor = "multi_thread")]
async fn the_store_keeps_its_contract() {
    let folder = folder();
    store::check(async || harness(open(sqlite_url(&folder)).await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_directory_keeps_its_contract() {
    let folder = folder();
    account_directory::check(async || harness(open(sqlite_url(&folder)).await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_queue_keeps_its_contract() {
    let folder = folder();
    job_queue::check(async || harness(open(sqlite_url(&folder)).await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_keeps_its_contract() {
    let folder = folder();
    maintenance::check(async || harness(open(sqlite_url(&folder)).await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_index_keeps_its_contract() {
    let folder = folder();
    memory_index::check(async || index_harness(open(sqlite_url(&folder)).await)).await;
}
