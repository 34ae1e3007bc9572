//! What several routes say in the same way.

use domain::account::Scope;
use domain::chat::RecallNote;
use domain::memory::Origin;
use domain::privacy::PrivacyMode;
use domain::session::{FinishReason, MessageStatus, Role, WithMemories};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// A moment in UTC, as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-11-23T09:15:00.123456Z", max_length = 40)]
pub(crate) struct Timestamp(pub(crate) OffsetDateTime);

impl From<OffsetDateTime> for Timestamp {
    fn from(at: OffsetDateTime) -> Self {
        Self(at)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.0.to_offset(UtcOffset::UTC).format(&Rfc3339);
        serializer.serialize_str(&text.map_err(S::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &Rfc3339)
            .map(Self)
            .map_err(|_| D::Error::custom("not an RFC 3339 timestamp"))
    }
}

/// For a field of a partial update: with `#[serde(default)]` an absent field is `None`, and what was
/// sent, a `null` where the type has one, is `Some`.
pub(crate) fn sent<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Declares how the variants of a domain enum are called on the wire: by their names in snake case.
macro_rules! wire_names {
    ($($(#[$doc:meta])* $name:ident of $domain:ty { $($variant:ident),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub(crate) enum $name {
            $($variant),+
        }

        impl From<$domain> for $name {
            fn from(value: $domain) -> Self {
                match value {
                    $(<$domain>::$variant => Self::$variant),+
                }
            }
        }

        impl From<$name> for $domain {
            fn from(name: $name) -> Self {
                match name {
                    $($name::$variant => Self::$variant),+
                }
            }
        }
    )+};
}

wire_names! {
    /// How a session treats memories: `normal` recalls and learns, `pause_memories` recalls only,
    /// `incognito` touches no memory and stores nothing.
    PrivacyModeName of PrivacyMode { Normal, PauseMemories, Incognito }

    /// What an API key may do: `read`, `write` (create, change, delete) or `chat` (send turns).
    ScopeName of Scope { Read, Write, Chat }

    /// Who speaks.
    RoleName of Role { User, Assistant, System }

    /// How far a message has come; `interrupted` when an answer was cut off.
    StatusName of MessageStatus { Complete, Streaming, Interrupted }

    /// Why the model stopped.
    FinishName of FinishReason { Stop, Length, ContentFilter, Interrupted }

    /// How a memory came to be.
    OriginName of Origin { Extracted, Manual, Copied }

    /// How recalling went: `off` when mode or session do not recall, `words_only` without an embedding
    /// model, `failed` when the turn went on without memories, `replayed` when the answer was given before.
    RecallName of RecallNote { Off, Done, WordsOnly, Failed, Replayed }
}

/// What becomes of the memories drawn from what is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DrawnMemories {
    #[default]
    Keep,
    Delete,
}

impl From<DrawnMemories> for WithMemories {
    fn from(choice: DrawnMemories) -> Self {
        match choice {
            DrawnMemories::Keep => Self::Keep,
            DrawnMemories::Delete => Self::Forget,
        }
    }
}

/// Query of a deletion.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeletionQuery {
    /// `delete` also forgets the memories drawn from it; `keep` leaves them, without their source.
    #[serde(default)]
    #[param(inline, default = "keep")]
    pub(crate) memories: DrawnMemories,
}

/// Path of a memory profile.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct ProfilePath {
    /// Id of the memory profile.
    pub(crate) profile_id: Uuid,
}

/// Path of a memory.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct MemoryPath {
    /// Id of the memory profile.
    pub(crate) profile_id: Uuid,
    /// Id of the memory.
    pub(crate) memory_id: Uuid,
}

/// Path of a session.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct SessionPath {
    /// Id of the session.
    pub(crate) session_id: Uuid,
}

/// Path of a message.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct MessagePath {
    /// Id of the session.
    pub(crate) session_id: Uuid,
    /// Id of the message.
    pub(crate) message_id: Uuid,
}

/// Path of an API key.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct ApiKeyPath {
    /// Id of the API key.
    pub(crate) api_key_id: Uuid,
}

/// A sentence about what was done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DoneResponse {
    /// Fit to be shown to a person.
    #[schema(max_length = 200, example = "Done.")]
    pub(crate) message: &'static str,
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_moment_is_written_in_utc() {
        let at = Timestamp(datetime!(2026-01-01 02:30:00.5 +02:30));
        let text = serde_json::to_string(&at).unwrap_or_default();
        assert_eq!(text, r#""2026-01-01T00:00:00.5Z""#);
    }

    #[test]
    fn names_on_the_wire_are_the_names_in_the_domain() {
        let name = |value: serde_json::Value| value.as_str().map(str::to_owned);
        for mode in PrivacyMode::ALL {
            let wire = serde_json::json!(PrivacyModeName::from(mode));
            assert_eq!(name(wire).as_deref(), Some(mode.as_str()));
        }
        for scope in Scope::ALL {
            let wire = serde_json::json!(ScopeName::from(scope));
            assert_eq!(name(wire).as_deref(), Some(scope.as_str()));
        }
        for reason in ["stop", "length", "content_filter", "interrupted"] {
            let wire = FinishReason::parse(reason).map(FinishName::from);
            assert_eq!(name(serde_json::json!(wire)).as_deref(), Some(reason));
        }
    }

    #[test]
    fn absent_null_and_a_value_are_three_things() {
        #[derive(Deserialize)]
        struct Change {
            #[serde(default, deserialize_with = "sent")]
            #[expect(clippy::option_option, reason = "this is what is tested")]
            field: Option<Option<u8>>,
        }
        let read = |text| serde_json::from_str::<Change>(text).map(|c| c.field).ok();
        assert_eq!(read("{}"), Some(None));
        assert_eq!(read(r#"{"field": null}"#), Some(Some(None)));
        assert_eq!(read(r#"{"field": 1}"#), Some(Some(Some(1))));
    }
}
