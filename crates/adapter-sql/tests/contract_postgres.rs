//! The contract suites on Postgres: a schema of its own for each case, on a server that this test
//! starts, or on the one that `TEST_DATABASE_URL` names.

mod common;

use common::{harness, index_harness, open, postgres_url};
use testkit::contract::{account_directory, job_queue, maintenance, memory_index, store};
use testkit::servers::Postgres;

#[tokio::test(flavor = "multi_thread")]
async fn every_port_keeps_its_contract() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let fresh = async || harness(open(postgres_url(&server).await).await);
    store::check(fresh).await;
    account_directory::check(fresh).await;
    job_queue::check(fresh).await;
    maintenance::check(fresh).await;
    memory_index::check(async || index_harness(postgres_url(&server).await).await).await;
}
