//! Log-ins and API keys.

use std::time::Duration;

use domain::account::{ApiKey, Login, Scope};
use domain::ids::{ApiKeyId, LoginId};

use super::StoreHarness;
use crate::contract::{Case, RACERS, let_others_in, race};
use crate::fixtures::{a_login, an_api_key, at, fresh_id};

pub(super) const CASES: &[Case<StoreHarness>] = cases![
    a_log_in_is_stored_whole,
    a_log_in_is_added_once,
    a_log_in_advances_one_generation,
    only_the_generation_in_force_advances,
    one_of_many_parallel_refreshes_advances,
    a_revoked_log_in_does_not_advance,
    revoking_a_log_in_twice_keeps_the_first_time,
    a_log_in_is_extended_and_never_shortened,
    nobody_else_touches_a_log_in,
    an_api_key_is_stored_whole,
    api_keys_are_listed_newest_first,
    a_revoked_key_keeps_its_first_time,
    nobody_else_touches_an_api_key,
];

async fn stored_login(h: &StoreHarness, id: LoginId) -> Option<Login> {
    h.directory
        .login(id)
        .await
        .unwrap()
        .map(|state| state.login)
}

async fn a_log_in_is_stored_whole(h: &StoreHarness) {
    let user = h.user().await;
    for revoked_at in [None, Some(at(7))] {
        let base = a_login(user.id);
        let times = (at(1), at(5000));
        let login = Login {
            generation: 3,
            created_at: times.0,
            expires_at: times.1,
            revoked_at,
            ..base
        };
        commit!(h, user.id, logins.add(&login)).unwrap();
        assert_eq!(stored_login(h, login.id).await, Some(login));
    }
}

async fn a_log_in_is_added_once(h: &StoreHarness) {
    let user = h.user().await;
    let login = a_login(user.id);
    commit!(h, user.id, logins.add(&login)).unwrap();
    assert_conflict!(commit!(h, user.id, logins.add(&login)), "row");
    assert_eq!(stored_login(h, login.id).await, Some(login));
}

async fn a_log_in_advances_one_generation(h: &StoreHarness) {
    let user = h.user().await;
    let login = a_login(user.id);
    commit!(h, user.id, logins.add(&login)).unwrap();
    assert!(commit!(h, user.id, logins.advance(login.id, 1)).unwrap());
    assert_eq!(
        stored_login(h, login.id).await,
        Some(Login {
            generation: 2,
            ..login
        })
    );
}

async fn only_the_generation_in_force_advances(h: &StoreHarness) {
    let user = h.user().await;
    let login = Login {
        generation: 5,
        ..a_login(user.id)
    };
    commit!(h, user.id, logins.add(&login)).unwrap();
    for generation in [0, 4, 6] {
        assert!(!commit!(h, user.id, logins.advance(login.id, generation)).unwrap());
    }
    let unknown = LoginId::new(fresh_id());
    assert!(!commit!(h, user.id, logins.advance(unknown, 5)).unwrap());
    assert_eq!(stored_login(h, login.id).await, Some(login));
}

async fn one_of_many_parallel_refreshes_advances(h: &StoreHarness) {
    let user = h.user().await;
    let login = a_login(user.id);
    commit!(h, user.id, logins.add(&login)).unwrap();
    let advanced = race((0..RACERS).map(|_| {
        let (store, user, login) = (h.store.clone(), user.id, login.id);
        async move {
            let mut work = store.begin(user).await.unwrap();
            let_others_in().await;
            let advanced = work.logins().advance(login, 1).await.unwrap();
            work.commit().await.unwrap();
            advanced
        }
    }))
    .await;
    assert_eq!(advanced.into_iter().filter(|won| *won).count(), 1);
    assert_eq!(
        stored_login(h, login.id).await.map(|l| l.generation),
        Some(2)
    );
}

async fn a_revoked_log_in_does_not_advance(h: &StoreHarness) {
    let user = h.user().await;
    let login = a_login(user.id);
    commit!(h, user.id, logins.add(&login)).unwrap();
    commit!(h, user.id, logins.revoke(login.id, at(7))).unwrap();
    assert!(!commit!(h, user.id, logins.advance(login.id, 1)).unwrap());
    assert_eq!(
        stored_login(h, login.id).await.map(|l| l.generation),
        Some(1)
    );
}

