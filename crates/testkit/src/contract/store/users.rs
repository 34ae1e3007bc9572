//! The owner's account.

use domain::account::User;
use domain::page::PageRequest;
use domain::privacy::RecallGrant;
use domain::session::SessionFilter;

use super::StoreHarness;
use crate::contract::{Case, RACERS, let_others_in, race};
use crate::fixtures::{a_hash, a_login, a_user, an_api_key, at};

pub(super) const CASES: &[Case<StoreHarness>] = cases![
    a_user_is_stored_whole,
    an_unknown_user_is_none,
    a_taken_email_is_a_conflict,
    a_taken_id_is_a_conflict,
    parallel_sign_ups_make_one_user,
    a_user_of_another_issuer_is_adopted_once,
    an_adopted_users_address_follows_the_issuer,
    adopting_does_not_touch_an_account_of_ones_own,
    addresses_are_unique_among_own_accounts_only,
    parallel_adoptions_make_one_user,
    a_new_password_replaces_the_old_one,
    nobody_gets_no_password,
    a_removed_account_takes_everything_with_it,
    removing_an_account_leaves_the_others,
];

async fn a_user_is_stored_whole(h: &StoreHarness) {
    let user = User {
        is_active: false,
        created_at: at(1),
        updated_at: at(2),
        ..a_user()
    };
    commit!(h, user.id, users.add(&user, Some(&a_hash("one")))).unwrap();
    assert_eq!(look!(h, user.id, users.find()), Some(user));
}

async fn an_unknown_user_is_none(h: &StoreHarness) {
    h.user().await;
    assert_eq!(look!(h, a_user().id, users.find()), None);
}

async fn a_taken_email_is_a_conflict(h: &StoreHarness) {
    let ada = h.user().await;
    let other = User {
        email: ada.email.clone(),
        ..a_user()
    };
    assert_conflict!(commit!(h, other.id, users.add(&other, None)), "email");
    assert_eq!(look!(h, other.id, users.find()), None);
}

async fn a_taken_id_is_a_conflict(h: &StoreHarness) {
    let ada = h.user().await;
    let again = User {
        id: ada.id,
        ..a_user()
    };
    assert_conflict!(commit!(h, ada.id, users.add(&again, None)), "user");
    assert_eq!(look!(h, ada.id, users.find()), Some(ada));
}

async fn parallel_sign_ups_make_one_user(h: &StoreHarness) {
    let email = a_user().email;
    let outcomes = race((0..RACERS).map(|_| {
        let (store, user) = (
            h.store.clone(),
            User {
                email: email.clone(),
                ..a_user()
            },
        );
        async move {
            let mut work = store.begin(user.id).await.unwrap();
            let_others_in().await;
            let outcome = work.users().add(&user, Some(&a_hash("x"))).await;
            if outcome.is_ok() {
                work.commit().await.unwrap();
            }
            (user.id, outcome)
        }
    }))
    .await;
    let (winners, losers): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|o| o.1.is_ok());
    let credential = h.directory.credential(&email).await.unwrap().unwrap();
    assert_eq!(
        winners.iter().map(|w| w.0).collect::<Vec<_>>(),
        [credential.user]
    );
    for (_, outcome) in losers {
        assert_conflict!(outcome, "email");
    }
}

async fn a_user_of_another_issuer_is_adopted_once(h: &StoreHarness) {
    let user = a_user();
    assert!(commit!(h, user.id, users.adopt(&user, "https://issuer")).unwrap());
    assert!(!commit!(h, user.id, users.adopt(&user, "https://issuer")).unwrap());
    assert_eq!(look!(h, user.id, users.find()), Some(user.clone()));
    assert_eq!(h.directory.credential(&user.email).await.unwrap(), None);
}

async fn an_adopted_users_address_follows_the_issuer(h: &StoreHarness) {
    let user = a_user();
    commit!(h, user.id, users.adopt(&user, "https://issuer")).unwrap();
    let moved = User {
        email: a_user().email,
        is_active: false,
        created_at: at(50),
        updated_at: at(60),
        ..user.clone()
    };
    assert!(!commit!(h, user.id, users.adopt(&moved, "https://issuer")).unwrap());
    let expected = User {
        email: moved.email,
        updated_at: at(60),
        ..user
    };
    assert_eq!(look!(h, user.id, users.find()), Some(expected));
}

