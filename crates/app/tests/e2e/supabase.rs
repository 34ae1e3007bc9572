//! Accounts kept by Supabase Auth, with the stand-in behind the real program.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::servers::Postgres;
use testkit::supabase::keys::{SigningKey, part};
use testkit::supabase::{Config, Fault, KeyState, Supabase, WallClock};

use crate::harness::{Answer, Caller, Server, command, id};

const PASSWORD: &str = "correct horse battery";
const ME: &str = "/api/v1/auth/me";
const LOGIN: &str = "/api/v1/auth/login";

async fn project() -> Supabase {
    Supabase::start(Config::new(Arc::new(WallClock))).await
}

/// The program on this project, with further settings.
async fn server(project: &Supabase, more: &[(&str, &str)]) -> Server {
    let mut settings = vec![
        ("SUPABASE_URL", project.url()),
        ("SUPABASE_KEY", project.publishable_key()),
        ("MEMORYCHAT_MODELS_PULL", "false"),
    ];
    settings.extend(more);
    Server::start(&settings).await
}

fn credentials(name: &str, password: &str) -> Value {
    json!({"email": format!("{name}@example.org"), "password": password})
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

impl Caller {
    /// The same caller with this access token.
    fn with(&self, token: &Value) -> Self {
        Self {
            token: Some(text(token)),
            ..self.clone()
        }
    }

    async fn log_in(&self, name: &str) -> Answer {
        self.post(LOGIN, &credentials(name, PASSWORD)).await
    }

    async fn refresh(&self, token: &Value) -> Answer {
        let body = json!({"refresh_token": token});
        self.post("/api/v1/auth/refresh", &body).await
    }
}

#[tokio::test]
async fn the_contract_stays_as_it_is() {
    let project = project().await;
    let server = server(&project, &[("LOG_LEVEL", "trace")]).await;
    let anyone = server.anonymous();
    let body = credentials("Ada", PASSWORD);
    let made = anyone.post("/api/v1/auth/signup", &body).await;
    let made = made.expect(StatusCode::CREATED);
    assert_eq!(made["token_type"], "bearer");
    assert_eq!(made["expires_in"], 3600);
    assert_eq!(made["user"]["email"], "ada@example.org");

    let ada = anyone.with(&made["access_token"]);
    assert_eq!(ada.get(ME).await.expect(StatusCode::OK), made["user"]);
    let profiles = ada.get("/api/v1/memory-profiles").await;
    let profiles = profiles.expect(StatusCode::OK);
    assert_eq!(profiles.as_array().map(Vec::len), Some(1));
    assert_eq!(profiles[0]["name"], "Default");
    let taken = anyone.post("/api/v1/auth/signup", &body).await;
    taken.is_problem(409, "email_taken");

    let wrong = credentials("ada", "wrong horse battery");
    let wrong = anyone.post(LOGIN, &wrong).await;
    wrong.is_problem(401, "invalid_credentials");
    let unknown = anyone.post(LOGIN, &credentials("bob", PASSWORD)).await;
    unknown.is_problem(401, "invalid_credentials");
    assert_eq!(wrong.json()["detail"], unknown.json()["detail"]);

    let opened = anyone.log_in("ada").await.expect(StatusCode::OK);
    assert_eq!(opened["user"], made["user"]);
    let next = anyone.refresh(&opened["refresh_token"]).await;
    let next = next.expect(StatusCode::OK);
    assert_ne!(next["refresh_token"], opened["refresh_token"]);
    let session = ada.session("normal").await;
    assert_eq!(session.len(), 36);

    // No credential passes for one of another kind.
    let secret = json!(project.secret_key());
    let publishable = json!(project.publishable_key());
    for other in [&next["refresh_token"], &publishable, &secret] {
        let refused = anyone.with(other).get(ME).await;
        refused.is_problem(401, "invalid_token");
    }
    for other in [&next["access_token"], &publishable, &secret] {
        let refused = anyone.refresh(other).await;
        refused.is_problem(401, "invalid_token");
    }

    let log = String::from_utf8_lossy(&server.log()).into_owned();
    assert!(log.contains("auth/login"), "the log is a trace");
    for secret in [
        PASSWORD,
        "wrong horse battery",
        &text(&made["access_token"]),
        &text(&opened["refresh_token"]),
        &text(&next["refresh_token"]),
        "ada@example.org",
        project.publishable_key(),
    ] {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
}

#[tokio::test]
async fn with_confirmation_a_sign_up_answers_202_to_everybody() {
    let project = Supabase::start(Config {
        confirm_email: true,
        ..Config::new(Arc::new(WallClock))
    })
    .await;
    let server = server(&project, &[]).await;
    let anyone = server.anonymous();
    let mut bodies = HashSet::new();
    for password in [PASSWORD, "somebody else's"] {
        let body = credentials("ada", password);
        let answer = anyone.post("/api/v1/auth/signup", &body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
        assert!(answer.json()["message"].is_string());
        bodies.insert(answer.text);
        project.confirm("ada@example.org");
    }
    assert_eq!(bodies.len(), 1, "known and unknown addresses look alike");
    let opened = anyone.log_in("ada").await.expect(StatusCode::OK);
    assert_eq!(opened["user"]["email"], "ada@example.org");

    let body = credentials("bob", PASSWORD);
    anyone.post("/api/v1/auth/signup", &body).await;
    let early = anyone.log_in("bob").await;
    early.is_problem(403, "email_not_confirmed");
}

#[tokio::test]
async fn a_token_is_dead_at_once_after_log_out_although_alive_upstream() {
    let project = project().await;
    let server = server(&project, &[]).await;
    let anyone = server.anonymous();
    let session = project.visitor("ada@example.org");
    let ada = anyone.with(&session["access_token"]);
    ada.get(ME).await.expect_ok();
    // Upstream does not hear of it.
    project.fault("/logout", Fault::Down);
    ada.post("/api/v1/auth/logout", &json!({}))
        .await
        .expect_ok();
    project.heal();
    ada.get(ME).await.is_problem(401, "invalid_token");
    let refreshed = anyone.refresh(&session["refresh_token"]).await;
    refreshed.is_problem(401, "invalid_token");
    let claims = part(&text(&session["access_token"]), 1).expect("claims");
    let upstream = text(&claims["session_id"]).parse().expect("an id");
    assert!(project.has_session(upstream));
    // Another log-in of the same person is not touched.
    let again = anyone.log_in("ada").await.expect(StatusCode::OK);
    anyone
        .with(&again["access_token"])
        .get(ME)
        .await
        .expect_ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_signed_up_elsewhere_is_let_in_once() {
    let project = project().await;
    let server = server(&project, &[]).await;
    let session = project.visitor("ada@example.org");
    let ada = server.anonymous().with(&session["access_token"]);
    let first: tokio::task::JoinSet<Value> = (0..20)
        .map(|_| {
            let ada = ada.clone();
            async move { ada.get(ME).await.expect(StatusCode::OK) }
        })
        .collect();
    let ids: HashSet<String> = first.join_all().await.iter().map(id).collect();
    assert_eq!(ids.len(), 1);
    let profiles = ada.get("/api/v1/memory-profiles").await;
    let profiles = profiles.expect(StatusCode::OK);
    assert_eq!(profiles.as_array().map(Vec::len), Some(1));
    // The same person, logging in here.
    let opened = server.anonymous().log_in("ada").await;
    let opened = opened.expect(StatusCode::OK);
    assert!(ids.contains(&id(&opened["user"])));
    // An anonymous visitor is somebody, but not let in.
    let nobody = project.anonymous();
    let nobody = server.anonymous().with(&nobody["access_token"]);
    nobody.get(ME).await.is_problem(403, "anonymous_user");
}

#[tokio::test]
async fn keys_rotate_without_a_restart() {
    let project = project().await;
    let next = SigningKey::rs256();
    let kid = next.kid().to_owned();
    project.add_key(next, KeyState::Standby);
    let server = server(&project, &[]).await;
    let anyone = server.anonymous();
    let before = anyone.with(&project.visitor("ada@example.org")["access_token"]);
    before.get(ME).await.expect_ok();
    project.set_key(&kid, KeyState::InUse);
    let after = anyone.with(&project.visitor("bob@example.org")["access_token"]);
    after.get(ME).await.expect_ok();
    before.get(ME).await.expect_ok();
    // A key that nobody published.
    project.add_key(SigningKey::es256(), KeyState::InUse);
    project.set_key(&project.kid(), KeyState::Revoked);
    let stranger = SigningKey::es256();
    let claims = part(after.token.as_deref().expect("a token"), 1).expect("claims");
    let forged = anyone.with(&json!(stranger.token(&claims)));
    forged.get(ME).await.is_problem(401, "invalid_token");
    let fetched = project.count("/.well-known/jwks.json");
    assert!(fetched <= 2, "{fetched} fetches");
}

impl Server {
    /// SIGHUP, and waits until it was heard for the nth time.
    async fn forget(&self, nth: usize) {
        self.signal("-HUP");
        for _ in 0..200 {
            let log = String::from_utf8_lossy(&self.log()).into_owned();
            if log.lines().filter(|line| line.contains("SIGHUP")).count() == nth {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no line about the signal");
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_after_a_signal() {
    let project = project().await;
    let mut server = server(&project, &[]).await;
    let anyone = server.anonymous();
    let ada = anyone.with(&project.visitor("ada@example.org")["access_token"]);
    ada.get(ME).await.expect_ok();
    let old = project.kid();
    project.add_key(SigningKey::es256(), KeyState::InUse);
    project.set_key(&old, KeyState::Revoked);
    ada.get(ME).await.expect_ok();
    server.forget(1).await;
    ada.get(ME).await.is_problem(401, "invalid_token");
    let bob = anyone.with(&project.visitor("bob@example.org")["access_token"]);
    bob.get(ME).await.expect_ok();
    // With nobody to ask for keys, nobody is let in, and nobody logged out.
    project.fault("/", Fault::Down);
    server.forget(2).await;
    for caller in [&ada, &bob] {
        let refused = caller.get(ME).await;
        refused.is_problem(503, "identity_unavailable");
        assert!(refused.headers.contains_key("retry-after"));
    }
    project.heal();
    server.forget(3).await;
    bob.get(ME).await.expect_ok();
    ada.get(ME).await.is_problem(401, "invalid_token");
    assert!(server.stop(), "it still ends as it should");
}

#[tokio::test]
async fn a_session_that_ended_at_the_project_ends_here_where_that_is_asked_for() {
    let project = project().await;
    let checks = [("SUPABASE_CHECK_SESSIONS", "true")];
    let (asking, trusting) = (server(&project, &checks).await, server(&project, &[]).await);
    let token = &project.visitor("ada@example.org")["access_token"];
    let (here, there) = (
        asking.anonymous().with(token),
        trusting.anonymous().with(token),
    );
    here.get(ME).await.expect_ok();
    there.get(ME).await.expect_ok();
    let out = reqwest::Client::new()
        .post(format!("{}/logout", project.issuer()))
        .header("apikey", project.publishable_key())
        .bearer_auth(text(token));
    let out = out.send().await.expect("an answer");
    assert_eq!(out.status(), StatusCode::NO_CONTENT);
    // What was said before is believed for a minute, unless it is to be forgotten.
    here.get(ME).await.expect_ok();
    asking.forget(1).await;
    here.get(ME).await.is_problem(401, "invalid_token");
    trusting.forget(1).await;
    there.get(ME).await.expect_ok();
    assert_eq!(project.count("/user"), 2);
}

#[tokio::test]
async fn a_service_of_ones_own_may_name_another_issuer() {
    let project = Supabase::start(Config {
        path: "",
        issuer: Some("https://auth.example.org"),
        ..Config::new(Arc::new(WallClock))
    })
    .await;
    let mut more = vec![("SUPABASE_AUTH_PATH", "/")];
    let default = server(&project, &more).await;
    more.push(("SUPABASE_ISSUER", "https://auth.example.org"));
    let set = server(&project, &more).await;
    let visitor = project.visitor("ada@example.org");
    let ada = set.anonymous().with(&visitor["access_token"]);
    ada.get(ME).await.expect_ok();
    set.anonymous().log_in("ada").await.expect_ok();
    let stranger = default.anonymous().with(&visitor["access_token"]);
    stranger.get(ME).await.is_problem(401, "invalid_token");
}

#[tokio::test]
async fn while_supabase_is_away_whoever_is_in_stays_in() {
    let project = project().await;
    let server = server(&project, &[]).await;
    let anyone = server.anonymous();
    let session = project.visitor("ada@example.org");
    let ada = anyone.with(&session["access_token"]);
    ada.get(ME).await.expect_ok();
    let body = json!({"name": "export", "scopes": ["read"]});
    let key = ada.post("/api/v1/api-keys", &body).await;
    let key = text(&key.expect(StatusCode::CREATED)["api_key"]);
    let service = anyone.with(&json!(key));

    let slow = Fault::Slow(Duration::from_secs(10));
    for fault in [Fault::Down, Fault::BadGateway, slow] {
        project.fault("/", fault);
        let begun = std::time::Instant::now();
        let (body, unknown) = (credentials("bob", PASSWORD), json!("abcdefabcdef"));
        let (opened, made, refreshed) = tokio::join!(
            anyone.log_in("ada"),
            anyone.post("/api/v1/auth/signup", &body),
            anyone.refresh(&unknown),
        );
        for refused in [opened, made, refreshed] {
            refused.is_problem(503, "identity_unavailable");
            assert!(refused.headers.contains_key("retry-after"));
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{fault:?}");
        ada.get(ME).await.expect_ok();
        service.get(ME).await.expect_ok();
        ada.get("/readyz").await.expect_ok();
    }
    let wrong = anyone.post(LOGIN, &credentials("ada", "wrong")).await;
    wrong.is_problem(503, "identity_unavailable");
    project.heal();
    anyone.log_in("ada").await.expect_ok();
    // The answer of a refresh is lost on the way.
    project.fault("/token", Fault::CutAfter);
    let lost = anyone.refresh(&session["refresh_token"]).await;
    lost.is_problem(503, "identity_unavailable");
    project.heal();
    let next = anyone.refresh(&session["refresh_token"]).await;
    let next = next.expect(StatusCode::OK);
    anyone.refresh(&next["refresh_token"]).await.expect_ok();
}

#[tokio::test]
async fn limits_upstream_are_counted_per_person_with_a_secret_key() {
    let project = Supabase::start(Config {
        attempts: Some(3),
        ..Config::new(Arc::new(WallClock))
    })
    .await;
    let more = [
        ("SUPABASE_SERVICE_KEY", project.secret_key()),
        ("MEMORYCHAT_TRUSTED_PROXIES", "127.0.0.1"),
    ];
    let server = server(&project, &more).await;
    let anyone = server.anonymous();
    let from = |address: &str| {
        anyone
            .request(reqwest::Method::POST, LOGIN)
            .header("x-forwarded-for", address)
            .json(&credentials("nobody", PASSWORD))
    };
    for _ in 0..3 {
        let refused = anyone.send(from("203.0.113.1")).await;
        refused.is_problem(401, "invalid_credentials");
    }
    let spent = anyone.send(from("203.0.113.1")).await;
    spent.is_problem(429, "rate_limited");
    assert!(spent.headers.contains_key("retry-after"));
    let other = anyone.send(from("203.0.113.2")).await;
    other.is_problem(401, "invalid_credentials");
    let calls = project.calls();
    let call = calls.last().expect("a call");
    assert_eq!(call.header("sb-forwarded-for"), "203.0.113.2");
    assert!(call.header("user-agent").starts_with("memorychat/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_on_one_database_agree_on_who_is_in() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let project = project().await;
    let more = [
        ("DATABASE_URL", postgres.url()),
        ("DATABASE_ALLOW_OWNER", "true"),
    ];
    let one = server(&project, &more).await;
    let two = server(&project, &more).await;
    let session = project.visitor("ada@example.org");
    let (here, there) = (
        one.anonymous().with(&session["access_token"]),
        two.anonymous().with(&session["access_token"]),
    );
    let first: tokio::task::JoinSet<Value> = (0..20)
        .map(|n| {
            let ada = if n % 2 == 0 { &here } else { &there }.clone();
            async move { ada.get(ME).await.expect(StatusCode::OK) }
        })
        .collect();
    let ids: HashSet<String> = first.join_all().await.iter().map(id).collect();
    assert_eq!(ids.len(), 1);
    let profiles = there.get("/api/v1/memory-profiles").await;
    let profiles = profiles.expect(StatusCode::OK);
    assert_eq!(profiles.as_array().map(Vec::len), Some(1));
    here.post("/api/v1/auth/logout", &json!({}))
        .await
        .expect_ok();
    there.get(ME).await.is_problem(401, "invalid_token");
}

#[tokio::test]
async fn the_doctor_looks_at_the_project() {
    let project = project().await;
    let server = server(&project, &[]).await;
    for (down, says) in [
        (false, "ok    supabase_auth"),
        (true, "warn  supabase_auth"),
    ] {
        if down {
            project.fault("/", Fault::Down);
        }
        let mut doctor = command(server.data.path());
        doctor.arg("doctor").envs(server.settings()).envs([
            ("SUPABASE_URL", project.url()),
            ("SUPABASE_KEY", project.publishable_key()),
            ("MEMORYCHAT_MODELS_PULL", "false"),
        ]);
        let output = tokio::task::spawn_blocking(move || doctor.output());
        let output = output.await.expect("doctor").expect("output");
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(shown.contains(says), "{shown}");
        assert!(!shown.contains(project.publishable_key()), "{shown}");
    }
}
