//! Memory profiles.

use async_trait::async_trait;
use domain::ids::ProfileId;
use domain::profile::{Profile, ProfileRepository, ProfileView};
use domain::store::StoreError;

use super::Unit;
use super::state::remove_rows;

impl Unit {
    fn own_profiles(&self) -> impl Iterator<Item = &Profile> {
        self.state
            .profiles
            .iter()
            .filter(|p| p.user() == self.owner)
    }

    fn view(&self, profile: &Profile) -> ProfileView {
        let memories = self.state.memories.iter();
        let count = memories
            .filter(|row| row.memory.scope == profile.scope())
            .count();
        ProfileView {
            profile: profile.clone(),
            memory_count: count as u64,
        }
    }

    fn name_is_taken(&self, by_other_than: ProfileId, name: &str) -> bool {
        self.own_profiles()
            .any(|p| p.name() == name && p.id() != by_other_than)
    }
}

/// The profile with another name, description and time of change, or with another default.
fn rebuilt(stored: &Profile, from: &Profile, is_default: bool) -> Profile {
    Profile::from_stored(
        stored.id(),
        stored.user(),
        from.name().to_owned(),
        from.description().map(str::to_owned),
        is_default,
        stored.created_at(),
        from.updated_at(),
    )
}

#[async_trait]
impl ProfileRepository for Unit {
    async fn find(&mut self, id: ProfileId) -> Result<Option<ProfileView>, StoreError> {
        Ok(self
            .own_profiles()
            .find(|p| p.id() == id)
            .map(|p| self.view(p)))
    }

    async fn list(&mut self) -> Result<Vec<ProfileView>, StoreError> {
        let mut views: Vec<_> = self.own_profiles().map(|p| self.view(p)).collect();
        views.sort_by_key(|view| (view.profile.created_at(), view.profile.id()));
        Ok(views)
    }

    async fn find_default(&mut self) -> Result<Option<Profile>, StoreError> {
        Ok(self.own_profiles().find(|p| p.is_default()).cloned())
    }

    async fn add(&mut self, profile: &Profile) -> Result<(), StoreError> {
        if profile.user() != self.owner {
            return self.conflict("reference");
        }
        if self.name_is_taken(profile.id(), profile.name()) {
            return self.conflict("profile_name");
        }
        if profile.is_default() && self.own_profiles().any(Profile::is_default) {
            return self.conflict("default_profile");
        }
        self.state.profiles.push(profile.clone());
        Ok(())
    }

    async fn update(&mut self, profile: &Profile) -> Result<bool, StoreError> {
        if self.name_is_taken(profile.id(), profile.name()) {
            return self.conflict("profile_name");
        }
        let owner = self.owner;
        let mut profiles = self.state.profiles.iter_mut();
        let stored = profiles.find(|p| p.user() == owner && p.id() == profile.id());
        Ok(stored
            .map(|row| *row = rebuilt(row, profile, row.is_default()))
            .is_some())
    }

    async fn set_default(&mut self, id: ProfileId) -> Result<bool, StoreError> {
        let owner = self.owner;
        if !self.state.owns_profile(owner, id) {
            return Ok(false);
        }
        for row in self.state.profiles.iter_mut().filter(|p| p.user() == owner) {
            *row = rebuilt(row, row, row.id() == id);
        }
        Ok(true)
    }

    async fn remove(&mut self, id: ProfileId) -> Result<bool, StoreError> {
        let owner = self.owner;
        if !remove_rows(&mut self.state.profiles, |p| {
            p.user() == owner && p.id() == id
        }) {
            return Ok(false);
        }
        self.state
            .remove_memories(|memory| memory.scope.profile == id);
        for session in self
            .state
            .sessions
            .iter_mut()
            .filter(|s| s.profile == Some(id))
        {
            session.profile = None;
        }
        Ok(true)
    }
}
