//! Chooses who keeps the accounts: this service itself, or a Supabase project.

use std::sync::Arc;

use adapter_auth::{SupabaseIdentity, SupabaseProbe};
use anyhow::Result;
use domain::account::{AccountDirectory, ForeignAccounts, IdentityProvider};
use domain::clock::{Clock, IdGenerator};
use domain::health::Probe;
use domain::store::Store;
use tracing::warn;

use crate::settings::Settings;

/// One line about settings that cannot work; nobody is called.
pub fn check(settings: &Settings) -> Result<()> {
    match &settings.auth.supabase {
        Some(config) => Ok(config.check()?),
        None => Ok(()),
    }
}

/// Who keeps the accounts, in a few words.
pub fn line(settings: &Settings) -> String {
    match &settings.auth.supabase {
        Some(config) => format!("Supabase Auth at {}", config.url),
        None => "in the database".to_owned(),
    }
}

/// The provider; `local` goes on with what it opened before.
pub fn choose<S: Store + AccountDirectory + 'static>(
    settings: &Settings,
    local: Arc<dyn IdentityProvider>,
    store: &Arc<S>,
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn IdGenerator>,
) -> Result<Arc<dyn IdentityProvider>> {
    let Some(config) = &settings.auth.supabase else {
        return Ok(local);
    };
    for warning in config.warnings() {
        warn!("{warning}");
    }
    let (rows, directory) = (Arc::clone(store), Arc::clone(store));
    let accounts = ForeignAccounts::new(rows, directory, Arc::clone(clock), Arc::clone(ids));
    let identity = SupabaseIdentity::new(config, accounts, clock, local)?;
    Ok(Arc::new(identity))
}

/// How the project is, if one is set.
pub fn probe(settings: &Settings) -> Result<Option<Arc<dyn Probe>>> {
    let Some(config) = &settings.auth.supabase else {
        return Ok(None);
    };
    Ok(Some(Arc::new(SupabaseProbe::new(config)?)))
}
