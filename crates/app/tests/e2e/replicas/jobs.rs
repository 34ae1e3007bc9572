//! Work that any process may do, and that is done once.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::json;

use super::{Installation, at, metric, output};
use crate::harness::{Caller, Server, command, id};
use crate::shutdown::IN_TIME;
use crate::wait::until;

const PENDING: &str = "select count(*) from outbox where state = 'pending'";
const DEAD: &str = "select count(*) from outbox where state = 'dead'";
const LEASED: &str = "select count(*) from outbox where locked_until > 0";

/// Servers that leave all work to others.
const IDLE: [(&str, &str); 1] = [("MEMORYCHAT_WORKERS", "0")];

/// An installation whose server leaves all work to others, and a user.
async fn without_workers() -> Option<(Installation, Server, Caller)> {
    let installation = Installation::start().await?;
    let server = installation.replica(&IDLE).await;
    let ada = server.sign_up("ada").await;
    Some((installation, server, ada))
}

#[tokio::test]
async fn many_workers_run_no_job_twice() {
    let Some(installation) = Installation::start().await else {
        return;
    };
    let (one, two) = installation.pair(&[("MEMORYCHAT_WORKERS", "2")]).await;
    let _workers = [installation.worker(), installation.worker()];
    let ada = one.sign_up("ada").await;
    let profile = ada.default_profile().await;
    let sessions = [ada.session("normal").await, ada.session("normal").await];
    for n in 0..16 {
        let caller = at(&ada, [&one, &two][n % 2]);
        let said = format!("My number {n} is {n}{n}.");
        caller.chat(&sessions[n % 2], &said).await;
    }
    installation.wait_for_count(PENDING, 0).await;
    let mut memories = ada.memories(&profile).await;
    memories.sort();
    memories.dedup();
    assert_eq!(memories.len(), 16, "{memories:?}");
    assert_eq!(
        installation.count("select count(*) from memories").await,
        16
    );
    assert_eq!(installation.count(DEAD).await, 0);
    let calls = installation.model.calls();
    let extractions = calls.iter().filter(|call| call.is_extraction());
    assert_eq!(extractions.count(), 16, "each job ran once");
}

