//! Passwords, tokens and API keys: the account ports that need cryptography.
//!
//! | port | here | from |
//! |---|---|---|
//! | [`PasswordHasher`](domain::account::PasswordHasher) | [`BcryptHasher`] | bcrypt over a keyed pre-hash |
//! | [`TokenAuthority`](domain::account::TokenAuthority) | [`JwtAuthority`] | JWT for access, a keyed hash for refresh, SHA-256 for API keys |
//! | [`IdentityProvider`](domain::account::IdentityProvider) | [`SupabaseIdentity`] | a Supabase project, over HTTP |
//!
//! Everything keyed hangs off one [`SigningSecret`], which either comes from a setting or is made in
//! the data folder at first start. Each purpose gets a key of its own out of it, so nothing that was
//! made for one purpose passes for another. Losing or changing the secret ends every log-in and makes
//! every stored password unverifiable; API keys are not keyed and survive.
//!
//! Nothing here reads a database or a setting, the time comes from the domain's clock, and what is
//! logged holds no credential.
//!
//! # To add a kind of credential
//! Add a variant to `Purpose` in `secret.rs` (its label is the key's name for ever), a file beside
//! `refresh.rs` with a `make` and a `check`, and the cases to the port's contract suite in `testkit`.
//! # To change how passwords are hashed
//! Give the new scheme a new tag in `password.rs`, keep reading the old ones, and answer
//! `MatchOutdated` for them: accounts move over as people log in.

mod api_key;
mod password;
mod refresh;
mod secret;
mod supabase;
mod token;

pub use password::{BadCost, BcryptConfig, BcryptHasher};
pub use secret::{SecretError, SigningSecret, Weakness};
pub use supabase::{BadSupabase, SupabaseConfig, SupabaseIdentity, SupabaseProbe};
pub use token::{JwtAuthority, JwtConfig, TokenAlgorithm};
