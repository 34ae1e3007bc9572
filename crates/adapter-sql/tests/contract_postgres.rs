//! The contract suites on Postgres, as the role that the program has at run time: one database, emptied
//! before each case, on a server that this test starts, or on the one that `TEST_DATABASE_URL` names.

mod common;

use common::{harness, index_harness, open_postgres};
use sea_orm::ConnectionTrait;
use testkit::contract::{account_directory, job_queue, maintenance, memory_index, store};
use testkit::servers::Postgres;

#[tokio::test(flavor = "multi_thread")]
async fn every_port_keeps_its_contract() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let (owner, runtime) = open_postgres(&server).await;
    let fresh = async || {
        // Everything else hangs on users.
        let empty = "delete from users; delete from index_space";
        owner.connection().execute_unprepared(empty).await.unwrap();
        runtime.clone()
    };
    store::check(async || harness(fresh().await)).await;
    account_directory::check(async || harness(fresh().await)).await;
    job_queue::check(async || harness(fresh().await)).await;
    maintenance::check(async || harness(fresh().await)).await;
    memory_index::check(async || index_harness(fresh().await)).await;
}
