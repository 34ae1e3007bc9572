//! How often somebody may call: what is counted, and who counts.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Source;
use crate::ids::UserId;

/// What is counted. Each has a bucket of its own.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Counted {
    /// Calls of a user.
    CallsOf(UserId),
    /// Calls from an address, where no user is known.
    CallsFrom(IpAddr),
    /// Attempts to get a credential, from an address.
    AttemptsFrom(IpAddr),
    /// Attempts to get a credential, for the account of an e-mail address; it need not exist.
    AttemptsOn(String),
}

impl Counted {
    /// A name that no other bucket has. It tells who is counted: hash it before it is kept anywhere.
    pub fn bucket(&self) -> String {
        match self {
            Self::CallsOf(user) => format!("calls/user/{user}"),
            Self::CallsFrom(address) => format!("calls/address/{address}"),
            Self::AttemptsFrom(address) => format!("attempts/address/{address}"),
            Self::AttemptsOn(account) => format!("attempts/account/{account}"),
        }
    }
}

/// What is counted, but not who: that is nothing for a log.
impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CallsOf(_) => "CallsOf(..)",
            Self::CallsFrom(_) => "CallsFrom(..)",
            Self::AttemptsFrom(_) => "AttemptsFrom(..)",
            Self::AttemptsOn(_) => "AttemptsOn(..)",
        })
    }
}

/// What is left of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Calls of a full bucket.
    pub quota: u32,
    /// Calls that are left.
    pub left: u32,
    /// How long until the bucket is full again; when nothing is left, until the next call may come.
    pub reset: Duration,
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It may go on.
    Granted(Budget),
    /// There were too many before it.
    Spent(Budget),
}

impl Taken {
    /// What is left.
    pub const fn budget(self) -> Budget {
        match self {
            Self::Granted(budget) | Self::Spent(budget) => budget,
        }
    }
}

/// The counts cannot be reached. Whoever asked counts by other means; no limit is ever off.
#[derive(Debug, thiserror::Error)]
#[error("the counts of calls cannot be reached")]
pub struct LimiterUnavailable(#[source] pub Source);

/// Counts calls per bucket. A full bucket is one quota of calls; it fills again evenly within a minute.
/// Time is the limiter's own, so that a clock which jumps forgives no calls and locks nobody out for
/// longer than a minute.
#[async_trait]
pub trait RateLimiter: Send + Sync {
    /// Takes one call out of the bucket, at once for everybody who shares the counts. A call that is
    /// not granted costs nothing.
    async fn take(
        &self,
        counted: &Counted,
        per_minute: NonZeroU32,
    ) -> Result<Taken, LimiterUnavailable>;
}
