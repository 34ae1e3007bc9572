//! Users whom another issuer vouches for.

use std::sync::Arc;

use domain::account::{
    AccountDirectory, AccountError, ENDED_LOGINS_KEPT, ForeignAccounts, ForeignLogin,
};
use domain::jobs::Maintenance;
use domain::store::Store;
use testkit::fakes::{FixedClock, InMemoryStore, SequentialIds};
use testkit::fixtures::{a_user, at, fresh_id};

struct Rows {
    store: InMemoryStore,
    accounts: Arc<ForeignAccounts>,
}

fn accounts_on(store: &InMemoryStore) -> Arc<ForeignAccounts> {
    Arc::new(ForeignAccounts::new(
        Arc::new(store.clone()),
        Arc::new(store.clone()),
        Arc::new(FixedClock::default()),
        Arc::new(SequentialIds::default()),
    ))
}

fn rows() -> Rows {
    let store = InMemoryStore::new();
    let accounts = accounts_on(&store);
    Rows { store, accounts }
}

fn a_foreign_login() -> ForeignLogin {
    ForeignLogin {
        issuer: "https://issuer/auth/v1".to_owned(),
        subject: fresh_id(),
        session: fresh_id(),
        email: Some(a_user().email),
        expires_at: at(3600),
    }
}

#[tokio::test]
async fn the_first_token_makes_the_row_and_a_default_profile() {
    let rows = rows();
    let login = a_foreign_login();
    let identity = rows.accounts.admit(&login).await.unwrap();
    assert_eq!(
        (identity.user, identity.login),
        (login.user(), login.login())
    );
    let user = rows.accounts.user(&identity).await.unwrap();
    assert_eq!(Some(user.email), login.email);
    let mut work = rows.store.read(identity.user).await.unwrap();
    let profiles = work.profiles().list().await.unwrap();
    assert_eq!(profiles.len(), 1);
    assert!(profiles[0].profile.is_default());
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_first_requests_make_one_user_with_one_profile() {
    let rows = rows();
    let login = a_foreign_login();
    let requests: Vec<_> = (0..20)
        .map(|n| {
            // Half of them come to another process.
            let accounts = if n % 2 == 0 {
                Arc::clone(&rows.accounts)
            } else {
                accounts_on(&rows.store)
            };
            let login = login.clone();
            async move { accounts.admit(&login).await }
        })
        .collect();
    for admitted in futures::future::join_all(requests).await {
        assert_eq!(admitted.unwrap().user, login.user());
    }
    let mut work = rows.store.read(login.user()).await.unwrap();
    assert_eq!(work.profiles().list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_person_is_known_by_issuer_and_subject_together() {
    let login = a_foreign_login();
    let elsewhere = ForeignLogin {
        issuer: "https://other/auth/v1".to_owned(),
        ..login.clone()
    };
    assert_ne!(login.user(), elsewhere.user());
    assert_ne!(login.login(), elsewhere.login());
    let same = ForeignLogin {
        session: fresh_id(),
        email: None,
        ..login.clone()
    };
    assert_eq!(login.user(), same.user());
}

#[tokio::test]
async fn the_address_follows_the_token_and_may_belong_to_two() {
    let rows = rows();
    let login = a_foreign_login();
    rows.accounts.admit(&login).await.unwrap();
    let moved = ForeignLogin {
        email: Some(a_user().email),
        ..login.clone()
    };
    let identity = rows.accounts.admit(&moved).await.unwrap();
    let user = rows.accounts.user(&identity).await.unwrap();
    assert_eq!(Some(user.email), moved.email);

    // Registered again elsewhere, under a new subject, while the old row still has it.
    let again = ForeignLogin {
        subject: fresh_id(),
        session: fresh_id(),
        ..moved.clone()
    };
    let second = rows.accounts.admit(&again).await.unwrap();
    assert_ne!(second.user, identity.user);
}

#[tokio::test]
async fn a_person_without_an_address_gets_one_that_reaches_nobody() {
    let rows = rows();
    let login = ForeignLogin {
        email: None,
        ..a_foreign_login()
    };
    let identity = rows.accounts.admit(&login).await.unwrap();
    let user = rows.accounts.user(&identity).await.unwrap();
    let expected = format!("{}@no-address.invalid", login.subject);
    assert_eq!(user.email.as_str(), expected);
}

#[tokio::test]
async fn a_log_in_that_was_ended_here_stays_ended_everywhere() {
    let rows = rows();
    let login = a_foreign_login();
    let identity = rows.accounts.admit(&login).await.unwrap();
    let elsewhere = accounts_on(&rows.store);
    elsewhere.admit(&login).await.unwrap();
    rows.accounts.end(&identity).await.unwrap();
    rows.accounts.end(&identity).await.unwrap();
    for accounts in [&rows.accounts, &elsewhere] {
        let refused = accounts.admit(&login).await;
        assert!(matches!(refused, Err(AccountError::BadToken)));
    }
    let another = ForeignLogin {
        session: fresh_id(),
        ..login
    };
    assert!(rows.accounts.admit(&another).await.is_ok());
}

#[tokio::test]
async fn somebody_elses_log_in_is_no_proof() {
    let rows = rows();
    let login = a_foreign_login();
    rows.accounts.admit(&login).await.unwrap();
    let stolen = ForeignLogin {
        subject: fresh_id(),
        ..login
    };
    let refused = rows.accounts.admit(&stolen).await;
    assert!(matches!(refused, Err(AccountError::BadToken)));
}

#[tokio::test]
async fn the_row_of_a_log_in_follows_its_tokens_and_has_an_end() {
    let rows = rows();
    let login = a_foreign_login();
    let id = rows.accounts.admit(&login).await.unwrap().login;
    let ends = async || {
        let state = rows.store.login(id).await.unwrap().unwrap();
        state.login.expires_at
    };
    let first = ends().await;
    assert!(first > login.expires_at && first < at(3 * 24 * 3600));
    for expires_at in [at(7200), at(10)] {
        let next = ForeignLogin {
            expires_at,
            ..login.clone()
        };
        rows.accounts.admit(&next).await.unwrap();
        assert_eq!(ends().await, first, "it is written once a day at most");
    }
    // A session that was idle for long, and whose row may be removed any moment, goes on.
    let late = ForeignLogin {
        expires_at: at(300 * 24 * 3600),
        ..login.clone()
    };
    rows.accounts.admit(&late).await.unwrap();
    assert!(ends().await > late.expires_at);
}

#[tokio::test]
async fn that_a_log_in_was_ended_is_remembered_while_tokens_of_it_turn_up() {
    let rows = rows();
    let login = a_foreign_login();
    let identity = rows.accounts.admit(&login).await.unwrap();
    rows.accounts.end(&identity).await.unwrap();
    // The issuer was not told, and goes on to give out tokens.
    let day = 24 * 3600;
    for n in 1..=4 {
        let token = ForeignLogin {
            expires_at: at(n * 80 * day),
            ..login.clone()
        };
        let refused = rows.accounts.admit(&token).await;
        assert!(matches!(refused, Err(AccountError::BadToken)));
        let before = token.expires_at + time::Duration::DAY * 10 - ENDED_LOGINS_KEPT;
        let removed = rows.store.remove_ended_logins(before, 10).await.unwrap();
        assert_eq!(removed, 0);
    }
    let before = at(4 * 80 * day + 2 * day);
    assert_eq!(rows.store.remove_ended_logins(before, 10).await.unwrap(), 1);
}
