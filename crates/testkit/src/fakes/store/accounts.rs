//! The owner's account, log-ins and API keys.

use async_trait::async_trait;
use domain::account::{
    ApiKey, ApiKeyRepository, Login, LoginRepository, PasswordHash, User, UserRepository,
};
use domain::ids::{ApiKeyId, LoginId};
use domain::store::StoreError;
use time::OffsetDateTime;

use super::Unit;
use super::state::remove_rows;

#[async_trait]
impl UserRepository for Unit {
    async fn find(&mut self) -> Result<Option<User>, StoreError> {
        let mut users = self.state.users.iter().map(|(user, _)| user);
        Ok(users.find(|user| user.id == self.owner).cloned())
    }

    async fn add(&mut self, user: &User, hash: Option<&PasswordHash>) -> Result<(), StoreError> {
        if user.id != self.owner || self.state.users.iter().any(|(u, _)| u.id == user.id) {
            return self.conflict("user");
        }
        let foreign = &self.state.foreign;
        let mut own = (self.state.users.iter()).filter(|(u, _)| !foreign.contains(&u.id));
        if own.any(|(u, _)| u.email == user.email) {
            return self.conflict("email");
        }
        self.state.users.push((user.clone(), hash.cloned()));
        Ok(())
    }

    async fn adopt(&mut self, user: &User, _issuer: &str) -> Result<bool, StoreError> {
        if user.id != self.owner {
            return self.conflict("reference");
        }
        let is_foreign = self.state.foreign.contains(&user.id);
        let mut users = self.state.users.iter_mut().map(|(user, _)| user);
        let Some(known) = users.find(|known| known.id == user.id) else {
            self.state.foreign.insert(user.id);
            self.state.users.push((user.clone(), None));
            return Ok(true);
        };
        if is_foreign && known.email != user.email {
            known.email = user.email.clone();
            known.updated_at = user.updated_at;
        }
        Ok(false)
    }

    async fn set_password(
        &mut self,
        hash: &PasswordHash,
        at: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let row = self
            .state
            .users
            .iter_mut()
            .find(|(user, _)| user.id == self.owner);
        Ok(row
            .map(|(user, stored)| (user.updated_at, *stored) = (at, Some(hash.clone())))
            .is_some())
    }

    async fn remove(&mut self) -> Result<bool, StoreError> {
        let (owner, state) = (self.owner, &mut self.state);
        state.logins.retain(|login| login.user != owner);
        state.api_keys.retain(|(key, _)| key.user != owner);
        state.profiles.retain(|profile| profile.user() != owner);
        state.sessions.retain(|session| session.user != owner);
        state.messages.retain(|row| row.owner != owner);
        state.memories.retain(|row| row.memory.scope.user != owner);
        state.jobs.retain(|row| row.job.user != owner);
        state.foreign.remove(&owner);
        Ok(remove_rows(&mut state.users, |(user, _)| user.id == owner))
    }
}

impl Unit {
    fn login_mut(&mut self, id: LoginId) -> Option<&mut Login> {
        let owner = self.owner;
        self.state
            .logins
            .iter_mut()
            .find(|login| login.user == owner && login.id == id)
    }
}

#[async_trait]
impl LoginRepository for Unit {
    async fn add(&mut self, login: &Login) -> Result<(), StoreError> {
        if login.user != self.owner {
            return self.conflict("reference");
        }
        if self.state.logins.iter().any(|known| known.id == login.id) {
            return self.conflict("row");
        }
        self.state.logins.push(login.clone());
        Ok(())
    }

    async fn advance(&mut self, id: LoginId, generation: u32) -> Result<bool, StoreError> {
        let login = self.login_mut(id);
        let current = login.filter(|l| l.generation == generation && l.revoked_at.is_none());
        Ok(current.map(|login| login.generation += 1).is_some())
    }

    async fn extend(&mut self, id: LoginId, until: OffsetDateTime) -> Result<(), StoreError> {
        if let Some(login) = self.login_mut(id) {
            login.expires_at = login.expires_at.max(until);
        }
        Ok(())
    }

    async fn revoke(&mut self, id: LoginId, at: OffsetDateTime) -> Result<(), StoreError> {
        if let Some(login) = self.login_mut(id) {
            login.revoked_at.get_or_insert(at);
        }
        Ok(())
    }
}

#[async_trait]
impl ApiKeyRepository for Unit {
    async fn add(&mut self, key: &ApiKey, hash: &str) -> Result<(), StoreError> {
        if key.user != self.owner {
            return self.conflict("reference");
        }
        self.state.api_keys.push((key.clone(), hash.to_owned()));
        Ok(())
    }

    async fn list(&mut self) -> Result<Vec<ApiKey>, StoreError> {
        let keys = self.state.api_keys.iter().map(|(key, _)| key);
        let mut keys: Vec<_> = keys.filter(|key| key.user == self.owner).cloned().collect();
        keys.sort_by_key(|key| std::cmp::Reverse((key.created_at, key.id)));
        Ok(keys)
    }

    async fn revoke(&mut self, id: ApiKeyId, at: OffsetDateTime) -> Result<bool, StoreError> {
        let mut keys = self.state.api_keys.iter_mut().map(|(key, _)| key);
        let key = keys.find(|key| key.user == self.owner && key.id == id);
        Ok(key.map(|key| key.revoked_at.get_or_insert(at)).is_some())
    }
}
