//! Time and identifiers are inputs, so that tests decide them.

use time::OffsetDateTime;
use uuid::Uuid;

/// The wall clock, in UTC.
pub trait Clock: Send + Sync {
    /// The present moment. Stores keep microseconds, so finer parts must be cut off here.
    fn now(&self) -> OffsetDateTime;
}

/// Source of fresh identifiers.
pub trait IdGenerator: Send + Sync {
    /// An identifier never given before; later ones sort after earlier ones (UUID version 7).
    fn next(&self) -> Uuid;
}
