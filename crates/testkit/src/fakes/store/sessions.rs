//! Sessions.

use async_trait::async_trait;
use domain::ids::SessionId;
use domain::page::{Page, PageRequest};
use domain::session::{Session, SessionFilter, SessionRepository, SessionView};
use domain::store::StoreError;
use time::OffsetDateTime;

use super::Unit;
use super::page::{Order, by_time, page};
use super::state::remove_rows;

impl Unit {
    fn session_view(&self, session: &Session) -> SessionView {
        let messages = self.state.messages.iter();
        let count = messages
            .filter(|row| row.message.session == session.id)
            .count();
        SessionView {
            session: session.clone(),
            message_count: count as u64,
        }
    }

    fn has_foreign_profile(&self, session: &Session) -> bool {
        session
            .profile
            .is_some_and(|profile| !self.state.owns_profile(self.owner, profile))
    }
}

#[async_trait]
impl SessionRepository for Unit {
    async fn find(&mut self, id: SessionId) -> Result<Option<SessionView>, StoreError> {
        Ok(self
            .state
            .session(self.owner, id)
            .map(|session| self.session_view(session)))
    }

    async fn lock(&mut self, id: SessionId) -> Result<Option<Session>, StoreError> {
        // The one writer holds everything locked.
        Ok(self.state.session(self.owner, id).cloned())
    }

    async fn list(
        &mut self,
        filter: SessionFilter,
        request: PageRequest,
    ) -> Result<Page<SessionView>, StoreError> {
        let sessions = self.state.sessions.iter().filter(|s| s.user == self.owner);
        let wanted = sessions.filter(|s| filter.profile.is_none() || s.profile == filter.profile);
        let views = wanted.map(|session| self.session_view(session)).collect();
        Ok(page(views, Order::Descending, request, |view| {
            by_time(view.session.updated_at, view.session.id.as_uuid())
        }))
    }

    async fn add(&mut self, session: &Session) -> Result<(), StoreError> {
        if session.user != self.owner || self.has_foreign_profile(session) {
            return self.conflict("reference");
        }
        self.state.sessions.push(session.clone());
        Ok(())
    }

    async fn update(&mut self, session: &Session) -> Result<bool, StoreError> {
        if self.has_foreign_profile(session) {
            return self.conflict("reference");
        }
        let stored = self.state.session_mut(self.owner, session.id);
        Ok(stored
            .map(|stored| {
                stored.mode = session.mode;
                stored.profile = session.profile;
                stored.updated_at = session.updated_at;
            })
            .is_some())
    }

    async fn touch(&mut self, id: SessionId, at: OffsetDateTime) -> Result<bool, StoreError> {
        let stored = self.state.session_mut(self.owner, id);
        Ok(stored.map(|session| session.updated_at = at).is_some())
    }

    async fn remove(&mut self, id: SessionId) -> Result<bool, StoreError> {
        let owner = self.owner;
        if !remove_rows(&mut self.state.sessions, |s| s.user == owner && s.id == id) {
            return Ok(false);
        }
        self.state.remove_messages(|row| row.message.session == id);
        Ok(true)
    }
}
