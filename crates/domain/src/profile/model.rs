//! A memory profile as a value.

use time::OffsetDateTime;

use crate::error::FieldError;
use crate::ids::{ProfileId, UserId};
use crate::privacy::MemoryScope;

/// An isolated set of memories. Every user has at least one, and exactly one default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    id: ProfileId,
    user: UserId,
    name: String,
    description: Option<String>,
    is_default: bool,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

/// A profile with what is counted about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileView {
    /// The profile.
    pub profile: Profile,
    /// How many memories it holds.
    pub memory_count: u64,
}

/// The fields of a profile that are to change; `None` leaves one as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// A new name.
    pub name: Option<String>,
    /// A new description, or none.
    pub description: Option<Option<String>>,
    /// `true` makes it the default; `false` is ignored, since one profile always is.
    pub is_default: Option<bool>,
}

/// The fields that break a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an acceptable profile")]
pub struct BadProfile(pub Vec<FieldError>);

impl Profile {
    /// Longest name, in characters.
    pub const MAX_NAME: usize = 100;
    /// Longest description, in characters.
    pub const MAX_DESCRIPTION: usize = 500;

    /// The profile that comes with an account.
    pub fn first(id: ProfileId, user: UserId, now: OffsetDateTime) -> Self {
        let name = "Default".to_owned();
        Self {
            id,
            user,
            name,
            description: None,
            is_default: true,
            created_at: now,
            updated_at: now,
        }
    }

    /// A new profile; the name is trimmed.
    pub fn new(
        id: ProfileId,
        user: UserId,
        name: &str,
        description: Option<String>,
        is_default: bool,
        now: OffsetDateTime,
    ) -> Result<Self, BadProfile> {
        let mut profile = Self {
            is_default,
            ..Self::first(id, user, now)
        };
        let change = ProfileChange {
            name: Some(name.to_owned()),
            description: Some(description),
            is_default: None,
        };
        profile.apply(&change, now)?;
        Ok(profile)
    }

    /// A profile as it was stored.
    pub fn from_stored(
        id: ProfileId,
        user: UserId,
        name: String,
        description: Option<String>,
        is_default: bool,
        created_at: OffsetDateTime,
        updated_at: OffsetDateTime,
    ) -> Self {
        Self {
            id,
            user,
            name,
            description,
            is_default,
            created_at,
            updated_at,
        }
    }

    /// Changes name and description; on an error nothing has changed.
    pub fn apply(&mut self, change: &ProfileChange, now: OffsetDateTime) -> Result<(), BadProfile> {
        let name = change.name.as_ref().map(|name| name.trim().to_owned());
        let mut wrong = Vec::new();
        if let Some(name) = &name
            && (name.is_empty() || name.chars().count() > Self::MAX_NAME || name.contains('\0'))
        {
            wrong.push(FieldError::new("name", "1 to 100 characters"));
        }
        if let Some(Some(text)) = &change.description
            && (text.chars().count() > Self::MAX_DESCRIPTION || text.contains('\0'))
        {
            wrong.push(FieldError::new("description", "at most 500 characters"));
        }
        if !wrong.is_empty() {
            return Err(BadProfile(wrong));
        }
        if let Some(name) = name {
            self.name = name;
        }
        if let Some(description) = &change.description {
            self.description.clone_from(description);
        }
        self.updated_at = now;
        Ok(())
    }

    /// Its id.
    pub fn id(&self) -> ProfileId {
        self.id
    }

    /// Its owner.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// Its name, unique among the owner's profiles.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the owner says about it.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Do new sessions use it when nothing else is said?
    pub fn is_default(&self) -> bool {
        self.is_default
    }

    /// When it was made.
    pub fn created_at(&self) -> OffsetDateTime {
        self.created_at
    }

    /// When it last changed.
    pub fn updated_at(&self) -> OffsetDateTime {
        self.updated_at
    }

    /// The wall around its memories.
    pub fn scope(&self) -> MemoryScope {
        MemoryScope {
            user: self.user,
            profile: self.id,
        }
    }
}
