//! Typed identifiers: a profile's id cannot be passed where a session's is meant.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps an id that came from an [`IdGenerator`](crate::clock::IdGenerator), a row or a request.
            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }

            /// The bare identifier.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )+};
}

ids! {
    /// A person with an account.
    UserId,
    /// One log-in of a user; logging out ends it.
    LoginId,
    /// A key for service-to-service calls.
    ApiKeyId,
    /// An isolated set of memories of one user.
    ProfileId,
    /// A conversation.
    SessionId,
    /// A question or an answer.
    MessageId,
    /// Something remembered; also the id of its point in the memory index.
    MemoryId,
    /// A piece of work in the outbox.
    JobId,
}