async fn adopting_does_not_touch_an_account_of_ones_own(h: &StoreHarness) {
    let user = h.user().await;
    let moved = User {
        email: a_user().email,
        ..user.clone()
    };
    assert!(!commit!(h, user.id, users.adopt(&moved, "https://issuer")).unwrap());
    assert_eq!(look!(h, user.id, users.find()), Some(user));
}

async fn addresses_are_unique_among_own_accounts_only(h: &StoreHarness) {
    let own = a_user();
    commit!(h, own.id, users.add(&own, Some(&a_hash("x")))).unwrap();
    for _ in 0..2 {
        let foreign = User {
            email: own.email.clone(),
            ..a_user()
        };
        assert!(commit!(h, foreign.id, users.adopt(&foreign, "https://issuer")).unwrap());
    }
    let credential = h.directory.credential(&own.email).await.unwrap();
    assert_eq!(credential.map(|found| found.user), Some(own.id));

    let (first, second) = (a_user(), a_user());
    commit!(h, first.id, users.adopt(&first, "https://issuer")).unwrap();
    let own = User {
        email: first.email.clone(),
        ..second
    };
    commit!(h, own.id, users.add(&own, None)).unwrap();
}

async fn parallel_adoptions_make_one_user(h: &StoreHarness) {
    let user = a_user();
    let added = race((0..RACERS).map(|_| {
        let (store, user) = (h.store.clone(), user.clone());
        async move {
            let mut work = store.begin(user.id).await.unwrap();
            let_others_in().await;
            let added = work.users().adopt(&user, "https://issuer").await.unwrap();
            work.commit().await.unwrap();
            added
        }
    }))
    .await;
    assert_eq!(added.into_iter().filter(|won| *won).count(), 1);
}

async fn a_new_password_replaces_the_old_one(h: &StoreHarness) {
    let user = a_user();
    commit!(h, user.id, users.add(&user, Some(&a_hash("old")))).unwrap();
    assert!(commit!(h, user.id, users.set_password(&a_hash("new"), at(9))).unwrap());
    let credential = h.directory.credential(&user.email).await.unwrap().unwrap();
    assert_eq!(credential.hash, a_hash("new"));
    assert_eq!(
        look!(h, user.id, users.find()),
        Some(User {
            updated_at: at(9),
            ..user
        })
    );
}

async fn nobody_gets_no_password(h: &StoreHarness) {
    h.user().await;
    assert!(!commit!(h, a_user().id, users.set_password(&a_hash("new"), at(9))).unwrap());
}

async fn a_removed_account_takes_everything_with_it(h: &StoreHarness) {
    let (ada, profile) = h.user_with_profile().await;
    let session = h.session(&ada, Some(profile.id())).await;
    let message = h.message(&session, "My dog is called Rex.").await;
    let memory = h.memory(&profile, "Has a dog.").await;
    let (login, key) = (a_login(ada.id), an_api_key(ada.id));
    commit!(h, ada.id, logins.add(&login)).unwrap();
    commit!(h, ada.id, api_keys.add(&key, "hash")).unwrap();

    assert!(commit!(h, ada.id, users.remove()).unwrap());

    let page = PageRequest::first(10);
    let grant = RecallGrant::by_owner(&profile);
    assert_eq!(look!(h, ada.id, users.find()), None);
    assert!(look!(h, ada.id, profiles.list()).is_empty());
    assert!(
        look!(h, ada.id, sessions.list(SessionFilter::default(), page))
            .items
            .is_empty()
    );
    assert_eq!(look!(h, ada.id, messages.find(message.id)), None);
    assert!(look!(h, ada.id, memories.find(&grant, &[memory.id])).is_empty());
    assert!(look!(h, ada.id, api_keys.list()).is_empty());
    assert_eq!(h.directory.login(login.id).await.unwrap(), None);
    assert_eq!(h.directory.api_key("hash").await.unwrap(), None);
    assert!(!commit!(h, ada.id, users.remove()).unwrap(), "gone already");
}

async fn removing_an_account_leaves_the_others(h: &StoreHarness) {
    let ada = h.user().await;
    let (bob, profile) = h.user_with_profile().await;
    let memory = h.memory(&profile, "Has a dog.").await;
    commit!(h, ada.id, users.remove()).unwrap();
    let grant = RecallGrant::by_owner(&profile);
    assert_eq!(look!(h, bob.id, users.find()), Some(bob.clone()));
    assert_eq!(
        look!(h, bob.id, memories.find(&grant, &[memory.id])),
        [memory]
    );
}
