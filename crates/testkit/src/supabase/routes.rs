//! The routes of the stand-in.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::answers::{self, Refusal};
use super::http::{Answer, Call};
use super::keys::part;
use super::state::{State, User, check_password};
use super::{Config, lock};
use crate::fixtures::fresh_id;

/// One call at one moment.
pub(super) struct Desk<'a> {
    pub(super) config: &'a Config,
    pub(super) issuer: &'a str,
    pub(super) state: &'a std::sync::Mutex<State>,
    pub(super) now: OffsetDateTime,
}

/// Longest body, as upstream.
const MAX_BODY: usize = 1 << 20;

impl Desk<'_> {
    /// The answer to a call.
    pub(super) fn answer(&self, call: &Call) -> Answer {
        if call.path.starts_with("/.well-known/") {
            return self.public(call);
        }
        if let Some(refused) = self.gateway(call) {
            return refused;
        }
        if call.length > MAX_BODY {
            return Refusal::new("request_entity_too_large").answer(call);
        }
        self.route(call)
            .unwrap_or_else(|refusal| refusal.answer(call))
    }

    fn public(&self, call: &Call) -> Answer {
        match call.path.as_str() {
            "/.well-known/jwks.json" => Answer::json(200, &lock(self.state).jwks())
                .with("cache-control", "public, max-age=600"),
            "/.well-known/openid-configuration" => answers::openid_configuration(self.issuer),
            _ => Answer::empty(404),
        }
    }

    /// What the gateway in front lets through: a known key, a secret one not from a browser.
    fn gateway(&self, call: &Call) -> Option<Answer> {
        let key = call.header("apikey");
        if key.is_empty() {
            return Some(answers::gateway("no_api_key"));
        }
        let Config {
            publishable_key,
            secret_key,
            ..
        } = self.config;
        if key != publishable_key && key != secret_key {
            return Some(answers::gateway("bad_api_key"));
        }
        let is_browser = call.header("user-agent").starts_with("Mozilla/");
        (key == secret_key && is_browser).then(|| answers::gateway("browser"))
    }

    fn route(&self, call: &Call) -> Result<Answer, Refusal> {
        let grant = call.query.get("grant_type").map(String::as_str);
        match (call.method.as_str(), call.path.as_str()) {
            ("GET", "/health") => Ok(answers::health()),
            ("GET", "/settings") => Ok(answers::settings(
                self.config.confirm_email,
                self.config.signup,
            )),
            ("POST", "/signup") => self.count(call).and_then(|()| self.sign_up(call)),
            ("POST", "/token") => match (self.count(call), grant) {
                (Err(refusal), _) => Err(refusal),
                (Ok(()), Some("password")) => self.log_in(call),
                (Ok(()), Some("refresh_token")) => self.refresh(call),
                (Ok(()), _) => Err(Refusal::new("validation_failed")),
            },
            ("GET", "/user") => Ok(Answer::json(200, &answers::user(&self.bearer(call)?.0))),
            ("PUT", "/user") => self.update_user(call),
            ("POST", "/logout") => self.log_out(call),
            (_, path) if path.starts_with("/admin/users") => self.admin(call),
            _ => Ok(Answer::empty(404)),
        }
    }

    /// Counts by the address that a holder of a secret key names, else by the peer's.
    fn count(&self, call: &Call) -> Result<(), Refusal> {
        let named = call.header("sb-forwarded-for");
        let trusted = call.header("apikey").starts_with("sb_secret_") && !named.is_empty();
        let address = if trusted { named } else { "the peer" };
        if lock(self.state).count(address, self.config.attempts) {
            Ok(())
        } else {
            Err(Refusal::new("over_request_rate_limit"))
        }
    }

    fn sign_up(&self, call: &Call) -> Result<Answer, Refusal> {
        let (email, password) = (call.text("email").to_lowercase(), call.text("password"));
        let data = call.body["data"].as_object().cloned().unwrap_or_default();
        if !self.config.signup {
            return Err(Refusal::new("signup_disabled"));
        }
        if email.is_empty() {
            return Err(Refusal::new("anonymous_provider_disabled"));
        }
        check_password(password)?;
        if !email.contains('@') {
            return Err(Refusal::new("validation_failed"));
        }
        let mut state = lock(self.state);
        if let Some(known) = state.by_email(&email) {
            if !self.config.confirm_email {
                return Err(Refusal::new("user_already_exists"));
            }
            // An address that waits for its confirmation gets another mail, and keeps its password.
            let shown = match known.confirmed_at {
                Some(_) => answers::invented_user(&email, &data, self.now),
                None => answers::user(known),
            };
            return Ok(Answer::json(200, &shown));
        }
        let id = state.add_user(self.new_user(&email, password, data));
        if self.config.confirm_email {
            let shown = state.user(id).map(answers::user);
            return Ok(Answer::json(200, &shown.unwrap_or_default()));
        }
        Ok(self.open(&mut state, id))
    }

    pub(super) fn new_user(&self, email: &str, password: &str, data: Map<String, Value>) -> User {
        User {
            id: fresh_id(),
            email: email.to_owned(),
            password: password.to_owned(),
            data,
            confirmed_at: (!self.config.confirm_email).then_some(self.now),
            is_banned: false,
            is_anonymous: false,
            created_at: self.now,
            updated_at: self.now,
        }
    }

    fn log_in(&self, call: &Call) -> Result<Answer, Refusal> {
        let mut state = lock(self.state);
        let user = state.by_email(call.text("email"));
        let Some(user) = user.filter(|user| user.password == call.text("password")) else {
            return Err(Refusal::new("invalid_credentials"));
        };
        if user.is_banned {
            return Err(Refusal::new("user_banned"));
        }
        if user.confirmed_at.is_none() {
            return Err(Refusal::new("email_not_confirmed"));
        }
        let id = user.id;
        Ok(self.open(&mut state, id))
    }

    /// A new session, as an answer.
    fn open(&self, state: &mut State, user: Uuid) -> Answer {
        let (session, refresh) = state.open_session(user);
        Answer::json(200, &self.pair(state, session, &refresh))
    }

    /// A fresh access token beside this refresh token.
    pub(super) fn pair(&self, state: &State, session: Uuid, refresh: &str) -> Value {
        let user = state.user(state.sessions[&session].user).expect("a user");
        let issued_at = self.now.unix_timestamp();
        let lifetime = i64::try_from(self.config.lifetime.as_secs()).unwrap_or(i64::MAX);
        let times = (issued_at, issued_at + lifetime);
        let claims = answers::claims(user, session, self.issuer, times);
        let access = state.key_in_use().token(&claims);
        answers::session(&access, refresh, times, answers::user(user))
    }

    fn refresh(&self, call: &Call) -> Result<Answer, Refusal> {
        let mut state = lock(self.state);
        let presented = call.text("refresh_token");
        if presented.is_empty() {
            return Err(Refusal::new("validation_failed"));
        }
        let (session, refresh) = state.refresh(presented, self.now, self.config.reuse_interval)?;
        let user = state.user(state.sessions[&session].user);
        if user.is_some_and(|user| user.is_banned) {
            return Err(Refusal::new("user_banned"));
        }
        Ok(Answer::json(200, &self.pair(&state, session, &refresh)))
    }

    /// Whose token was sent, and of which session.
    fn bearer(&self, call: &Call) -> Result<(User, Uuid), Refusal> {
        let token = call
            .bearer()
            .ok_or_else(|| Refusal::new("no_authorization"))?;
        let state = lock(self.state);
        let claims = part(token, 1).filter(|_| state.made(token));
        let claims = claims.ok_or_else(|| Refusal::new("bad_jwt"))?;
        let id = |name: &str| claims[name].as_str().and_then(|text| text.parse().ok());
        let (Some(user), Some(session)): (Option<Uuid>, Option<Uuid>) =
            (id("sub"), id("session_id"))
        else {
            return Err(Refusal::new("bad_jwt"));
        };
        if claims["exp"].as_i64() <= Some(self.now.unix_timestamp()) {
            return Err(Refusal::new("bad_jwt"));
        }
        let user = state.user(user);
        let user = user.ok_or_else(|| Refusal::new("user_not_found"))?;
        if user.is_banned {
            return Err(Refusal::new("user_banned").with_status(403));
        }
        if !state.sessions.contains_key(&session) {
            return Err(Refusal::new("session_not_found"));
        }
        Ok((user.clone(), session))
    }

    fn update_user(&self, call: &Call) -> Result<Answer, Refusal> {
        let (user, session) = self.bearer(call)?;
        let mut state = lock(self.state);
        let email = call.text("email").to_lowercase();
        let known = state.by_email(&email);
        if !email.is_empty() && known.is_some_and(|known| known.id != user.id) {
            return Err(Refusal::new("email_exists"));
        }
        let password = call.text("password");
        if !password.is_empty() {
            check_password(password)?;
            if password == user.password {
                return Err(Refusal::new("same_password"));
            }
            // Whoever else is logged in must come back with the new password.
            state
                .sessions
                .retain(|id, other| other.user != user.id || *id == session);
        }
        let stored = state.user_mut(user.id).expect("a user");
        if !email.is_empty() {
            stored.email = email;
        }
        if !password.is_empty() {
            password.clone_into(&mut stored.password);
        }
        if let Some(data) = call.body["data"].as_object() {
            stored.data.extend(data.clone());
        }
        stored.updated_at = self.now;
        Ok(Answer::json(200, &answers::user(stored)))
    }

    fn log_out(&self, call: &Call) -> Result<Answer, Refusal> {
        let (user, session) = self.bearer(call)?;
        let sessions = &mut lock(self.state).sessions;
        match call.query.get("scope").map_or("global", String::as_str) {
            "global" => sessions.retain(|_, other| other.user != user.id),
            "local" => drop(sessions.remove(&session)),
            "others" => sessions.retain(|id, other| other.user != user.id || *id == session),
            _ => return Err(Refusal::new("validation_failed")),
        }
        Ok(Answer::empty(204))
    }

    fn admin(&self, call: &Call) -> Result<Answer, Refusal> {
        if call.header("apikey") != self.config.secret_key {
            let refusal = call.bearer().map_or("no_authorization", |_| "not_admin");
            return Err(Refusal::new(refusal));
        }
        let rest = call.path.trim_start_matches("/admin/users");
        match (call.method.as_str(), rest.trim_start_matches('/').parse()) {
            ("POST", Err(_)) => self.create(call),
            ("GET", Err(_)) => {
                let state = lock(self.state);
                let users: Vec<Value> = state.users.iter().map(answers::user).collect();
                let count = users.len().to_string();
                let body = json!({"users": users, "aud": "authenticated"});
                Ok(Answer::json(200, &body).with("x-total-count", count))
            }
            (_, Ok(id)) => self.administer(call, id),
            (_, Err(_)) => Ok(Answer::empty(404)),
        }
    }

    fn create(&self, call: &Call) -> Result<Answer, Refusal> {
        let mut state = lock(self.state);
        let email = call.text("email").to_lowercase();
        if state.by_email(&email).is_some() {
            return Err(Refusal::new("email_exists"));
        }
        let mut user = self.new_user(&email, call.text("password"), Map::new());
        let confirmed = call.body["email_confirm"] == json!(true);
        user.confirmed_at = confirmed.then_some(self.now);
        let shown = answers::user(&user);
        state.add_user(user);
        Ok(Answer::json(200, &shown))
    }

    fn administer(&self, call: &Call, id: Uuid) -> Result<Answer, Refusal> {
        let mut state = lock(self.state);
        let user = state.user_mut(id);
        let user = user.ok_or_else(|| Refusal::new("user_not_found"))?;
        match call.method.as_str() {
            "GET" => {}
            "PUT" => {
                if call.body["email_confirm"] == json!(true) {
                    user.confirmed_at = Some(self.now);
                }
                user.is_banned |= !matches!(call.text("ban_duration"), "" | "none");
            }
            "DELETE" => {
                state.remove_user(id);
                return Ok(Answer::json(200, &json!({})));
            }
            _ => return Ok(Answer::empty(404)),
        }
        Ok(Answer::json(200, &answers::user(user)))
    }
}
