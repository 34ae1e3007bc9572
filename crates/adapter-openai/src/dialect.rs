//! What a service does not understand, learned from its refusals.
//!
//! Services agree on the core of the API and differ at its edges. No table of services is kept here:
//! each optional [`Feature`] is sent until a call fails with it and works without it.

use std::sync::atomic::{AtomicU8, Ordering};

/// Something that a service may refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Feature {
    /// `stream_options`, to be told the tokens that were used.
    Usage = 1,
    /// `max_tokens`; its younger name is `max_completion_tokens`.
    MaxTokens = 2,
    /// `temperature`; reasoning models take none.
    Temperature = 4,
    /// An answer that follows a JSON schema.
    JsonSchema = 8,
    /// An answer that is a JSON object.
    JsonObject = 16,
}

impl Feature {
    /// In the order in which they are given up; of two with one parameter the better one first.
    const ALL: [Self; 5] = [
        Self::Usage,
        Self::MaxTokens,
        Self::Temperature,
        Self::JsonSchema,
        Self::JsonObject,
    ];

    /// The parameter of the request that asks for it.
    pub(crate) const fn param(self) -> &'static str {
        match self {
            Self::Usage => "stream_options",
            Self::MaxTokens => "max_tokens",
            Self::Temperature => "temperature",
            Self::JsonSchema | Self::JsonObject => "response_format",
        }
    }

    /// The parameter that a complaint is about.
    pub(crate) fn param_named_in(complaint: &str) -> Option<&'static str> {
        Self::ALL
            .map(Self::param)
            .into_iter()
            .find(|param| complaint.contains(param))
    }
}

/// What a service understands, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Dialect {
    refused: u8,
}

impl Dialect {
    pub(crate) fn speaks(self, feature: Feature) -> bool {
        self.refused & feature as u8 == 0
    }

    /// The dialect without the best feature that this parameter asks for; `None` when all of them are
    /// given up already.
    pub(crate) fn without(self, param: &str) -> Option<Self> {
        let feature = Feature::ALL
            .into_iter()
            .find(|f| f.param() == param && self.speaks(*f))?;
        Some(Self {
            refused: self.refused | feature as u8,
        })
    }
}

/// The dialect of a service, shared by all that call it.
#[derive(Debug, Default)]
pub(crate) struct KnownDialect(AtomicU8);

impl KnownDialect {
    pub(crate) fn get(&self) -> Dialect {
        Dialect {
            refused: self.0.load(Ordering::Relaxed),
        }
    }

    /// Remembers what a call that worked had to do without.
    pub(crate) fn learn(&self, dialect: Dialect) {
        self.0.fetch_or(dialect.refused, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_format_is_given_up_first_and_each_once() {
        let format = Feature::JsonSchema.param();
        let second = Dialect::default().without(format).unwrap();
        assert!(!second.speaks(Feature::JsonSchema) && second.speaks(Feature::JsonObject));
        let last = second.without(format).unwrap();
        assert!(!last.speaks(Feature::JsonObject) && last.speaks(Feature::Usage));
        assert_eq!(last.without(format), None);
        assert_eq!(last.without("something_else"), None);
    }

    #[test]
    fn what_is_learned_adds_up() {
        let known = KnownDialect::default();
        known.learn(Dialect::default().without("temperature").unwrap());
        known.learn(Dialect::default().without("max_tokens").unwrap());
        assert!(
            !known.get().speaks(Feature::Temperature) && !known.get().speaks(Feature::MaxTokens)
        );
    }
}
