//! The contract of [`AccountDirectory`](domain::account::AccountDirectory): it shows what is committed
//! now, of whoever is asked for.

use std::future::Future;

use domain::account::{ApiKey, Credential, LoginState, User};
use domain::ids::LoginId;

use super::Case;
use super::store::StoreHarness;
use crate::fixtures::{a_hash, a_login, a_user, an_api_key, at, fresh_id};

const CASES: &[Case<StoreHarness>] = cases![
    a_credential_is_found_by_its_address,
    an_account_without_password_has_no_credential,
    an_inactive_account_says_so,
    a_log_in_is_found_with_the_state_of_its_user,
    an_api_key_is_found_by_its_hash,
    a_revoked_key_is_found_revoked,
    a_key_of_an_inactive_account_is_not_found,
    what_is_not_committed_does_not_exist,
];

/// Checks a directory; `fresh` makes an empty database for each case.
pub async fn check<Fut: Future<Output = StoreHarness>>(fresh: impl Fn() -> Fut) {
    super::run("account directory", CASES, fresh).await;
}

async fn add(h: &StoreHarness, user: &User) {
    commit!(h, user.id, users.add(user, Some(&a_hash("secret")))).unwrap();
}

async fn a_credential_is_found_by_its_address(h: &StoreHarness) {
    let (ada, bob) = (a_user(), a_user());
    add(h, &ada).await;
    add(h, &bob).await;
    let expected = Credential {
        user: ada.id,
        hash: a_hash("secret"),
        is_active: true,
    };
    assert_eq!(
        h.directory.credential(&ada.email).await.unwrap(),
        Some(expected)
    );
    assert_eq!(h.directory.credential(&a_user().email).await.unwrap(), None);
}

async fn an_account_without_password_has_no_credential(h: &StoreHarness) {
    let user = h.user().await;
    assert_eq!(h.directory.credential(&user.email).await.unwrap(), None);
}

async fn an_inactive_account_says_so(h: &StoreHarness) {
    let user = User {
        is_active: false,
        ..a_user()
    };
    add(h, &user).await;
    let login = a_login(user.id);
    commit!(h, user.id, logins.add(&login)).unwrap();
    let credential = h.directory.credential(&user.email).await.unwrap().unwrap();
    assert!(!credential.is_active);
    let state = LoginState {
        login: login.clone(),
        user_is_active: false,
    };
    assert_eq!(h.directory.login(login.id).await.unwrap(), Some(state));
}

async fn a_log_in_is_found_with_the_state_of_its_user(h: &StoreHarness) {
    let user = h.user().await;
    let login = a_login(user.id);
    commit!(h, user.id, logins.add(&login)).unwrap();
    let state = LoginState {
        login: login.clone(),
        user_is_active: true,
    };
    assert_eq!(h.directory.login(login.id).await.unwrap(), Some(state));
    assert_eq!(
        h.directory.login(LoginId::new(fresh_id())).await.unwrap(),
        None
    );
}

async fn an_api_key_is_found_by_its_hash(h: &StoreHarness) {
    let user = h.user().await;
    let key = ApiKey {
        expires_at: Some(at(99)),
        ..an_api_key(user.id)
    };
    commit!(h, user.id, api_keys.add(&key, "one hash")).unwrap();
    commit!(
        h,
        user.id,
        api_keys.add(&an_api_key(user.id), "another hash")
    )
    .unwrap();
    assert_eq!(h.directory.api_key("one hash").await.unwrap(), Some(key));
    for unknown in ["", "one", "ONE HASH", "one hash "] {
        assert_eq!(
            h.directory.api_key(unknown).await.unwrap(),
            None,
            "{unknown:?}"
        );
    }
}

async fn a_revoked_key_is_found_revoked(h: &StoreHarness) {
    let user = h.user().await;
    let key = an_api_key(user.id);
    commit!(h, user.id, api_keys.add(&key, "hash")).unwrap();
    commit!(h, user.id, api_keys.revoke(key.id, at(7))).unwrap();
    let revoked = ApiKey {
        revoked_at: Some(at(7)),
        ..key
    };
    assert_eq!(h.directory.api_key("hash").await.unwrap(), Some(revoked));
}

async fn a_key_of_an_inactive_account_is_not_found(h: &StoreHarness) {
    let user = User {
        is_active: false,
        ..a_user()
    };
    add(h, &user).await;
    commit!(h, user.id, api_keys.add(&an_api_key(user.id), "hash")).unwrap();
    assert_eq!(h.directory.api_key("hash").await.unwrap(), None);
}

async fn what_is_not_committed_does_not_exist(h: &StoreHarness) {
    let user = a_user();
    let login = a_login(user.id);
    let mut work = h.store.begin(user.id).await.unwrap();
    work.users()
        .add(&user, Some(&a_hash("secret")))
        .await
        .unwrap();
    work.logins().add(&login).await.unwrap();
    assert_eq!(h.directory.credential(&user.email).await.unwrap(), None);
    assert_eq!(h.directory.login(login.id).await.unwrap(), None);
    work.commit().await.unwrap();
    assert!(h.directory.credential(&user.email).await.unwrap().is_some());
    assert!(h.directory.login(login.id).await.unwrap().is_some());
}