async fn revoking_a_log_in_twice_keeps_the_first_time(h: &StoreHarness) {
    let user = h.user().await;
    let login = a_login(user.id);
    commit!(h, user.id, logins.add(&login)).unwrap();
    commit!(h, user.id, logins.revoke(login.id, at(7))).unwrap();
    commit!(h, user.id, logins.revoke(login.id, at(8))).unwrap();
    commit!(h, user.id, logins.revoke(LoginId::new(fresh_id()), at(9))).unwrap();
    assert_eq!(
        stored_login(h, login.id).await.and_then(|l| l.revoked_at),
        Some(at(7))
    );
}

async fn a_log_in_is_extended_and_never_shortened(h: &StoreHarness) {
    let user = h.user().await;
    let login = Login {
        expires_at: at(50),
        ..a_login(user.id)
    };
    commit!(h, user.id, logins.add(&login)).unwrap();
    let ends = async || stored_login(h, login.id).await.map(|l| l.expires_at);
    for (until, expected) in [(60, 60), (55, 60), (60, 60)] {
        commit!(h, user.id, logins.extend(login.id, at(until))).unwrap();
        assert_eq!(ends().await, Some(at(expected)));
    }
    commit!(h, user.id, logins.revoke(login.id, at(7))).unwrap();
    commit!(h, user.id, logins.extend(login.id, at(70))).unwrap();
    let extended = Login {
        expires_at: at(70),
        revoked_at: Some(at(7)),
        ..login
    };
    assert_eq!(stored_login(h, login.id).await, Some(extended));
    commit!(h, user.id, logins.extend(LoginId::new(fresh_id()), at(9))).unwrap();
}

async fn nobody_else_touches_a_log_in(h: &StoreHarness) {
    let (ada, bob) = (h.user().await, h.user().await);
    let login = a_login(ada.id);
    commit!(h, ada.id, logins.add(&login)).unwrap();
    assert!(!commit!(h, bob.id, logins.advance(login.id, 1)).unwrap());
    commit!(h, bob.id, logins.revoke(login.id, at(7))).unwrap();
    let later = login.expires_at + Duration::from_secs(1);
    commit!(h, bob.id, logins.extend(login.id, later)).unwrap();
    assert_eq!(stored_login(h, login.id).await, Some(login));
}

async fn an_api_key_is_stored_whole(h: &StoreHarness) {
    let user = h.user().await;
    let plain = an_api_key(user.id);
    let rich = ApiKey {
        name: "Ключ 'x\" %_".to_owned(),
        prefix: "mc_other".to_owned(),
        scopes: Scope::ALL.to_vec(),
        created_at: at(1),
        expires_at: Some(at(99)),
        revoked_at: Some(at(50)),
        ..an_api_key(user.id)
    };
    commit!(h, user.id, api_keys.add(&plain, "hash one")).unwrap();
    commit!(h, user.id, api_keys.add(&rich, "hash two")).unwrap();
    assert_eq!(look!(h, user.id, api_keys.list()), [rich, plain]);
}

async fn api_keys_are_listed_newest_first(h: &StoreHarness) {
    let user = h.user().await;
    for (n, seconds) in [2, 1, 3].into_iter().enumerate() {
        let key = ApiKey {
            created_at: at(seconds),
            ..an_api_key(user.id)
        };
        commit!(h, user.id, api_keys.add(&key, &format!("hash {n}"))).unwrap();
    }
    let times: Vec<_> = look!(h, user.id, api_keys.list())
        .iter()
        .map(|k| k.created_at)
        .collect();
    assert_eq!(times, [at(3), at(2), at(1)]);
}

async fn a_revoked_key_keeps_its_first_time(h: &StoreHarness) {
    let user = h.user().await;
    let key = an_api_key(user.id);
    commit!(h, user.id, api_keys.add(&key, "hash")).unwrap();
    assert!(commit!(h, user.id, api_keys.revoke(key.id, at(7))).unwrap());
    assert!(commit!(h, user.id, api_keys.revoke(key.id, at(8))).unwrap());
    let unknown = ApiKeyId::new(fresh_id());
    assert!(!commit!(h, user.id, api_keys.revoke(unknown, at(7))).unwrap());
    let revoked = ApiKey {
        revoked_at: Some(at(7)),
        ..key
    };
    assert_eq!(look!(h, user.id, api_keys.list()), [revoked]);
}

async fn nobody_else_touches_an_api_key(h: &StoreHarness) {
    let (ada, bob) = (h.user().await, h.user().await);
    let key = an_api_key(ada.id);
    commit!(h, ada.id, api_keys.add(&key, "hash")).unwrap();
    assert!(look!(h, bob.id, api_keys.list()).is_empty());
    assert!(!commit!(h, bob.id, api_keys.revoke(key.id, at(7))).unwrap());
    assert_eq!(look!(h, ada.id, api_keys.list()), [key]);
}
