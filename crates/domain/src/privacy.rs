//! Privacy by construction.
//!
//! The mode of a session is turned into **grants**. This module is the only place that can build a
//! [`RecallGrant`] or a [`LearnGrant`] (their fields are private), and the memory ports take a grant
//! instead of ids. Code that would read or write memories in the wrong mode, or of another profile,
//! does not compile.

use std::fmt;
use std::str::FromStr;

use crate::ids::{ProfileId, UserId};
use crate::memory::Memory;
use crate::profile::Profile;

/// How a session treats memories. An unknown word is an error, never `Normal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrivacyMode {
    /// Recalls memories and learns new ones.
    Normal,
    /// Recalls but learns nothing, not even counters.
    PauseMemories,
    /// Touches no memory and leaves no trace.
    Incognito,
}

impl PrivacyMode {
    /// Every mode, for tables and tests.
    pub const ALL: [Self; 3] = [Self::Normal, Self::PauseMemories, Self::Incognito];

    /// May a turn read memories?
    pub const fn recalls(self) -> bool {
        match self {
            Self::Normal | Self::PauseMemories => true,
            Self::Incognito => false,
        }
    }

    /// May anything be learned from a message sent in this mode, now or later?
    pub const fn learns(self) -> bool {
        match self {
            Self::Normal => true,
            Self::PauseMemories | Self::Incognito => false,
        }
    }

    /// Are messages written to the database?
    pub const fn persists(self) -> bool {
        match self {
            Self::Normal | Self::PauseMemories => true,
            Self::Incognito => false,
        }
    }

    /// The mode's name on the wire and in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::PauseMemories => "pause_memories",
            Self::Incognito => "incognito",
        }
    }
}

impl fmt::Display for PrivacyMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no privacy mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown privacy mode; use normal, pause_memories or incognito")]
pub struct UnknownMode;

impl FromStr for PrivacyMode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or(UnknownMode)
    }
}

/// One profile of one user: the wall around a set of memories. By itself it allows only removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MemoryScope {
    /// The owner.
    pub user: UserId,
    /// The profile.
    pub profile: ProfileId,
}

/// The right to read the memories of one scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecallGrant {
    scope: MemoryScope,
}

impl RecallGrant {
    /// For a turn: `None` when the mode does not recall.
    pub fn in_session(mode: PrivacyMode, scope: MemoryScope) -> Option<Self> {
        mode.recalls().then_some(Self { scope })
    }

    /// For the owner, who looks at a profile of their own, outside any session.
    pub fn by_owner(profile: &Profile) -> Self {
        Self {
            scope: profile.scope(),
        }
    }

    /// What may be read.
    pub fn scope(&self) -> MemoryScope {
        self.scope
    }
}

/// The right to add to the memories of one scope, and to change them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LearnGrant {
    scope: MemoryScope,
}

impl LearnGrant {
    /// For what was said in a session. `stamp` is the mode stored with the message, not the session's
    /// present mode: `None` when a message sent in that mode must not be learned from.
    pub fn from_message(stamp: PrivacyMode, scope: MemoryScope) -> Option<Self> {
        stamp.learns().then_some(Self { scope })
    }

    /// For the owner, who writes into a profile of their own, outside any session.
    pub fn by_owner(profile: &Profile) -> Self {
        Self {
            scope: profile.scope(),
        }
    }

    /// To index what is stored already: that a memory exists proves that it was granted.
    pub fn to_index(memory: &Memory) -> Self {
        Self {
            scope: memory.scope,
        }
    }

    /// What may be written.
    pub fn scope(&self) -> MemoryScope {
        self.scope
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_truth_table() {
        let table = PrivacyMode::ALL.map(|m| (m.recalls(), m.learns(), m.persists()));
        assert_eq!(
            table,
            [
                (true, true, true),
                (true, false, true),
                (false, false, false)
            ]
        );
    }

    #[test]
    fn an_unknown_mode_is_an_error_and_never_normal() {
        for word in ["", "Normal", "NORMAL", "off", "incognito ", "pause"] {
            assert_eq!(word.parse::<PrivacyMode>(), Err(UnknownMode), "{word:?}");
        }
        for mode in PrivacyMode::ALL {
            assert_eq!(mode.as_str().parse(), Ok(mode));
        }
    }
}
