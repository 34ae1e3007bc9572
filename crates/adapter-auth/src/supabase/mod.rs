//! Accounts kept by Supabase Auth.
//!
//! | file | |
//! |---|---|
//! | `config` | the project's address and keys |
//! | `client` | the calls, their bounds, the two shapes of errors |
//! | `refusal` | the table from upstream's codes to [`AccountError`](domain::account::AccountError) |
//! | `claims` | what a token must say |
//! | `jwks` | the published keys: fetched rarely, kept for a while |
//! | `legacy` | tokens signed with the old shared secret |
//! | `verify` | which of the two a token is, and whether it is good |
//! | `identity` | the [`IdentityProvider`](domain::account::IdentityProvider) over all of it |
//!
//! A token is judged by its issuer first, and each issuer's tokens by keys of one family that only
//! they are judged by: the published ones for ES256 and RS256, the shared secret (or the service
//! itself, which has it) for HS256. Nothing in a token chooses a key but the id of a published one.

mod claims;
mod client;
mod config;
mod flight;
mod identity;
mod jwks;
mod legacy;
mod probe;
mod refusal;
mod verify;

pub use config::{BadSupabase, SupabaseConfig};
pub use identity::SupabaseIdentity;
pub use probe::SupabaseProbe;
