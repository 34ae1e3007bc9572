//! Where profiles are kept.

use async_trait::async_trait;

use super::{Profile, ProfileView};
use crate::ids::ProfileId;
use crate::store::StoreError;

/// The owner's memory profiles.
#[async_trait]
pub trait ProfileRepository: Send {
    /// The profile; `None` when it does not exist or is somebody else's.
    async fn find(&mut self, id: ProfileId) -> Result<Option<ProfileView>, StoreError>;
    /// All profiles, oldest first.
    async fn list(&mut self) -> Result<Vec<ProfileView>, StoreError>;
    /// The default profile.
    async fn find_default(&mut self) -> Result<Option<Profile>, StoreError>;
    /// Adds a profile. [`StoreError::Conflict`] on `profile_name` for a taken name and on
    /// `default_profile` for a second default.
    async fn add(&mut self, profile: &Profile) -> Result<(), StoreError>;
    /// Stores name, description and time of change, not the default; `false` when it is gone.
    /// [`StoreError::Conflict`] on `profile_name` for a taken name.
    async fn update(&mut self, profile: &Profile) -> Result<bool, StoreError>;
    /// Makes this profile the default and no other; `false`, and nothing changed, when it is gone.
    async fn set_default(&mut self, id: ProfileId) -> Result<bool, StoreError>;
    /// Removes a profile with its memories; its sessions stay, without a profile. Idempotent: `false`
    /// when it is gone.
    async fn remove(&mut self, id: ProfileId) -> Result<bool, StoreError>;
}
