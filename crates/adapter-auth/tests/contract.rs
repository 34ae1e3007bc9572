//! The contracts of the two ports, on the real things.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail by panicking")]

use std::sync::Arc;

use adapter_auth::{
    BcryptConfig, BcryptHasher, JwtAuthority, JwtConfig, SigningSecret, TokenAlgorithm,
};
use domain::account::{PasswordHasher, TokenAuthority};
use testkit::contract;

fn secret() -> SigningSecret {
    SigningSecret::from_setting("kq3V-9sLx0_TzM7bWcJ4hRy8GdNf2PaE").unwrap()
}

#[tokio::test]
async fn bcrypt_keeps_the_contract_of_password_hashers() {
    contract::password_hasher::check(|| async {
        let config = BcryptConfig {
            cost: 4,
            ..BcryptConfig::default()
        };
        Arc::new(BcryptHasher::new(&secret(), config).unwrap()) as Arc<dyn PasswordHasher>
    })
    .await;
}

#[tokio::test]
async fn jwt_keeps_the_contract_of_token_authorities_with_every_algorithm() {
    for algorithm in [
        TokenAlgorithm::Hs256,
        TokenAlgorithm::Hs384,
        TokenAlgorithm::Hs512,
    ] {
        let config = JwtConfig {
            algorithm,
            ..JwtConfig::default()
        };
        contract::token_authority::check(|| async move {
            Arc::new(JwtAuthority::new(&secret(), config)) as Arc<dyn TokenAuthority>
        })
        .await;
    }
}
