//! The identity provider.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::account::{
    AccountError, Email, ForeignAccounts, Identity, IdentityProvider, Password, SignUp, SignedIn,
    Tokens,
};
use domain::clock::Clock;
use futures::FutureExt;
use sha2::{Digest, Sha256};

use super::claims::{Verified, said_issuer};
use super::client::{AuthClient, Failure, Session};
use super::config::{BadSupabase, SupabaseConfig};
use super::flight::Flights;
use super::refusal::{Asked, account_error};
use super::verify::Verifier;
use crate::refresh::PREFIX as OWN_REFRESH;

/// Longest refresh token that is handed on.
const MAX_REFRESH_BYTES: usize = 256;

/// Accounts of a Supabase project. People who log in here, and people whose web client logged in with
/// the project itself, are the same to it: a verified token lets them in.
///
/// Log-ins that this service opened itself, before, go on with the provider that opened them.
pub struct SupabaseIdentity {
    client: AuthClient,
    verifier: Verifier,
    accounts: ForeignAccounts,
    local: Arc<dyn IdentityProvider>,
    refreshes: Flights<[u8; 32], Result<Session, Failure>>,
    allow_anonymous: bool,
}

impl SupabaseIdentity {
    /// Checks the settings; calls nobody.
    pub fn new(
        config: &SupabaseConfig,
        accounts: ForeignAccounts,
        clock: &Arc<dyn Clock>,
        local: Arc<dyn IdentityProvider>,
    ) -> Result<Self, BadSupabase> {
        let client = AuthClient::new(config)?;
        Ok(Self {
            verifier: Verifier::new(config, &client, clock),
            client,
            accounts,
            local,
            refreshes: Flights::default(),
            allow_anonymous: config.allow_anonymous,
        })
    }

    /// Forgets the signing keys and everything the service said of tokens: a key that was revoked there
    /// is refused from now on. While the service cannot be asked anew, its tokens are refused as
    /// [`AccountError::Provider`], so that nobody is logged out by it.
    pub fn forget(&self) {
        self.verifier.purge();
    }

    /// Is it a token of the project, going by what it says? Others are the local provider's to judge.
    fn is_projects(&self, token: &str) -> bool {
        said_issuer(token).is_some_and(|issuer| issuer == self.client.issuer())
    }

    async fn admit(&self, verified: &Verified) -> Result<Identity, AccountError> {
        if verified.is_anonymous && !self.allow_anonymous {
            return Err(AccountError::Anonymous);
        }
        self.accounts.admit(&verified.login).await
    }

    /// Lets somebody in with the tokens that upstream just gave: not before they are verified.
    async fn signed_in(&self, session: Session) -> Result<SignedIn, AccountError> {
        let verified = match self.verifier.verify(&session.access_token).await {
            Err(AccountError::BadToken) => {
                return Err(AccountError::Provider(
                    "a fresh token does not verify; look at SUPABASE_ISSUER and the clocks".into(),
                ));
            }
            other => other?,
        };
        let identity = self.admit(&verified).await?;
        Ok(SignedIn {
            user: self.accounts.user(&identity).await?,
            tokens: Tokens {
                access: session.access_token,
                refresh: session.refresh_token,
                expires_in: Duration::from_secs(session.expires_in),
            },
        })
    }
}

#[async_trait]
impl IdentityProvider for SupabaseIdentity {
    async fn sign_up(
        &self,
        email: &Email,
        password: &Password,
        from: Option<IpAddr>,
    ) -> Result<SignUp, AccountError> {
        let made = self.client.sign_up(email, password.expose(), from).await;
        match made.map_err(|failure| account_error(Asked::SignUp, failure))? {
            Some(session) => Ok(SignUp::Done(Box::new(self.signed_in(session).await?))),
            // The user in the answer may be invented: no row is made of it.
            None => Ok(SignUp::ConfirmationSent),
        }
    }

    async fn log_in(
        &self,
        email: &Email,
        password: &Password,
        from: Option<IpAddr>,
    ) -> Result<SignedIn, AccountError> {
        let opened = self.client.log_in(email, password.expose(), from).await;
        let session = opened.map_err(|failure| account_error(Asked::LogIn, failure))?;
        self.signed_in(session).await
    }

    async fn refresh(
        &self,
        refresh_token: &str,
        from: Option<IpAddr>,
    ) -> Result<SignedIn, AccountError> {
        if refresh_token.starts_with(OWN_REFRESH) {
            return self.local.refresh(refresh_token, from).await;
        }
        if refresh_token.is_empty() || refresh_token.len() > MAX_REFRESH_BYTES {
            return Err(AccountError::BadToken);
        }
        // One call per token at a time. After a failure it is not sent again from here: the caller
        // still has it, and upstream answers a repetition with the pair in force.
        let start = || {
            let (client, token) = (self.client.clone(), refresh_token.to_owned());
            async move { client.refresh(&token, from).await }.boxed()
        };
        let fingerprint = Sha256::digest(refresh_token).into();
        let next = self.refreshes.join(fingerprint, start).await;
        let session = next.map_err(|failure| account_error(Asked::Refresh, failure))?;
        self.signed_in(session).await
    }

    async fn log_out(&self, identity: &Identity, access_token: &str) -> Result<(), AccountError> {
        if !self.is_projects(access_token) {
            return self.local.log_out(identity, access_token).await;
        }
        // First here, where it counts at once: upstream's own log-out leaves the access token alive.
        self.accounts.end(identity).await?;
        match self.client.log_out(access_token).await {
            Ok(())
            | Err(Failure::Refused {
                status: 401 | 403 | 404,
                ..
            }) => {}
            Err(error) => {
                tracing::warn!(%error, "a log-in was ended here, but not at Supabase Auth");
            }
        }
        Ok(())
    }

    async fn authenticate(&self, access_token: &str) -> Result<Identity, AccountError> {
        if !self.is_projects(access_token) {
            return self.local.authenticate(access_token).await;
        }
        let verified = self.verifier.verify(access_token).await?;
        self.admit(&verified).await
    }
}
