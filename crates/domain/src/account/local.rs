//! Accounts kept in this service's own database.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use super::{
    AccessClaims, AccountDirectory, AccountError, Email, Identity, IdentityProvider, Login,
    Password, PasswordHasher, PasswordVerdict, RefreshClaims, SignUp, SignedIn, TokenAuthority,
    Tokens, User,
};
use crate::clock::{Clock, IdGenerator};
use crate::ids::{LoginId, ProfileId, UserId};
use crate::profile::Profile;
use crate::store::{Store, StoreError, repeat_aborted};

/// How long things last.
#[derive(Debug, Clone, Copy)]
pub struct LocalIdentityConfig {
    /// How long a log-in can be refreshed.
    pub login_lifetime: Duration,
}

impl Default for LocalIdentityConfig {
    fn default() -> Self {
        Self {
            login_lifetime: Duration::from_hours(30 * 24),
        }
    }
}

/// The identity provider that needs no other service.
pub struct LocalIdentity {
    store: Arc<dyn Store>,
    directory: Arc<dyn AccountDirectory>,
    hasher: Arc<dyn PasswordHasher>,
    tokens: Arc<dyn TokenAuthority>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
    config: LocalIdentityConfig,
}

impl LocalIdentity {
    /// Wires the provider.
    pub fn new(
        store: Arc<dyn Store>,
        directory: Arc<dyn AccountDirectory>,
        hasher: Arc<dyn PasswordHasher>,
        tokens: Arc<dyn TokenAuthority>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
        config: LocalIdentityConfig,
    ) -> Self {
        Self {
            store,
            directory,
            hasher,
            tokens,
            clock,
            ids,
            config,
        }
    }

    fn new_login(&self, user: UserId, now: OffsetDateTime) -> Login {
        Login {
            id: LoginId::new(self.ids.next()),
            user,
            generation: 1,
            created_at: now,
            expires_at: now + self.config.login_lifetime,
            revoked_at: None,
        }
    }

    fn tokens(
        &self,
        login: LoginId,
        user: UserId,
        generation: u32,
    ) -> Result<Tokens, AccountError> {
        let issued_at = self.clock.now();
        let expires_in = self.tokens.access_lifetime();
        let claims = AccessClaims {
            user,
            login,
            issued_at,
            expires_at: issued_at + expires_in,
        };
        let access = self
            .tokens
            .access(&claims)
            .map_err(|_| AccountError::BadToken)?;
        let refresh = self.tokens.refresh(RefreshClaims { login, generation });
        Ok(Tokens {
            access,
            refresh,
            expires_in,
        })
    }
}

#[async_trait]
impl IdentityProvider for LocalIdentity {
    async fn sign_up(
        &self,
        email: &Email,
        password: &Password,
        _from: Option<IpAddr>,
    ) -> Result<SignUp, AccountError> {
        let hash = self.hasher.hash(password).await?;
        let now = self.clock.now();
        let id = UserId::new(self.ids.next());
        let user = User {
            id,
            email: email.clone(),
            is_active: true,
            created_at: now,
            updated_at: now,
        };
        let profile = Profile::first(ProfileId::new(self.ids.next()), id, now);
        let login = self.new_login(id, now);

        repeat_aborted::<(), AccountError, _>(|| async {
            let mut work = self.store.begin(id).await?;
            match work.users().add(&user, Some(&hash)).await {
                Err(StoreError::Conflict { what: "email" }) => {
                    return Err(AccountError::EmailTaken);
                }
                other => other?,
            }
            work.profiles().add(&profile).await?;
            work.logins().add(&login).await?;
            Ok(work.commit().await?)
        })
        .await?;

        let tokens = self.tokens(login.id, id, login.generation)?;
        Ok(SignUp::Done(Box::new(SignedIn { user, tokens })))
    }

