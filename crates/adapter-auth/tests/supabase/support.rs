//! A provider over the stand-in and a store in memory.

use std::sync::Arc;
use std::time::Duration;

use adapter_auth::{JwtAuthority, JwtConfig, SigningSecret, SupabaseConfig, SupabaseIdentity};
use domain::account::{
    AccountError, Email, ForeignAccounts, Identity, IdentityProvider, LocalIdentity,
    LocalIdentityConfig, Password, SignUp, SignedIn,
};
use domain::clock::Clock;
use domain::error::{Classify, ErrorKind};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use testkit::fakes::{FixedClock, InMemoryStore, PlainHasher, SequentialIds};
use testkit::fixtures::{a_user, fresh_id};
use testkit::supabase::keys::part;
use testkit::supabase::{Config, Supabase};

pub(crate) const PASSWORD: &str = "correct horse battery";

/// All that a test looks at.
pub(crate) struct World {
    pub(crate) upstream: Supabase,
    pub(crate) identity: Arc<SupabaseIdentity>,
    pub(crate) local: Arc<LocalIdentity>,
    pub(crate) store: Arc<InMemoryStore>,
    pub(crate) clock: Arc<FixedClock>,
}

/// A project, and a provider on it, that differ from the others as said.
pub(crate) async fn world_with(
    set_up: impl FnOnce(&mut Config),
    settle: impl FnOnce(&mut SupabaseConfig),
) -> World {
    let clock = Arc::new(FixedClock::default());
    let mut config = Config::new(clock.clone());
    set_up(&mut config);
    let upstream = Supabase::start(config).await;
    let mut settings = SupabaseConfig {
        url: upstream.url().to_owned(),
        auth_path: "/auth/v1".to_owned(),
        issuer: None,
        key: upstream.publishable_key().into(),
        service_key: None,
        jwt_secret: None,
        allow_anonymous: false,
        check_sessions: false,
    };
    settle(&mut settings);
    let store = Arc::new(InMemoryStore::new());
    let ids = Arc::new(SequentialIds::default());
    let accounts = ForeignAccounts::new(store.clone(), store.clone(), clock.clone(), ids.clone());
    let secret = SigningSecret::from_setting("kq3V-9sLx0_TzM7bWcJ4hRy8GdNf2PaE").unwrap();
    let local = Arc::new(LocalIdentity::new(
        store.clone(),
        store.clone(),
        Arc::new(PlainHasher::default()),
        Arc::new(JwtAuthority::new(&secret, JwtConfig::default())),
        clock.clone(),
        ids,
        LocalIdentityConfig::default(),
    ));
    let shared_clock: Arc<dyn Clock> = clock.clone();
    let identity =
        SupabaseIdentity::new(&settings, accounts, &shared_clock, local.clone()).unwrap();
    World {
        upstream,
        identity: Arc::new(identity),
        local,
        store,
        clock,
    }
}

pub(crate) async fn world() -> World {
    world_with(|_| {}, |_| {}).await
}

pub(crate) fn password() -> Password {
    Password::choose(PASSWORD.to_owned()).unwrap()
}

/// Somebody who signed up here.
pub(crate) async fn signed_up(world: &World) -> SignedIn {
    let email = a_user().email;
    match world
        .identity
        .sign_up(&email, &password(), None)
        .await
        .unwrap()
    {
        SignUp::Done(signed_in) => *signed_in,
        SignUp::ConfirmationSent => panic!("no confirmation was asked for"),
    }
}

impl World {
    /// A session that the web client opened with the project itself.
    pub(crate) fn visitor(&self) -> Value {
        self.upstream.visitor(a_user().email.as_str())
    }

    /// Waits until so many calls to this path have come in.
    pub(crate) async fn is_asked(&self, path: &str, times: usize) {
        for _ in 0..1000 {
            if self.upstream.count(path) >= times {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{path} is not asked {times} times");
    }

    /// `signOut` of the web client, at the project itself.
    pub(crate) async fn sign_out_elsewhere(&self, token: &str, scope: &str) {
        let path = format!("/logout?scope={scope}");
        let request = self.elsewhere(Method::POST, &path).bearer_auth(token);
        let status = request.send().await.unwrap().status();
        assert_eq!(status.as_u16(), 204);
    }

    /// `updateUser` with a new password, likewise.
    pub(crate) async fn change_password_elsewhere(&self, token: &str) {
        let request = self.elsewhere(Method::PUT, "/user").bearer_auth(token);
        let request = request.json(&json!({"password": "another horse battery"}));
        assert!(request.send().await.unwrap().status().is_success());
    }

    /// One more session of somebody who has one.
    pub(crate) async fn log_in_elsewhere(&self, email: &Email) -> Value {
        let body = json!({"email": email.as_str(), "password": PASSWORD});
        let request = self.elsewhere(Method::POST, "/token?grant_type=password");
        request
            .json(&body)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    fn elsewhere(&self, method: Method, path: &str) -> RequestBuilder {
        let address = format!("{}/auth/v1{path}", self.upstream.url());
        let request = reqwest::Client::new().request(method, address);
        request.header("apikey", self.upstream.publishable_key())
    }

    pub(crate) async fn who(&self, token: &str) -> Result<Identity, AccountError> {
        self.identity.authenticate(token).await
    }

    /// What a good token would say at this moment.
    pub(crate) fn claims(&self) -> Value {
        let now = self.clock.now().unix_timestamp();
        json!({
            "iss": self.upstream.issuer(),
            "aud": "authenticated",
            "role": "authenticated",
            "sub": fresh_id(),
            "session_id": fresh_id(),
            "iat": now,
            "exp": now + 3600,
            "email": a_user().email.as_str(),
        })
    }

    /// The header of the key that signs.
    pub(crate) fn header(&self) -> Value {
        part(&access(&self.visitor()), 0).unwrap()
    }

    /// A token with these claims, rightly signed.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = self.header().to_string();
        self.upstream.forge(&header, &claims.to_string())
    }
}

pub(crate) fn access(session: &Value) -> String {
    session["access_token"].as_str().unwrap().to_owned()
}

pub(crate) fn refresh(session: &Value) -> String {
    session["refresh_token"].as_str().unwrap().to_owned()
}

#[track_caller]
pub(crate) fn is_bad_token<T>(outcome: Result<T, AccountError>, what: &str) {
    match outcome {
        Err(AccountError::BadToken) => {}
        Err(other) => panic!("{what}: expected a bad token, got: {other}"),
        Ok(_) => panic!("{what}: is accepted"),
    }
}

#[track_caller]
pub(crate) fn is_unavailable<T>(outcome: Result<T, AccountError>, what: &str) {
    match outcome {
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{what}: {error}");
            assert!(error.retry_after().is_some(), "{what}");
        }
        Ok(_) => panic!("{what}: is accepted"),
    }
}
