//! Accounts kept by Supabase Auth.
//!
//! | file | |
//! |---|---|
//! | `config` | the project's address and keys |
//! | `client` | the calls, their bounds, the two shapes of errors |
//! | `refusal` | the table from upstream's codes to [`AccountError`](domain::account::AccountError) |
//! | `claims` | what a token must say |
//! | `jwks` | the published keys: fetched rarely, kept for a while |
//! | `inquiry` | what the service itself says of a token: believed for a minute |
//! | `verify` | how a token is to be judged, and whether it is good |
//! | `identity` | the [`IdentityProvider`](domain::account::IdentityProvider) over all of it |
//!
//! A token is judged by its issuer first, and each issuer's tokens by keys of one family that only
//! they are judged by: the published ones for ES256 and RS256, the shared secret (or the service
//! itself, which has it) for HS256. Nothing in a token chooses a key but the id of a published one.
//!
//! What is kept of the service's answers (keys, and its word on tokens) can be forgotten at once, for a
//! key that was revoked: [`SupabaseIdentity::forget`].

mod claims;
mod client;
mod config;
mod flight;
mod identity;
mod inquiry;
mod jwks;
mod probe;
mod refusal;
mod verify;

pub use config::{BadSupabase, SupabaseConfig};
pub use identity::SupabaseIdentity;
pub use probe::SupabaseProbe;
