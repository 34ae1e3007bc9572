//! What the stand-in knows: users, sessions and their refresh tokens.

use std::collections::HashMap;

use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::answers::Refusal;
use super::keys::SigningKey;
use crate::fixtures::fresh_id;

/// A user of the stand-in.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) id: Uuid,
    pub(super) email: String,
    pub(super) password: String,
    pub(super) data: Map<String, Value>,
    pub(super) confirmed_at: Option<OffsetDateTime>,
    pub(super) is_banned: bool,
    pub(super) is_anonymous: bool,
    pub(super) created_at: OffsetDateTime,
    pub(super) updated_at: OffsetDateTime,
}

/// A session: the family of its refresh tokens, oldest first; the last is active.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) user: Uuid,
    tokens: Vec<RefreshToken>,
}

#[derive(Debug)]
struct RefreshToken {
    text: String,
    used_at: Option<OffsetDateTime>,
}

/// How the keys of a rotation stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Published, signs nothing yet.
    Standby,
    /// Signs.
    InUse,
    /// Published, signs nothing any more.
    Previous,
    /// Withdrawn.
    Revoked,
}

/// Everything that changes.
#[derive(Default)]
pub(super) struct State {
    pub(super) users: Vec<User>,
    pub(super) sessions: HashMap<Uuid, Session>,
    pub(super) keys: Vec<(SigningKey, KeyState)>,
    /// Attempts counted, by the address they are counted for.
    pub(super) attempts: HashMap<String, u32>,
}

/// Longest password that is taken, in bytes.
const MAX_PASSWORD: usize = 72;
const MIN_PASSWORD: usize = 6;

impl State {
    pub(super) fn user(&self, id: Uuid) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    pub(super) fn user_mut(&mut self, id: Uuid) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.id == id)
    }

    pub(super) fn by_email(&mut self, email: &str) -> Option<&mut User> {
        let email = email.to_lowercase();
        self.users.iter_mut().find(|user| user.email == email)
    }

    pub(super) fn add_user(&mut self, user: User) -> Uuid {
        let id = user.id;
        self.users.push(user);
        id
    }

    pub(super) fn remove_user(&mut self, id: Uuid) -> Option<User> {
        let place = self.users.iter().position(|user| user.id == id)?;
        self.sessions.retain(|_, session| session.user != id);
        Some(self.users.remove(place))
    }

    pub(super) fn open_session(&mut self, user: Uuid) -> (Uuid, String) {
        let id = fresh_id();
        let first = RefreshToken::new();
        let text = first.text.clone();
        let tokens = vec![first];
        self.sessions.insert(id, Session { user, tokens });
        (id, text)
    }

    /// The session and the refresh token in force after this one was presented.
    pub(super) fn refresh(
        &mut self,
        presented: &str,
        now: OffsetDateTime,
        reuse: Duration,
    ) -> Result<(Uuid, String), Refusal> {
        let mut found = self.sessions.iter_mut().filter_map(|(id, session)| {
            let tokens = &session.tokens;
            let place = tokens.iter().position(|token| token.text == presented)?;
            Some((*id, session, place))
        });
        let Some((id, session, place)) = found.next() else {
            return Err(Refusal::new("refresh_token_not_found"));
        };
        drop(found);
        let active = session.tokens.len() - 1;
        if place == active {
            session.tokens[active].used_at = Some(now);
            session.tokens.push(RefreshToken::new());
        } else {
            let used_at = session.tokens[place].used_at;
            let lately = used_at.is_some_and(|at| now < at + reuse);
            if place + 1 < active && !lately {
                // Somebody else has it: nobody may go on with this session.
                self.sessions.remove(&id);
                return Err(Refusal::new("refresh_token_already_used"));
            }
        }
        let text = self.sessions[&id].tokens.last().map(|t| t.text.clone());
        Ok((id, text.unwrap_or_default()))
    }

    /// The key that signs.
    pub(super) fn key_in_use(&self) -> &SigningKey {
        let mut keys = self.keys.iter();
        let in_use = keys.find(|(_, state)| *state == KeyState::InUse);
        &in_use.expect("a key in use").0
    }

    /// Was this token signed with a key that counts?
    pub(super) fn made(&self, token: &str) -> bool {
        let counted = |(_, state): &&(SigningKey, KeyState)| *state != KeyState::Revoked;
        self.keys.iter().filter(counted).any(|(k, _)| k.made(token))
    }

    /// The published keys.
    pub(super) fn jwks(&self) -> Value {
        let public = self
            .keys
            .iter()
            .filter(|(key, state)| key.is_asymmetric() && *state != KeyState::Revoked);
        let keys: Vec<Value> = public.map(|(key, _)| key.jwk()).collect();
        serde_json::json!({ "keys": keys })
    }

    /// Counts an attempt; `false` when there were too many.
    pub(super) fn count(&mut self, address: &str, most: Option<u32>) -> bool {
        let counted = self.attempts.entry(address.to_owned()).or_default();
        *counted += 1;
        most.is_none_or(|most| *counted <= most)
    }
}

impl RefreshToken {
    /// Twelve characters, as the first version of upstream's tokens.
    fn new() -> Self {
        let name = fresh_id();
        let digits = Uuid::new_v5(&name, b"refresh token").simple().to_string();
        Self {
            text: digits[..12].to_owned(),
            used_at: None,
        }
    }
}

/// Is it a password that may be chosen?
pub(super) fn check_password(password: &str) -> Result<(), Refusal> {
    if password.is_empty() || password.len() > MAX_PASSWORD {
        return Err(Refusal::new("validation_failed"));
    }
    let mut reasons = Vec::new();
    if password.chars().count() < MIN_PASSWORD {
        reasons.push("length");
    }
    if password.starts_with("password") {
        reasons.push("pwned");
    }
    if reasons.is_empty() {
        Ok(())
    } else {
        Err(Refusal::weak(reasons))
    }
}
