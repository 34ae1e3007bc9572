//! Units of work: all or nothing, seen by nobody before, walled in by their owner.

use domain::account::User;
use domain::jobs::JobKind;
use domain::page::PageRequest;
use domain::privacy::{LearnGrant, RecallGrant};
use domain::session::SessionFilter;
use domain::store::UnitOfWork;

use super::StoreHarness;
use crate::contract::{Case, RACERS, race};
use crate::fixtures::{
    a_default_profile, a_job, a_login, a_memory, a_message, a_profile, a_session, a_user,
};

pub(super) const CASES: &[Case<StoreHarness>] = cases![
    what_is_committed_is_seen,
    what_is_dropped_is_gone,
    a_unit_of_work_sees_its_own_writes,
    an_open_unit_of_work_is_seen_by_nobody,
    a_reader_sees_one_moment,
    writing_through_a_reader_leaves_no_trace,
    everything_in_a_unit_of_work_stands_or_falls_together,
    parallel_writers_all_get_through,
    a_row_cannot_be_put_into_someone_elses_account,
];

async fn what_is_committed_is_seen(h: &StoreHarness) {
    let user = a_user();
    let mut work = h.store.begin(user.id).await.unwrap();
    work.users().add(&user, None).await.unwrap();
    work.commit().await.unwrap();
    assert_eq!(look!(h, user.id, users.find()), Some(user));
}

async fn what_is_dropped_is_gone(h: &StoreHarness) {
    let user = a_user();
    let mut work = h.store.begin(user.id).await.unwrap();
    work.users().add(&user, None).await.unwrap();
    drop(work);
    assert_eq!(look!(h, user.id, users.find()), None);
    commit!(h, user.id, users.add(&user, None)).expect("the address is free again");
}

async fn a_unit_of_work_sees_its_own_writes(h: &StoreHarness) {
    let user = h.user().await;
    let profile = a_profile(user.id, "Work");
    let mut work = h.store.begin(user.id).await.unwrap();
    work.profiles().add(&profile).await.unwrap();
    let found = work.profiles().find(profile.id()).await.unwrap();
    assert_eq!(found.map(|view| view.profile), Some(profile));
}

async fn an_open_unit_of_work_is_seen_by_nobody(h: &StoreHarness) {
    let user = h.user().await;
    let profile = a_profile(user.id, "Work");
    let mut work = h.store.begin(user.id).await.unwrap();
    work.profiles().add(&profile).await.unwrap();
    assert_eq!(look!(h, user.id, profiles.find(profile.id())), None);
    work.commit().await.unwrap();
    assert!(look!(h, user.id, profiles.find(profile.id())).is_some());
}

async fn a_reader_sees_one_moment(h: &StoreHarness) {
    let user = h.user().await;
    let mut reader = h.store.read(user.id).await.unwrap();
    assert!(reader.profiles().list().await.unwrap().is_empty());
    h.profile(&user, "Work").await;
    assert!(
        reader.profiles().list().await.unwrap().is_empty(),
        "the snapshot moved"
    );
    drop(reader);
    assert_eq!(look!(h, user.id, profiles.list()).len(), 1);
}

async fn writing_through_a_reader_leaves_no_trace(h: &StoreHarness) {
    let user = h.user().await;
    let mut reader = h.store.read(user.id).await.unwrap();
    // Either call may fail; what counts is that nothing stays.
    if reader
        .profiles()
        .add(&a_profile(user.id, "Work"))
        .await
        .is_ok()
    {
        let _outcome = reader.commit().await;
    } else {
        drop(reader);
    }
    assert!(look!(h, user.id, profiles.list()).is_empty());
}

async fn everything_in_a_unit_of_work_stands_or_falls_together(h: &StoreHarness) {
    let user = h.user().await;
    let dropped = h.store.begin(user.id).await.unwrap();
    drop(fill(dropped, &user).await);
    assert_eq!(rows_of(h, &user).await, 0);
    assert_eq!(h.queue.depth().await.unwrap().pending, 0);

    let committed = h.store.begin(user.id).await.unwrap();
    fill(committed, &user).await.commit().await.unwrap();
    assert_eq!(rows_of(h, &user).await, 4);
    assert_eq!(h.queue.depth().await.unwrap().pending, 1);
}

/// Writes one row of each kind.
async fn fill(mut work: Box<dyn UnitOfWork>, user: &User) -> Box<dyn UnitOfWork> {
    let profile = a_default_profile(user.id);
    let session = a_session(user.id, Some(profile.id()));
    work.logins().add(&a_login(user.id)).await.unwrap();
    work.profiles().add(&profile).await.unwrap();
    work.sessions().add(&session).await.unwrap();
    work.messages()
        .add(&a_message(session.id, "My dog is called Rex."))
        .await
        .unwrap();
    let grant = LearnGrant::by_owner(&profile);
    work.memories()
        .add(&grant, &a_memory(&profile, "Has a dog."))
        .await
        .unwrap();
    let sweep = JobKind::Sweep {
        profile: profile.id(),
    };
    work.jobs().enqueue(&a_job(user.id, sweep)).await.unwrap();
    work
}

/// Counts profiles, sessions, messages and memories.
async fn rows_of(h: &StoreHarness, user: &User) -> usize {
    let mut work = h.store.read(user.id).await.unwrap();
    let profiles = work.profiles().list().await.unwrap();
    let page = PageRequest::first(10);
    let sessions = work
        .sessions()
        .list(SessionFilter::default(), page)
        .await
        .unwrap()
        .items;
    let mut rows = profiles.len() + sessions.len();
    for view in &sessions {
        rows += work
            .messages()
            .list(view.session.id, page)
            .await
            .unwrap()
            .items
            .len();
    }
    for view in &profiles {
        let grant = RecallGrant::by_owner(&view.profile);
        rows += work
            .memories()
            .list(&grant, page)
            .await
            .unwrap()
            .items
            .len();
    }
    rows
}

async fn parallel_writers_all_get_through(h: &StoreHarness) {
    let user = h.user().await;
    race((0..RACERS).map(|n| {
        let (store, profile) = (h.store.clone(), a_profile(user.id, &format!("profile {n}")));
        async move { crate::seed::add_profile(&*store, &profile).await }
    }))
    .await;
    assert_eq!(look!(h, user.id, profiles.list()).len(), RACERS);
}

async fn a_row_cannot_be_put_into_someone_elses_account(h: &StoreHarness) {
    let (ada, profile) = h.user_with_profile().await;
    let bob = h.user().await;
    // An implementation may refuse or ignore these; none may reach Ada.
    let _profile = commit!(h, bob.id, profiles.add(&a_profile(ada.id, "planted")));
    let session = a_session(ada.id, Some(profile.id()));
    let _session = commit!(h, bob.id, sessions.add(&session));
    let grant = LearnGrant::by_owner(&profile);
    let _memory = commit!(
        h,
        bob.id,
        memories.add(&grant, &a_memory(&profile, "planted"))
    );
    assert_eq!(rows_of(h, &ada).await, 1, "only her own profile");
}
