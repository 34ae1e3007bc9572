//! Chooses who keeps the accounts: this service itself, or a Supabase project.

use std::sync::Arc;

use adapter_auth::{SupabaseIdentity, SupabaseProbe};
use anyhow::Result;
use domain::account::{AccountDirectory, ForeignAccounts, IdentityProvider};
use domain::clock::{Clock, IdGenerator};
use domain::health::Probe;
use domain::store::Store;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::settings::Settings;
use crate::signals::Hangups;

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

/// The project as the provider, if one is set; `local` goes on with what it opened before.
pub fn connect<S: Store + AccountDirectory + 'static>(
    settings: &Settings,
    local: &Arc<dyn IdentityProvider>,
    store: &Arc<S>,
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn IdGenerator>,
) -> Result<Option<Arc<SupabaseIdentity>>> {
    let Some(config) = &settings.auth.supabase else {
        return Ok(None);
    };
    for warning in config.warnings() {
        warn!("{warning}");
    }
    let (rows, directory) = (Arc::clone(store), Arc::clone(store));
    let accounts = ForeignAccounts::new(rows, directory, Arc::clone(clock), Arc::clone(ids));
    let identity = SupabaseIdentity::new(config, accounts, clock, Arc::clone(local))?;
    Ok(Some(Arc::new(identity)))
}

/// SIGHUP makes the server forget what it keeps of Supabase's answers, for a key that was revoked.
pub async fn forget_at_hangup(
    supabase: Arc<SupabaseIdentity>,
    mut hangups: Hangups,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = hangups.next() => {}
        }
        supabase.forget();
        info!(
            signal = "SIGHUP",
            "forgot the signing keys of Supabase Auth and what it said of tokens"
        );
    }
}

/// How the project is, if one is set.
pub fn probe(settings: &Settings) -> Result<Option<Arc<dyn Probe>>> {
    let Some(config) = &settings.auth.supabase else {
        return Ok(None);
    };
    Ok(Some(Arc::new(SupabaseProbe::new(config)?)))
}