#[tokio::test]
async fn the_work_of_a_killed_worker_is_done_once_by_another() {
    let Some((installation, _server, ada)) = without_workers().await else {
        return;
    };
    let profile = ada.default_profile().await;
    let session = ada.session("normal").await;
    let mut first = installation.worker();
    // The first extraction of this message never ends.
    ada.chat(&session, "My dog is called Rex. [linger]").await;
    wait_for_extractions(&installation, 1).await;
    first.kill();
    assert_eq!(installation.count(LEASED).await, 1);

    // A server that starts beside others must not end leases that others may hold.
    let _late = installation.replica(&[]).await;
    assert_eq!(installation.count(LEASED).await, 1);
    let _second = installation.worker();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(extractions(&installation), 1, "the lease still holds");

    installation.let_jobs_be_due().await;
    installation.wait_for_count(PENDING, 0).await;
    let memories = ada.memories(&profile).await;
    assert_eq!(memories.len(), 1, "{memories:?}");
    assert_eq!(extractions(&installation), 2);
    assert_eq!(installation.count(DEAD).await, 0);
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_changes_nothing() {
    let Some((installation, _server, ada)) = without_workers().await else {
        return;
    };
    let profile = ada.default_profile().await;
    let session = ada.session("normal").await;
    let _slow = installation.worker();
    // The first extraction takes three seconds, and its lease ends meanwhile.
    ada.chat(&session, "My dog is called Rex. [dawdle]").await;
    wait_for_extractions(&installation, 1).await;
    installation.let_jobs_be_due().await;
    let _quick = installation.worker();
    wait_for_extractions(&installation, 2).await;
    installation.wait_for_count(PENDING, 0).await;
    // Time for the slow one to end too.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(installation.count(PENDING).await, 0);
    let memories = ada.memories(&profile).await;
    assert_eq!(memories.len(), 1, "{memories:?}");
}

#[tokio::test]
async fn a_poison_job_ends_visibly_and_holds_nobody_up() {
    let Some((installation, _server, ada)) = without_workers().await else {
        return;
    };
    let profile = ada.default_profile().await;
    let session = ada.session("normal").await;
    let _workers = [installation.worker(), installation.worker()];
    // The memory of this cannot be embedded.
    ada.chat(&session, "My cat is called [poison] Tom.").await;
    installation
        .wait_for_count("select count(*) from memories", 1)
        .await;
    ada.chat(&session, "My dog is called Rex.").await;
    ada.wait_for_memories(&profile, 2).await;
    let mut dead = 0;
    for _ in 0..300 {
        dead = installation.count(DEAD).await;
        if dead == 1 {
            break;
        }
        installation
            .execute("update outbox set available_at = 0 where locked_until is null")
            .await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(dead, 1);
    installation.wait_for_count(PENDING, 0).await;
    assert_eq!(metric(&ada, "jobs_dead").await, 1);
    let attempts = installation.count("select attempts from outbox where state = 'dead'");
    assert_eq!(attempts.await, 10);

    let data = tempfile::tempdir().expect("folder");
    let mut doctor = command(data.path());
    doctor.arg("doctor").envs(installation.with(&[]));
    let (_, shown) = output(doctor).await;
    assert!(
        shown.contains("1 given up") && shown.contains("after 10 tries"),
        "{shown}"
    );
    assert!(shown.contains("shared by all replicas"), "{shown}");
    assert!(!shown.contains("Tom"), "{shown}");
    assert!(shown.contains("memorychat jobs retry all"), "{shown}");
    retried_and_forgotten(&installation).await;
    assert_eq!(metric(&ada, "jobs_dead").await, 0);
}

/// What an operator does with the only job that was given up.
async fn retried_and_forgotten(installation: &Installation) {
    let jobs = async |args: &[&str]| {
        let data = tempfile::tempdir().expect("folder");
        let mut command = command(data.path());
        command.arg("jobs").args(args).envs(installation.with(&[]));
        let (well, shown) = output(command).await;
        assert!(well, "{shown}");
        shown
    };
    let listed = jobs(&["list"]).await;
    assert!(
        listed.contains("1 given up") && listed.contains(" index of user "),
        "{listed}"
    );
    assert!(!listed.contains("Tom"), "{listed}");
    let none = jobs(&["retry", "learn"]).await;
    assert!(none.contains("0 jobs are tried again"), "{none}");
    let one = jobs(&["retry", "all"]).await;
    assert!(one.contains("1 jobs are tried again"), "{one}");
    assert_eq!(installation.count(DEAD).await, 0);
    installation
        .execute("update outbox set state = 'dead', locked_until = null")
        .await;
    let gone = jobs(&["drop", "index"]).await;
    assert!(gone.contains("1 jobs are forgotten"), "{gone}");
    assert_eq!(installation.count("select count(*) from outbox").await, 0);
}

#[tokio::test]
async fn a_job_that_hangs_is_broken_off_and_holds_nobody_up() {
    let Some((installation, _server, ada)) = without_workers().await else {
        return;
    };
    let profile = ada.default_profile().await;
    let sessions = [ada.session("normal").await, ada.session("normal").await];
    // The only worker, and a first try that never ends by itself.
    let _worker = installation.worker_with(&[("MEMORYCHAT_JOB_LEASE_SECONDS", "2")]);
    ada.chat(&sessions[0], "My dog is called Rex. [linger]")
        .await;
    wait_for_extractions(&installation, 1).await;
    ada.chat(&sessions[1], "My cat is called Tom.").await;
    ada.wait_for_memories(&profile, 2).await;
    assert_eq!(extractions(&installation), 3);
}

#[tokio::test]
async fn a_job_that_ends_every_worker_is_given_up() {
    let Some((installation, _server, ada)) = without_workers().await else {
        return;
    };
    let profile = ada.default_profile().await;
    let sessions = [ada.session("normal").await, ada.session("normal").await];
    let mut worker = installation.worker();
    ada.chat(&sessions[0], "My dog is called Rex. [linger]")
        .await;
    wait_for_extractions(&installation, 1).await;
    worker.kill();
    // As if this had been the last try of all.
    installation
        .execute("update outbox set attempts = 10")
        .await;
    installation.let_jobs_be_due().await;
    ada.chat(&sessions[1], "My cat is called Tom.").await;
    let _another = installation.worker();
    let memories = ada.wait_for_memories(&profile, 1).await;
    assert!(memories[0].contains("Tom"), "{memories:?}");
    installation.wait_for_count(DEAD, 1).await;
    assert_eq!(extractions(&installation), 2, "it was not tried again");
}

#[tokio::test]
async fn a_worker_that_is_stopped_gives_its_job_back() {
    let Some((installation, _server, ada)) = without_workers().await else {
        return;
    };
    let profile = ada.default_profile().await;
    let sessions = [ada.session("normal").await, ada.session("normal").await];
    let mut worker = installation.worker_with(&[("MEMORYCHAT_DRAIN_SECONDS", "1")]);
    ada.chat(&sessions[0], "My dog is called Rex. [linger]")
        .await;
    wait_for_extractions(&installation, 1).await;
    ada.chat(&sessions[1], "My cat is called Tom.").await;
    let begun = Instant::now();
    worker.terminate();
    assert!(worker.wait(), "it ended well");
    assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
    // Nobody has to wait for the end of a lease, and nothing was begun.
    assert_eq!(installation.count(PENDING).await, 2);
    assert_eq!(installation.count(LEASED).await, 0);
    let begun = "select count(*) from outbox where attempts > 0";
    assert_eq!(installation.count(begun).await, 1);
    let _another = installation.worker();
    ada.wait_for_memories(&profile, 2).await;
}

#[tokio::test]
async fn a_server_that_is_stopped_ends_its_job_first() {
    let Some(installation) = Installation::start().await else {
        return;
    };
    let mut server = installation.replica(&[("MEMORYCHAT_WORKERS", "1")]).await;
    let ada = server.sign_up("ada").await;
    let session = ada.session("normal").await;
    ada.chat(&session, "My dog is called Rex. [dawdle]").await;
    wait_for_extractions(&installation, 1).await;
    server.terminate();
    let stopped = tokio::task::spawn_blocking(move || server.wait());
    assert!(stopped.await.expect("joined"), "it ended well");
    let learned = "select count(*) from memories";
    assert_eq!(installation.count(learned).await, 1);
    assert_eq!(installation.count(LEASED).await, 0);
}

#[tokio::test]
async fn a_second_signal_ends_a_worker_at_once() {
    let Some((installation, _server, ada)) = without_workers().await else {
        return;
    };
    let session = ada.session("normal").await;
    let mut worker = installation.worker();
    ada.chat(&session, "My dog is called Rex. [linger]").await;
    wait_for_extractions(&installation, 1).await;
    let begun = Instant::now();
    worker.terminate();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(worker.is_alive(), "the job may come to its end");
    worker.terminate();
    assert!(!worker.wait(), "it was cut short");
    assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
    assert_eq!(installation.count(LEASED).await, 1);
}

#[tokio::test]
async fn what_was_deleted_before_its_job_ran_is_not_learned() {
    let Some(installation) = Installation::start().await else {
        return;
    };
    let (one, two) = installation.pair(&IDLE).await;
    let ada = one.sign_up("ada").await;
    let ada_there = at(&ada, &two);
    let body = json!({"name": "Work"});
    let work = ada.post("/api/v1/memory-profiles", &body).await;
    let work = id(&work.expect(StatusCode::CREATED));
    let sessions = [ada.session("normal").await, ada.session("normal").await];
    let body = json!({"memory_profile_id": work});
    let third = ada.post("/api/v1/sessions", &body).await;
    let third = id(&third.expect(StatusCode::CREATED));
    ada.chat(&sessions[0], "My dog is called Rex.").await;
    let said = ada.chat(&sessions[1], "My cat is called Tom.").await;
    ada.chat(&third, "My boss is called Eve.").await;
    assert_eq!(installation.count(PENDING).await, 3);

    let path = format!("/api/v1/sessions/{}", sessions[0]);
    ada_there.delete(&path).await.expect_ok();
    let message = id(&said["user_message"]);
    let path = format!("/api/v1/sessions/{}/messages/{message}", sessions[1]);
    ada_there.delete(&path).await.expect_ok();
    let path = format!("/api/v1/memory-profiles/{work}");
    ada_there.delete(&path).await.expect_ok();

    let _worker = installation.worker();
    installation.wait_for_count(PENDING, 0).await;
    assert_eq!(installation.count("select count(*) from memories").await, 0);
    assert_eq!(installation.count(DEAD).await, 0);
    assert_eq!(
        extractions(&installation),
        0,
        "the model was not even asked"
    );
}

fn extractions(installation: &Installation) -> usize {
    let calls = installation.model.calls();
    calls.iter().filter(|call| call.is_extraction()).count()
}

async fn wait_for_extractions(installation: &Installation, count: usize) {
    until("so many are learned from", async || {
        extractions(installation) >= count
    })
    .await;
}