    async fn log_in(
        &self,
        email: &Email,
        password: &Password,
        _from: Option<IpAddr>,
    ) -> Result<SignedIn, AccountError> {
        let credential = self.directory.credential(email).await?;
        let verdict = self
            .hasher
            .verify(password, credential.as_ref().map(|c| &c.hash))
            .await?;
        let user_id = match (verdict, credential) {
            (PasswordVerdict::NoMatch, _) | (_, None) => return Err(AccountError::BadCredentials),
            (_, Some(credential)) if !credential.is_active => {
                return Err(AccountError::BadCredentials);
            }
            (_, Some(credential)) => credential.user,
        };
        let upgraded = match verdict {
            PasswordVerdict::MatchOutdated => Some(self.hasher.hash(password).await?),
            PasswordVerdict::Match | PasswordVerdict::NoMatch => None,
        };
        let now = self.clock.now();
        let login = self.new_login(user_id, now);

        let user = repeat_aborted::<User, AccountError, _>(|| async {
            let mut work = self.store.begin(user_id).await?;
            let user = work
                .users()
                .find()
                .await?
                .ok_or(AccountError::BadCredentials)?;
            if let Some(hash) = &upgraded {
                work.users().set_password(hash, now).await?;
            }
            work.logins().add(&login).await?;
            work.commit().await?;
            Ok(user)
        })
        .await?;

        Ok(SignedIn {
            user,
            tokens: self.tokens(login.id, user_id, login.generation)?,
        })
    }

    async fn refresh(
        &self,
        refresh_token: &str,
        _from: Option<IpAddr>,
    ) -> Result<SignedIn, AccountError> {
        let claims = self
            .tokens
            .verify_refresh(refresh_token)
            .map_err(|_| AccountError::BadToken)?;
        let state = self
            .directory
            .login(claims.login)
            .await?
            .ok_or(AccountError::BadToken)?;
        let now = self.clock.now();
        if !state.is_alive(now) {
            return Err(AccountError::BadToken);
        }
        let login = state.login;
        let (user, generation) = repeat_aborted::<(User, u32), AccountError, _>(|| async {
            let mut work = self.store.begin(login.user).await?;
            let user = work.users().find().await?.ok_or(AccountError::BadToken)?;
            let generation = if claims.generation == login.generation {
                // Of parallel calls one moves on; the others presented the direct parent.
                work.logins().advance(login.id, login.generation).await?;
                login.generation + 1
            } else if claims.generation.saturating_add(1) == login.generation {
                login.generation
            } else {
                work.logins().revoke(login.id, now).await?;
                work.commit().await?;
                return Err(AccountError::BadToken);
            };
            work.commit().await?;
            Ok((user, generation))
        })
        .await?;
        Ok(SignedIn {
            user,
            tokens: self.tokens(login.id, login.user, generation)?,
        })
    }

    async fn log_out(&self, identity: &Identity, _token: &str) -> Result<(), AccountError> {
        end_login(&*self.store, identity, self.clock.now()).await
    }

    async fn authenticate(&self, access_token: &str) -> Result<Identity, AccountError> {
        let now = self.clock.now();
        let claims = self
            .tokens
            .verify_access(access_token, now)
            .map_err(|_| AccountError::BadToken)?;
        let state = self
            .directory
            .login(claims.login)
            .await?
            .ok_or(AccountError::BadToken)?;
        if state.login.user != claims.user || !state.is_alive(now) {
            return Err(AccountError::BadToken);
        }
        Ok(Identity {
            user: claims.user,
            login: claims.login,
        })
    }
}

/// Ends a log-in here: its tokens are refused from now on.
pub(super) async fn end_login(
    store: &dyn Store,
    identity: &Identity,
    now: OffsetDateTime,
) -> Result<(), AccountError> {
    repeat_aborted(|| async {
        let mut work = store.begin(identity.user).await?;
        work.logins().revoke(identity.login, now).await?;
        work.commit().await
    })
    .await?;
    Ok(())
}
