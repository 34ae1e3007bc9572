//! The contract of [`Maintenance`](domain::jobs::Maintenance): the few things that go over all users.

use std::collections::BTreeSet;
use std::future::Future;
use std::slice::from_ref;
use std::time::Duration;

use domain::account::Login;
use domain::ids::{JobId, MessageId};
use domain::jobs::{Job, JobKind};
use domain::memory::{Indexed, Memory};
use domain::privacy::LearnGrant;
use domain::session::{Message, MessageStatus};

use super::Case;
use super::store::StoreHarness;
use crate::fixtures::{
    a_job, a_login, a_memory, a_message, a_streaming_answer, an_index_job, at, content, fresh_id,
};

const CASES: &[Case<StoreHarness>] = cases![
    an_answer_without_a_writer_is_interrupted,
    an_answer_that_makes_progress_is_left_alone,
    an_interrupted_answer_makes_room_for_the_next,
    scopes_of_all_users_come_in_pages,
    a_new_memory_is_unindexed,
    an_indexed_memory_is_not_unindexed,
    a_memory_indexed_by_words_lacks_its_vector,
    a_changed_memory_is_unindexed_again,
    a_memory_that_the_index_lost_is_unindexed_again,
    a_memory_with_a_pending_job_is_not_listed,
    a_limit_holds_for_unindexed_memories,
    dead_jobs_are_settled_when_the_index_is_as_it_should_be,
    the_last_of_several_dead_jobs_of_a_memory_stays,
    work_that_no_comparison_does_is_not_settled,
    log_ins_that_ended_long_ago_are_removed_in_pieces,
];

/// Checks maintenance; `fresh` makes an empty database for each case.
pub async fn check<Fut: Future<Output = StoreHarness>>(fresh: impl Fn() -> Fut) {
    super::run("maintenance", CASES, fresh).await;
}

async fn interrupt(h: &StoreHarness, before: i64) -> u64 {
    h.maintenance.interrupt_stale(at(before)).await.unwrap()
}

async fn an_answer_without_a_writer_is_interrupted(h: &StoreHarness) {
    let (ada, bob) = (h.user().await, h.user().await);
    let mut answers = Vec::new();
    for user in [&ada, &bob] {
        let session = h.session(user, None).await;
        h.message(&session, "question").await;
        let answer = Message {
            created_at: at(10),
            ..a_streaming_answer(session.id)
        };
        h.add_message(&session, &answer).await;
        commit!(h, user.id, messages.progress(answer.id, "The who", at(20))).unwrap();
        answers.push((user.id, answer));
    }
    assert_eq!(interrupt(h, 30).await, 2);
    for (owner, answer) in answers {
        let status = MessageStatus::Interrupted;
        let cut = Message {
            content: "The who".to_owned(),
            status,
            ..answer
        };
        assert!(
            !commit!(h, owner, messages.progress(cut.id, "The whole", at(40))).unwrap(),
            "its writer is given up"
        );
        assert_eq!(look!(h, owner, messages.find(cut.id)), Some(cut));
    }
    assert_eq!(interrupt(h, 30).await, 0);
}

async fn an_answer_that_makes_progress_is_left_alone(h: &StoreHarness) {
    let user = h.user().await;
    let session = h.session(&user, None).await;
    let answer = Message {
        created_at: at(10),
        ..a_streaming_answer(session.id)
    };
    h.add_message(&session, &answer).await;
    assert_eq!(interrupt(h, 9).await, 0, "it began after that");
    commit!(h, user.id, messages.progress(answer.id, "", at(20))).unwrap();
    assert_eq!(interrupt(h, 15).await, 0, "it made progress after that");
    assert_eq!(look!(h, user.id, messages.find(answer.id)), Some(answer));
    assert_eq!(interrupt(h, 25).await, 1);
}

async fn an_interrupted_answer_makes_room_for_the_next(h: &StoreHarness) {
    let user = h.user().await;
    let session = h.session(&user, None).await;
    h.add_message(&session, &a_streaming_answer(session.id))
        .await;
    assert_eq!(interrupt(h, 100).await, 1);
    h.add_message(&session, &a_streaming_answer(session.id))
        .await;
    h.add_message(&session, &a_message(session.id, "and on"))
        .await;
}

