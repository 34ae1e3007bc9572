//! Contract suites: what every implementation of a port must do, as cases that run on any of them.
//!
//! A suite's `check` takes a factory and gives each case a fresh, empty instance, so that cases do
//! not disturb each other. All cases run; the failed ones are named together at the end.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

/// One case of a suite over harness `H`.
struct Case<H> {
    name: &'static str,
    run: for<'a> fn(&'a H) -> LocalBoxFuture<'a, ()>,
}

/// A table of cases, from the names of their functions.
macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        &[$($crate::contract::Case { name: stringify!($name), run: |x| Box::pin($name(x)) }),+]
    };
}

/// Asserts that the store refused because of the named rule.
macro_rules! assert_conflict {
    ($result:expr, $what:literal) => {
        match $result {
            Err(domain::store::StoreError::Conflict { what }) => assert_eq!(what, $what),
            Err(other) => panic!("expected a conflict on {}, got: {other}", $what),
            Ok(_) => panic!("expected a conflict on {}, got no error", $what),
        }
    };
}

/// One call of a repository in a unit of work of its own, committed when it succeeds.
macro_rules! commit {
    ($harness:expr, $owner:expr, $repository:ident.$method:ident($($arg:expr),* $(,)?)) => {{
        let mut work = $harness.store.begin($owner).await.unwrap();
        let answer = work.$repository().$method($($arg),*).await;
        if answer.is_ok() {
            work.commit().await.unwrap();
        }
        answer
    }};
}

/// What a repository shows to a fresh reader.
macro_rules! look {
    ($harness:expr, $owner:expr, $repository:ident.$method:ident($($arg:expr),* $(,)?)) => {{
        let mut work = $harness.store.read($owner).await.unwrap();
        work.$repository().$method($($arg),*).await.unwrap()
    }};
}

pub mod account_directory;
pub mod chat_model;
pub mod embedder;
pub mod identity_provider;
pub mod job_queue;
pub mod maintenance;
pub mod memory_index;
pub mod password_hasher;
pub mod rate_limiter;
pub mod store;
pub mod token_authority;
pub mod transcript_cache;

/// How many tasks race where a case is about a race.
const RACERS: usize = 20;

/// A case that takes longer hangs: it is named instead of stopping the whole run.
const HANGS_AFTER: Duration = Duration::from_mins(2);

/// Runs every case on an instance of its own and names all that failed.
async fn run<H, Fut>(
    suite: &str,
    cases: impl IntoIterator<Item = &Case<H>>,
    fresh: impl Fn() -> Fut,
) where
    H: 'static,
    Fut: Future<Output = H>,
{
    let mut failed = Vec::new();
    for case in cases {
        let attempt = async {
            let harness = fresh().await;
            (case.run)(&harness).await;
        };
        match tokio::time::timeout(HANGS_AFTER, AssertUnwindSafe(attempt).catch_unwind()).await {
            Ok(Ok(())) => {}
            Ok(Err(_panic)) => failed.push(case.name.to_owned()),
            Err(_elapsed) => failed.push(format!("{} (hangs)", case.name)),
        }
    }
    assert!(
        failed.is_empty(),
        "the {suite} contract is broken by: {}",
        failed.join(", ")
    );
}

/// Runs tasks at the same time; their answers, in no order.
async fn race<T, Fut>(tasks: impl IntoIterator<Item = Fut>) -> Vec<T>
where
    T: Send + 'static,
    Fut: Future<Output = T> + Send + 'static,
{
    tasks
        .into_iter()
        .collect::<tokio::task::JoinSet<T>>()
        .join_all()
        .await
}

/// Gives way in the middle of a unit of work, so that tasks that are not kept apart do meet.
async fn let_others_in() {
    tokio::task::yield_now().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn a_good_case(_: &u8) {}

    async fn a_broken_case(number: &u8) {
        assert_eq!(*number, 0);
    }

    async fn another_broken_case(_: &u8) {
        panic!("on purpose");
    }

    #[tokio::test]
    async fn every_case_runs_and_the_broken_ones_are_named() {
        let table: &[Case<u8>] = cases![a_broken_case, a_good_case, another_broken_case];
        let outcome = AssertUnwindSafe(run("test", table, async || 1))
            .catch_unwind()
            .await;
        let panic = outcome.expect_err("two cases are broken");
        let message = panic.downcast_ref::<String>().expect("a message");
        assert_eq!(
            message,
            "the test contract is broken by: a_broken_case, another_broken_case"
        );
    }
}
