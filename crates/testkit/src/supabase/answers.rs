//! Answers from the fixtures, with what changes from call to call filled in.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::http::{Answer, Call};
use super::state::User;
use crate::fixtures::fresh_id;

const USER: &str = include_str!("fixtures/user.json");
const IDENTITY: &str = include_str!("fixtures/identity.json");
const SESSION: &str = include_str!("fixtures/session.json");
const CLAIMS: &str = include_str!("fixtures/claims.json");
const ERRORS: &str = include_str!("fixtures/errors.json");
const HEALTH: &str = include_str!("fixtures/health.json");
const SETTINGS: &str = include_str!("fixtures/settings.json");
const GATEWAY: &str = include_str!("fixtures/gateway.json");
pub(super) const BAD_GATEWAY: &str = include_str!("fixtures/bad_gateway.html");

/// The version of the interface that has error codes as texts.
const VERSION_HEADER: &str = "x-supabase-api-version";
const VERSION: &str = "2024-01-01";

fn fixture(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn moment(at: OffsetDateTime) -> Value {
    json!(at.format(&Rfc3339).unwrap())
}

/// A refusal, by the code of supabase/auth.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    /// Why a password is weak.
    pub(super) reasons: Vec<&'static str>,
    /// Another status than the usual one of this code.
    status: Option<u16>,
}

impl Refusal {
    pub(super) fn new(code: &'static str) -> Self {
        Self {
            code,
            reasons: Vec::new(),
            status: None,
        }
    }

    /// The same code, where it comes with another status.
    pub(super) fn with_status(self, status: u16) -> Self {
        Self {
            status: Some(status),
            ..self
        }
    }

    pub(super) fn weak(reasons: Vec<&'static str>) -> Self {
        Self {
            reasons,
            ..Self::new("weak_password")
        }
    }

    /// In the shape that the caller understands.
    pub(super) fn answer(&self, call: &Call) -> Answer {
        let known = fixture(ERRORS);
        let (usual, message) = (&known[self.code][0], &known[self.code][1]);
        let status = self
            .status
            .map_or_else(|| usual.clone(), |status| json!(status));
        assert!(message.is_string(), "no fixture for {}", self.code);
        let is_new = call.header(VERSION_HEADER) >= VERSION;
        let mut body = if is_new {
            json!({"code": self.code, "message": message})
        } else {
            json!({"code": status, "error_code": self.code, "msg": message})
        };
        if !self.reasons.is_empty() {
            body["weak_password"] = json!({"reasons": self.reasons});
        }
        let status = u16::try_from(status.as_u64().unwrap()).unwrap();
        let answer = Answer::json(status, &body).with("x-sb-error-code", self.code);
        if is_new {
            answer.with(VERSION_HEADER, VERSION)
        } else {
            answer
        }
    }
}

/// A refusal of the gateway in front of the service.
pub(super) fn gateway(what: &str) -> Answer {
    Answer::json(401, &fixture(GATEWAY)[what])
}

pub(super) fn health() -> Answer {
    Answer::json(200, &fixture(HEALTH))
}

pub(super) fn settings(confirm_email: bool, signup: bool) -> Answer {
    let mut settings = fixture(SETTINGS);
    settings["mailer_autoconfirm"] = json!(!confirm_email);
    settings["disable_signup"] = json!(!signup);
    Answer::json(200, &settings)
}

pub(super) fn openid_configuration(issuer: &str) -> Answer {
    let jwks = format!("{issuer}/.well-known/jwks.json");
    Answer::json(200, &json!({"issuer": issuer, "jwks_uri": jwks}))
}

/// A user as the service shows them.
pub(super) fn user(user: &User) -> Value {
    let mut shown = fixture(USER);
    shown["id"] = json!(user.id);
    shown["email"] = json!(user.email);
    shown["user_metadata"] = Value::Object(user.data.clone());
    shown["is_anonymous"] = json!(user.is_anonymous);
    shown["created_at"] = moment(user.created_at);
    shown["updated_at"] = moment(user.updated_at);
    if let Some(at) = user.confirmed_at {
        shown["email_confirmed_at"] = moment(at);
        shown["confirmed_at"] = moment(at);
        shown["last_sign_in_at"] = moment(at);
    } else {
        shown["confirmation_sent_at"] = moment(user.updated_at);
    }
    let mut identity = fixture(IDENTITY);
    identity["identity_id"] = json!(fresh_id());
    identity["id"] = json!(user.id);
    identity["user_id"] = json!(user.id);
    identity["email"] = json!(user.email);
    identity["identity_data"]["email"] = json!(user.email);
    identity["identity_data"]["sub"] = json!(user.id);
    for field in ["created_at", "updated_at", "last_sign_in_at"] {
        identity[field] = moment(user.created_at);
    }
    shown["identities"] = json!([identity]);
    shown
}

/// The user that does not exist, shown for an address that is taken, so that nobody learns of it.
pub(super) fn invented_user(email: &str, data: &Map<String, Value>, now: OffsetDateTime) -> Value {
    let mut shown = fixture(USER);
    shown["id"] = json!(fresh_id());
    shown["role"] = json!("");
    shown["email"] = json!(email);
    shown["user_metadata"] = Value::Object(data.clone());
    for field in ["created_at", "updated_at", "confirmation_sent_at"] {
        shown[field] = moment(now);
    }
    shown
}

/// The claims of an access token.
pub(super) fn claims(user: &User, session: uuid::Uuid, issuer: &str, times: (i64, i64)) -> Value {
    let mut claims = fixture(CLAIMS);
    claims["iss"] = json!(issuer);
    claims["sub"] = json!(user.id);
    claims["email"] = json!(user.email);
    claims["user_metadata"] = Value::Object(user.data.clone());
    claims["is_anonymous"] = json!(user.is_anonymous);
    claims["session_id"] = json!(session);
    claims["iat"] = json!(times.0);
    claims["exp"] = json!(times.1);
    claims["amr"][0]["timestamp"] = json!(times.0);
    claims
}

/// A pair of tokens and whose they are.
pub(super) fn session(access: &str, refresh: &str, times: (i64, i64), user: Value) -> Value {
    let mut session = fixture(SESSION);
    session["access_token"] = json!(access);
    session["refresh_token"] = json!(refresh);
    session["expires_in"] = json!(times.1 - times.0);
    session["expires_at"] = json!(times.1);
    session["user"] = user;
    session
}
