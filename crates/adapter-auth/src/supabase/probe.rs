//! Is the service there, does it take our key, and how does it sign?

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::health::{Ailment, Probe};

use super::client::{AuthClient, Failure};
use super::verify::Verifier;

/// Looks whether Supabase Auth answers.
pub struct SupabaseProbe {
    client: AuthClient,
    verifier: Arc<Verifier>,
}

impl SupabaseProbe {
    const PATIENCE: Duration = Duration::from_secs(2);

    pub(super) fn new(client: AuthClient, verifier: Arc<Verifier>) -> Self {
        Self { client, verifier }
    }
}

fn ailment(failure: &Failure) -> Ailment {
    let way_out = match failure {
        Failure::Refused { .. } => "look at SUPABASE_KEY",
        Failure::Unavailable(_) => "look at SUPABASE_URL, the network and the project's status",
    };
    Ailment {
        problem: failure.to_string(),
        way_out: way_out.to_owned(),
    }
}

#[async_trait]
impl Probe for SupabaseProbe {
    fn name(&self) -> &'static str {
        "supabase_auth"
    }

    /// Whoever is logged in goes on without it.
    fn required(&self) -> bool {
        false
    }

    async fn check(&self) -> Result<String, Ailment> {
        let health = self.client.health(Self::PATIENCE);
        let (version, keys) = tokio::join!(health, self.verifier.published.count());
        let version = version.map_err(|failure| ailment(&failure))?;
        Ok(match keys.map_err(|failure| ailment(&failure))? {
            0 => format!("{version}, signs with a shared secret: it is asked about each token"),
            keys => format!("{version}, {keys} published keys"),
        })
    }
}