async fn scopes_of_all_users_come_in_pages(h: &StoreHarness) {
    let mut expected = Vec::new();
    for _ in 0..3 {
        let (user, first) = h.user_with_profile().await;
        let second = h.profile(&user, "Work").await;
        expected.extend([first.scope(), second.scope()]);
    }
    let all = h.maintenance.scopes(None, 100).await.unwrap();
    let as_set = |scopes: &[domain::privacy::MemoryScope]| {
        scopes
            .iter()
            .map(|s| (s.user, s.profile))
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(all.len(), expected.len());
    assert_eq!(as_set(&all), as_set(&expected));
    for limit in 1..=7_u32 {
        let (mut walked, mut after) = (Vec::new(), None);
        loop {
            let page = h.maintenance.scopes(after, limit).await.unwrap();
            assert!(page.len() <= limit as usize);
            let Some(last) = page.last() else { break };
            after = Some(*last);
            walked.extend(page);
        }
        assert_eq!(walked, all, "pages of {limit}");
    }
}

async fn unindexed(h: &StoreHarness, with_vectors: bool) -> Vec<Memory> {
    let mut memories = Vec::new();
    for (scope, id) in h.maintenance.unindexed(with_vectors, 100).await.unwrap() {
        let memory = look!(h, scope.user, memories.find_for_index(id)).expect("it exists");
        assert_eq!(memory.scope, scope);
        memories.push(memory);
    }
    memories
}

async fn mark(h: &StoreHarness, memory: &Memory, held: Indexed) {
    commit!(h, memory.scope.user, memories.mark_indexed(memory, held)).unwrap();
}

async fn a_new_memory_is_unindexed(h: &StoreHarness) {
    let (_, profile) = h.user_with_profile().await;
    let memory = h.memory(&profile, "Has a dog.").await;
    for with_vectors in [true, false] {
        assert_eq!(unindexed(h, with_vectors).await, from_ref(&memory));
    }
}

async fn an_indexed_memory_is_not_unindexed(h: &StoreHarness) {
    let (_, profile) = h.user_with_profile().await;
    let memory = h.memory(&profile, "Has a dog.").await;
    mark(h, &memory, Indexed::Vector).await;
    for with_vectors in [true, false] {
        assert!(unindexed(h, with_vectors).await.is_empty());
    }
}

async fn a_memory_indexed_by_words_lacks_its_vector(h: &StoreHarness) {
    let (_, profile) = h.user_with_profile().await;
    let memory = h.memory(&profile, "Has a dog.").await;
    mark(h, &memory, Indexed::Words).await;
    assert!(unindexed(h, false).await.is_empty());
    assert_eq!(unindexed(h, true).await, [memory]);
}

async fn a_changed_memory_is_unindexed_again(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let old = h.memory(&profile, "Has a dog.").await;
    mark(h, &old, Indexed::Vector).await;
    let new = Memory {
        content: content("Has a cat."),
        version: 2,
        ..old.clone()
    };
    let grant = LearnGrant::by_owner(&profile);
    commit!(h, user.id, memories.update(&grant, &new)).unwrap();
    assert_eq!(unindexed(h, true).await, from_ref(&new));
    mark(h, &old, Indexed::Vector).await;
    assert_eq!(
        unindexed(h, true).await,
        from_ref(&new),
        "the index holds an older version"
    );
    mark(h, &new, Indexed::Vector).await;
    assert!(unindexed(h, true).await.is_empty());
}

async fn a_memory_that_the_index_lost_is_unindexed_again(h: &StoreHarness) {
    let (_, profile) = h.user_with_profile().await;
    let memory = h.memory(&profile, "Has a dog.").await;
    mark(h, &memory, Indexed::Vector).await;
    mark(h, &memory, Indexed::Nothing).await;
    for with_vectors in [true, false] {
        assert_eq!(unindexed(h, with_vectors).await, from_ref(&memory));
    }
}

async fn a_memory_with_a_pending_job_is_not_listed(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let memory = h.memory(&profile, "Has a dog.").await;
    let other = h.memory(&profile, "Likes tea.").await;
    commit!(h, user.id, jobs.enqueue(&an_index_job(&memory))).unwrap();
    assert_eq!(unindexed(h, true).await, from_ref(&other));
    let lease = h
        .queue
        .claim(at(1), Duration::from_mins(1), 1)
        .await
        .unwrap()
        .pop()
        .unwrap();
    assert_eq!(unindexed(h, true).await, [other], "it runs");
    h.queue.bury(&lease, "no model").await.unwrap();
    assert_eq!(unindexed(h, true).await.len(), 2, "nobody will run it");
}

async fn a_limit_holds_for_unindexed_memories(h: &StoreHarness) {
    let (_, profile) = h.user_with_profile().await;
    for n in 0..3 {
        h.memory(&profile, &format!("memory {n}")).await;
    }
    assert_eq!(h.maintenance.unindexed(true, 2).await.unwrap().len(), 2);
}

/// A job that was given up.
async fn buried(h: &StoreHarness, job: Job) -> JobId {
    commit!(h, job.user, jobs.enqueue(&job)).unwrap();
    let claimed = h.queue.claim(at(1), Duration::from_mins(1), 1).await;
    let lease = claimed.unwrap().pop().unwrap();
    assert_eq!(lease.job.id, job.id);
    h.queue.bury(&lease, "no index").await.unwrap();
    job.id
}

async fn forget_settled(h: &StoreHarness, with_vectors: bool) -> u64 {
    h.maintenance.forget_settled(with_vectors).await.unwrap()
}

async fn dead(h: &StoreHarness) -> Vec<JobId> {
    let dead = h.queue.dead(100).await.unwrap();
    dead.iter().map(|report| report.job.id).collect()
}

async fn dead_jobs_are_settled_when_the_index_is_as_it_should_be(h: &StoreHarness) {
    let (_, profile) = h.user_with_profile().await;
    let memory = h.memory(&profile, "Has a dog.").await;
    let job = buried(h, an_index_job(&memory)).await;
    for (held, with_vectors, settled) in [
        (Indexed::Nothing, false, 0),
        (Indexed::Words, true, 0),
        (Indexed::Words, false, 1),
    ] {
        mark(h, &memory, held).await;
        assert_eq!(dead(h).await, [job]);
        assert_eq!(forget_settled(h, with_vectors).await, settled, "{held:?}");
    }
    buried(h, an_index_job(&memory)).await;
    mark(h, &memory, Indexed::Vector).await;
    assert_eq!(forget_settled(h, true).await, 1);
    let gone = a_memory(&profile, "Has a cat.");
    buried(h, an_index_job(&gone)).await;
    assert_eq!(forget_settled(h, true).await, 1, "its memory is gone");
    let profile = profile.id();
    buried(h, a_job(memory.scope.user, JobKind::Sweep { profile })).await;
    assert_eq!(forget_settled(h, true).await, 1, "the comparison swept");
    assert!(dead(h).await.is_empty());
}

async fn the_last_of_several_dead_jobs_of_a_memory_stays(h: &StoreHarness) {
    let (_, profile) = h.user_with_profile().await;
    let memory = h.memory(&profile, "Has a dog.").await;
    let other = h.memory(&profile, "Likes tea.").await;
    buried(h, an_index_job(&memory)).await;
    let others = buried(h, an_index_job(&other)).await;
    buried(h, an_index_job(&memory)).await;
    let last = buried(h, an_index_job(&memory)).await;
    assert_eq!(forget_settled(h, true).await, 2);
    assert_eq!(dead(h).await, [last, others]);
    assert_eq!(forget_settled(h, true).await, 0);
}

async fn work_that_no_comparison_does_is_not_settled(h: &StoreHarness) {
    let (user, profile) = h.user_with_profile().await;
    let kind = JobKind::Learn {
        message: MessageId::new(fresh_id()),
        profile: profile.id(),
    };
    let learn = buried(h, a_job(user.id, kind)).await;
    let memory = h.memory(&profile, "Has a dog.").await;
    mark(h, &memory, Indexed::Vector).await;
    commit!(h, user.id, jobs.enqueue(&an_index_job(&memory))).unwrap();
    assert_eq!(forget_settled(h, true).await, 0);
    assert_eq!(dead(h).await, [learn]);
    assert_eq!(h.queue.depth().await.unwrap().pending, 1, "it may yet run");
}

async fn log_ins_that_ended_long_ago_are_removed_in_pieces(h: &StoreHarness) {
    let (ada, bob) = (h.user().await, h.user().await);
    let mut logins = Vec::new();
    for (user, ends, revoked) in [
        (&ada, 30, None),
        (&bob, 40, Some(5)),
        (&ada, 10, None),
        (&bob, 20, Some(5)),
    ] {
        let login = Login {
            expires_at: at(ends),
            revoked_at: revoked.map(at),
            ..a_login(user.id)
        };
        commit!(h, user.id, logins.add(&login)).unwrap();
        logins.push(login.id);
    }
    let remove = async |before, limit| {
        let removed = h.maintenance.remove_ended_logins(at(before), limit).await;
        removed.unwrap()
    };
    let left = async || {
        let mut left = Vec::new();
        for id in &logins {
            left.push(h.directory.login(*id).await.unwrap().is_some());
        }
        left
    };
    assert_eq!(remove(10, 9).await, 0, "that one ends just then");
    assert_eq!(remove(40, 2).await, 2);
    assert_eq!(left().await, [true, true, false, false], "the oldest first");
    assert_eq!(remove(40, 2).await, 1);
    assert_eq!(remove(40, 2).await, 0, "logged out, but not forgotten");
    assert_eq!(left().await, [false, true, false, false]);
}
