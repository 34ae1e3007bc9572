//! The contract of identity providers, with each way of signing.

use adapter_auth::SupabaseConfig;
use testkit::contract::identity_provider::{IdentityHarness, check};
use testkit::supabase::Config;
use testkit::supabase::keys::SigningKey;

use crate::support::world_with;

const SECRET: &str = "qV7f0sLx-TzM7bWcJ4hRy8GdNf2PaEkq3V";

async fn keeps_the_contract(key: fn() -> SigningKey, settle: fn(&mut SupabaseConfig)) {
    check(|| async move {
        let sign_so = |config: &mut Config| config.key = key();
        let world = world_with(sign_so, settle).await;
        IdentityHarness {
            identity: world.identity,
            store: world.store,
            clock: world.clock,
            keep: Box::new(world.upstream),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_es256() {
    keeps_the_contract(SigningKey::es256, |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_es256_and_sessions_that_are_asked_about() {
    keeps_the_contract(SigningKey::es256, |settings| settings.check_sessions = true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_rs256() {
    keeps_the_contract(SigningKey::rs256, |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_shared_secret_by_asking() {
    keeps_the_contract(|| SigningKey::hs256(SECRET.as_bytes()), |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_shared_secret_by_having_it() {
    let having_it = |settings: &mut SupabaseConfig| settings.jwt_secret = Some(SECRET.into());
    keeps_the_contract(|| SigningKey::hs256(SECRET.as_bytes()), having_it).await;
}
