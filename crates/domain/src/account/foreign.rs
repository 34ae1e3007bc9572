//! Users who prove elsewhere who they are: their rows here, and their log-ins.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::local::end_login;
use super::{AccountDirectory, AccountError, Email, Identity, Login, User};
use crate::clock::{Clock, IdGenerator};
use crate::ids::{LoginId, ProfileId, UserId};
use crate::profile::Profile;
use crate::store::{Store, StoreError, repeat_aborted};

/// What a verified token of another issuer says. Nothing else may become one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignLogin {
    /// Who vouches: the verified `iss`.
    pub issuer: String,
    /// Whom the issuer calls by this; only together with `issuer` does it name a person.
    pub subject: Uuid,
    /// What the issuer calls the log-in.
    pub session: Uuid,
    /// The person's address at the moment, if the issuer knows one.
    pub email: Option<Email>,
    /// From when on the token is refused.
    pub expires_at: OffsetDateTime,
}

impl ForeignLogin {
    /// The user, known from the token alone, and the same in every process.
    pub fn user(&self) -> UserId {
        UserId::new(self.derived("user", &self.subject))
    }

    /// The log-in, likewise.
    pub fn login(&self) -> LoginId {
        LoginId::new(self.derived("login", &self.session))
    }

    fn derived(&self, kind: &str, id: &Uuid) -> Uuid {
        let name = format!("{kind}\n{}\n{id}", self.issuer);
        Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes())
    }

    /// Until when the row of the log-in is said to last.
    fn lasts(&self) -> OffsetDateTime {
        self.expires_at.saturating_add(AHEAD)
    }

    /// Their address; one that reaches nobody for a person without one.
    fn address(&self) -> Result<Email, AccountError> {
        match &self.email {
            Some(email) => Ok(email.clone()),
            None => Ok(format!("{}@no-address.invalid", self.subject).parse()?),
        }
    }
}

/// The rows of users whom another issuer vouches for. A row, with its default profile, is made at the
/// first token that was verified, once; the log-in's row is what a log-out is written on.
pub struct ForeignAccounts {
    store: Arc<dyn Store>,
    directory: Arc<dyn AccountDirectory>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
    seen: Seen,
}

/// So much longer than its token a log-in's row is said to last, so that it is not written anew for each
/// token of its session.
const AHEAD: Duration = Duration::DAY;

/// How often a newcomer's rows are looked for: after a lost race they are there at the second look.
const LOOKS: usize = 3;

impl ForeignAccounts {
    /// Wires the accounts.
    pub fn new(
        store: Arc<dyn Store>,
        directory: Arc<dyn AccountDirectory>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
    ) -> Self {
        Self {
            store,
            directory,
            clock,
            ids,
            seen: Seen::default(),
        }
    }

    /// Lets a verified token in: costs one look-up, and for a new log-in or address, and once a day, one
    /// unit of work.
    /// [`AccountError::BadToken`] when the log-in was ended here, or the user is deactivated.
    pub async fn admit(&self, login: &ForeignLogin) -> Result<Identity, AccountError> {
        let identity = Identity {
            user: login.user(),
            login: login.login(),
        };
        let address = login.address()?;
        for _ in 0..LOOKS {
            let state = self.directory.login(identity.login).await?;
            if let Some(state) = &state {
                if state.login.user != identity.user {
                    return Err(AccountError::BadToken);
                }
                if state.login.expires_at < login.expires_at {
                    self.extend(login).await?;
                }
                if !state.is_open() {
                    return Err(AccountError::BadToken);
                }
            }
            if state.is_some() && self.seen.at(identity.user, &address) {
                return Ok(identity);
            }
            match self.adopt(login, &address, state.is_none()).await {
                // Another request was first; what it wrote is read now.
                Err(StoreError::Conflict { .. }) => {}
                Ok(()) => self.seen.remember(identity.user, &address),
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccountError::Provider(
            "the rows of a new user keep changing".into(),
        ))
    }

    /// The issuer ends log-ins, not a date: the row follows its tokens, also that of one which was ended
    /// here, so that this is not forgotten while there are any.
    async fn extend(&self, login: &ForeignLogin) -> Result<(), StoreError> {
        repeat_aborted(|| async {
            let mut work = self.store.begin(login.user()).await?;
            work.logins().extend(login.login(), login.lasts()).await?;
            work.commit().await
        })
        .await
    }

    async fn adopt(
        &self,
        foreign: &ForeignLogin,
        address: &Email,
        is_new: bool,
    ) -> Result<(), StoreError> {
        let (id, now) = (foreign.user(), self.clock.now());
        let user = User {
            id,
            email: address.clone(),
            is_active: true,
            created_at: now,
            updated_at: now,
        };
        repeat_aborted(|| async {
            let mut work = self.store.begin(id).await?;
            if work.users().adopt(&user, &foreign.issuer).await? {
                let profile = Profile::first(ProfileId::new(self.ids.next()), id, now);
                work.profiles().add(&profile).await?;
            }
            if is_new {
                let login = Login {
                    id: foreign.login(),
                    user: id,
                    generation: 1,
                    created_at: now,
                    expires_at: foreign.lasts(),
                    revoked_at: None,
                };
                work.logins().add(&login).await?;
            }
            work.commit().await
        })
        .await
    }

    /// Ends a log-in here: its tokens are refused from now on, in every process on this database.
    pub async fn end(&self, identity: &Identity) -> Result<(), AccountError> {
        end_login(&*self.store, identity, self.clock.now()).await
    }

    /// The row of a user who was let in.
    pub async fn user(&self, identity: &Identity) -> Result<User, AccountError> {
        let mut work = self.store.read(identity.user).await?;
        work.users().find().await?.ok_or(AccountError::BadToken)
    }
}

/// Which address each user had when it was last compared with the row. Only a saving: forgetting all
/// of it costs a unit of work per user.
#[derive(Default)]
struct Seen {
    hasher: RandomState,
    addresses: Mutex<HashMap<UserId, u64>>,
}

impl Seen {
    const MOST: usize = 100_000;

    fn at(&self, user: UserId, address: &Email) -> bool {
        let addresses = self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        addresses.get(&user) == Some(&self.hasher.hash_one(address))
    }

    fn remember(&self, user: UserId, address: &Email) {
        let mut addresses = self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if addresses.len() >= Self::MOST {
            addresses.clear();
        }
        addresses.insert(user, self.hasher.hash_one(address));
    }
}
