//! Memory profiles: the walls between a user's sets of memories.

mod model;
mod ports;
mod service;

pub use model::{BadProfile, Profile, ProfileChange, ProfileView};
pub use ports::ProfileRepository;
pub use service::{ProfileError, ProfileService};
