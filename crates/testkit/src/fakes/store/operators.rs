//! Look-ups and upkeep over all users.

use async_trait::async_trait;
use domain::account::{AccountDirectory, ApiKey, Credential, Email, LoginState, User};
use domain::ids::{JobId, LoginId, MemoryId, UserId};
use domain::jobs::{DeadJobs, JobKind, JobState, Maintenance};
use domain::privacy::MemoryScope;
use domain::profile::Profile;
use domain::session::MessageStatus;
use domain::store::StoreError;
use time::OffsetDateTime;

use super::InMemoryStore;
use super::state::{JobRow, MemoryRow, State, count_removed};

impl State {
    fn user(&self, id: UserId) -> Option<&User> {
        self.users
            .iter()
            .map(|(user, _)| user)
            .find(|user| user.id == id)
    }

    fn is_being_indexed(&self, id: MemoryId) -> bool {
        self.jobs
            .iter()
            .filter(|row| row.state == JobState::Pending)
            .any(|row| matches!(row.job.kind, JobKind::Index { memory, .. } if memory == id))
    }

    /// The jobs given up that a comparison of index and rows has made moot.
    fn settled(&self, with_vectors: bool) -> Vec<JobId> {
        let dead: Vec<_> = self
            .jobs
            .iter()
            .filter(|row| row.is_dead(DeadJobs::All))
            .collect();
        let is_moot = |row: &&&JobRow| match row.job.kind {
            JobKind::Learn { .. } => false,
            JobKind::Sweep { .. } => true,
            JobKind::Index { memory, .. } => {
                let lacks = |m: &MemoryRow| m.memory.id == memory && !m.is_indexed(with_vectors);
                let again = |l: &&JobRow| l.job.kind == row.job.kind && l.job.id > row.job.id;
                !self.memories.iter().any(lacks) || dead.iter().any(again)
            }
        };
        dead.iter().filter(is_moot).map(|row| row.job.id).collect()
    }
}

#[async_trait]
impl AccountDirectory for InMemoryStore {
    async fn credential(&self, email: &Email) -> Result<Option<Credential>, StoreError> {
        Ok(self.look(|state| {
            let (user, hash) = state.users.iter().find(|(user, _)| user.email == *email)?;
            let hash = hash.clone()?;
            Some(Credential {
                user: user.id,
                hash,
                is_active: user.is_active,
            })
        }))
    }

    async fn login(&self, id: LoginId) -> Result<Option<LoginState>, StoreError> {
        Ok(self.look(|state| {
            let login = state.logins.iter().find(|login| login.id == id)?.clone();
            let user_is_active = state.user(login.user)?.is_active;
            Some(LoginState {
                login,
                user_is_active,
            })
        }))
    }

    async fn api_key(&self, hash: &str) -> Result<Option<ApiKey>, StoreError> {
        Ok(self.look(|state| {
            let (key, _) = state.api_keys.iter().find(|(_, stored)| stored == hash)?;
            state.user(key.user)?.is_active.then(|| key.clone())
        }))
    }
}

#[async_trait]
impl Maintenance for InMemoryStore {
    async fn interrupt_stale(&self, before: OffsetDateTime) -> Result<u64, StoreError> {
        let mark = |state: &mut State| {
            let streaming = |status| status == MessageStatus::Streaming;
            let mut marked = 0;
            for row in &mut state.messages {
                if streaming(row.message.status) && row.alive_at < before {
                    row.message.status = MessageStatus::Interrupted;
                    marked += 1;
                }
            }
            marked
        };
        Ok(self.change(mark).await)
    }

    async fn scopes(
        &self,
        after: Option<MemoryScope>,
        limit: u32,
    ) -> Result<Vec<MemoryScope>, StoreError> {
        let key = |scope: &MemoryScope| (scope.user, scope.profile);
        let mut scopes: Vec<_> =
            self.look(|state| state.profiles.iter().map(Profile::scope).collect());
        scopes.sort_by_key(key);
        scopes.retain(|scope| after.is_none_or(|after| key(scope) > key(&after)));
        scopes.truncate(limit as usize);
        Ok(scopes)
    }

    async fn unindexed(
        &self,
        with_vectors: bool,
        limit: u32,
    ) -> Result<Vec<(MemoryScope, MemoryId)>, StoreError> {
        Ok(self.look(|state| {
            let all = state.memories.iter();
            let rows = all.filter(|row| !row.is_indexed(with_vectors));
            let rows = rows.filter(|row| !state.is_being_indexed(row.memory.id));
            rows.take(limit as usize)
                .map(|row| (row.memory.scope, row.memory.id))
                .collect()
        }))
    }
    async fn forget_settled(&self, with_vectors: bool) -> Result<u64, StoreError> {
        let forget = |state: &mut State| {
            let settled = state.settled(with_vectors);
            count_removed(&mut state.jobs, |row| settled.contains(&row.job.id))
        };
        Ok(self.change(forget).await)
    }

    async fn remove_ended_logins(
        &self,
        before: OffsetDateTime,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let remove = |state: &mut State| {
            let logins = state.logins.iter();
            let ended = logins.filter(|login| login.expires_at < before);
            let mut ended: Vec<_> = ended.map(|login| (login.expires_at, login.id)).collect();
            ended.sort();
            ended.truncate(limit as usize);
            let ended: Vec<_> = ended.into_iter().map(|(_, id)| id).collect();
            count_removed(&mut state.logins, |login| ended.contains(&login.id))
        };
        Ok(self.change(remove).await)
    }
}
