//! Signing up, logging in, and finding out who asks.

use std::net::IpAddr;
use std::sync::Arc;

use super::{
    AccountDirectory, AccountError, Actor, ApiKey, ApiKeyDraft, Email, IdentityProvider, Password,
    SignUp, SignedIn, TokenAuthority, User, Via,
};
use crate::clock::{Clock, IdGenerator};
use crate::error::FieldError;
use crate::ids::ApiKeyId;
use crate::store::{Store, repeat_aborted};

/// Accounts and credentials.
pub struct AccountService {
    identity: Arc<dyn IdentityProvider>,
    store: Arc<dyn Store>,
    directory: Arc<dyn AccountDirectory>,
    tokens: Arc<dyn TokenAuthority>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
}

impl AccountService {
    /// Wires the service.
    pub fn new(
        identity: Arc<dyn IdentityProvider>,
        store: Arc<dyn Store>,
        directory: Arc<dyn AccountDirectory>,
        tokens: Arc<dyn TokenAuthority>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
    ) -> Self {
        Self {
            identity,
            store,
            directory,
            tokens,
            clock,
            ids,
        }
    }

    /// Makes an account with its first profile, all or nothing. `from`: the caller's address.
    pub async fn sign_up(
        &self,
        email: &str,
        password: String,
        from: Option<IpAddr>,
    ) -> Result<SignUp, AccountError> {
        let email: Email = email.parse()?;
        let password = Password::choose(password)?;
        self.identity.sign_up(&email, &password, from).await
    }

    /// Logs in. An unknown address, one that is no address, and a wrong password answer alike.
    pub async fn log_in(
        &self,
        email: &str,
        password: String,
        from: Option<IpAddr>,
    ) -> Result<SignedIn, AccountError> {
        let email: Email = email.parse().map_err(|_| AccountError::BadCredentials)?;
        self.identity
            .log_in(&email, &Password::attempt(password), from)
            .await
    }

    /// The next pair of tokens.
    pub async fn refresh(
        &self,
        refresh_token: &str,
        from: Option<IpAddr>,
    ) -> Result<SignedIn, AccountError> {
        self.identity.refresh(refresh_token, from).await
    }

    /// Ends the log-in that the caller's token belongs to.
    pub async fn log_out(&self, actor: &Actor, access_token: &str) -> Result<(), AccountError> {
        self.identity
            .log_out(actor.require_login()?, access_token)
            .await
    }

    /// Who an access token speaks for.
    pub async fn authenticate(&self, access_token: &str) -> Result<Actor, AccountError> {
        let identity = self.identity.authenticate(access_token).await?;
        Ok(Actor {
            user: identity.user,
            via: Via::Login(identity),
        })
    }

    /// Who an API key acts for.
    pub async fn authenticate_key(&self, secret: &str) -> Result<Actor, AccountError> {
        let hash = self
            .tokens
            .api_key_hash(secret)
            .ok_or(AccountError::BadApiKey)?;
        let key = self
            .directory
            .api_key(&hash)
            .await?
            .ok_or(AccountError::BadApiKey)?;
        if !key.is_alive(self.clock.now()) {
            return Err(AccountError::BadApiKey);
        }
        Ok(Actor {
            user: key.user,
            via: Via::ApiKey(key.id, key.scopes),
        })
    }

    /// The caller's account.
    pub async fn me(&self, actor: &Actor) -> Result<User, AccountError> {
        let mut work = self.store.read(actor.user).await?;
        work.users().find().await?.ok_or(AccountError::UserNotFound)
    }

    /// Makes an API key; the secret is returned here and never again.
    pub async fn create_api_key(
        &self,
        actor: &Actor,
        draft: ApiKeyDraft,
    ) -> Result<(ApiKey, String), AccountError> {
        actor.require_login()?;
        let now = self.clock.now();
        check_draft(&draft, now)?;
        let minted = self
            .tokens
            .mint_api_key()
            .map_err(|e| AccountError::Provider(Box::new(e)))?;
        let key = ApiKey {
            id: ApiKeyId::new(self.ids.next()),
            user: actor.user,
            name: draft.name,
            prefix: minted.prefix,
            scopes: draft.scopes,
            created_at: now,
            expires_at: draft.expires_at,
            revoked_at: None,
        };
        repeat_aborted(|| async {
            let mut work = self.store.begin(actor.user).await?;
            work.api_keys().add(&key, &minted.hash).await?;
            work.commit().await
        })
        .await?;
        Ok((key, minted.secret))
    }

    /// The caller's API keys, newest first.
    pub async fn list_api_keys(&self, actor: &Actor) -> Result<Vec<ApiKey>, AccountError> {
        actor.require_login()?;
        let mut work = self.store.read(actor.user).await?;
        Ok(work.api_keys().list().await?)
    }

    /// Revokes a key; it is refused from now on.
    pub async fn revoke_api_key(&self, actor: &Actor, id: ApiKeyId) -> Result<(), AccountError> {
        actor.require_login()?;
        repeat_aborted(|| async {
            let mut work = self.store.begin(actor.user).await?;
            if !work.api_keys().revoke(id, self.clock.now()).await? {
                return Err(AccountError::ApiKeyNotFound);
            }
            Ok(work.commit().await?)
        })
        .await
    }
}

fn check_draft(draft: &ApiKeyDraft, now: time::OffsetDateTime) -> Result<(), AccountError> {
    let mut wrong = Vec::new();
    if !(1..=100).contains(&draft.name.trim().chars().count()) || draft.name.contains('\0') {
        wrong.push(FieldError::new("name", "1 to 100 characters"));
    }
    if draft.scopes.is_empty() {
        wrong.push(FieldError::new(
            "scopes",
            "at least one of read, write, chat",
        ));
    }
    if draft.expires_at.is_some_and(|end| end <= now) {
        wrong.push(FieldError::new("expires_at", "must be in the future"));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(AccountError::ApiKeyDraft(wrong))
    }
}
