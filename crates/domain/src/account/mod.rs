//! Who is asking: accounts, log-ins, API keys and the right to act.

mod error;
mod foreign;
mod local;
mod model;
mod ports;
mod service;

pub use error::AccountError;
pub use foreign::{ForeignAccounts, ForeignLogin};
pub use local::{LocalIdentity, LocalIdentityConfig};
pub use model::{
    Actor, ApiKey, ApiKeyDraft, BadEmail, Credential, ENDED_LOGINS_KEPT, Email, Identity, Login,
    LoginState, Password, PasswordHash, Scope, SignUp, SignedIn, Tokens, User, Via, WeakPassword,
};
pub use ports::{
    AccessClaims, AccountDirectory, ApiKeyRepository, HashError, IdentityProvider, LoginRepository,
    MintedKey, PasswordHasher, PasswordVerdict, RefreshClaims, TokenAuthority, TokenError,
    UserRepository,
};
pub use service::AccountService;
