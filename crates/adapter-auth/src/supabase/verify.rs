//! Is this a good token of the project, and whose?

use std::sync::Arc;

use domain::account::AccountError;
use domain::clock::Clock;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};

use super::claims::{Claims, Head, MAX_TOKEN_BYTES, Verified, part};
use super::client::AuthClient;
use super::config::SupabaseConfig;
use super::jwks::Jwks;
use super::legacy::{Legacy, secret_key};

/// Checks tokens of one issuer.
pub(super) struct Verifier {
    issuer: String,
    clock: Arc<dyn Clock>,
    pub(super) published: Jwks,
    secret: Option<DecodingKey>,
    legacy: Legacy,
}

/// The library checks signature and algorithm, one at a time. Its checks of claims would read the
/// system's clock and pass over what is absent, so [`Claims::check`] does all of them.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

impl Verifier {
    pub(super) fn new(
        config: &SupabaseConfig,
        client: &AuthClient,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        Self {
            issuer: client.issuer().to_owned(),
            clock: Arc::clone(clock),
            published: Jwks::new(client.clone(), Arc::clone(clock)),
            secret: secret_key(config.jwt_secret.as_ref()),
            legacy: Legacy::new(client.clone(), Arc::clone(clock)),
        }
    }

    /// [`AccountError::BadToken`] for every flaw; [`AccountError::Provider`] when it cannot be told.
    pub(super) async fn verify(&self, token: &str) -> Result<Verified, AccountError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AccountError::BadToken);
        }
        let head = Head::of(token).map_err(|_| AccountError::BadToken)?;
        // What says the wrong things costs no call, whoever signed it.
        let says = part::<Claims>(token, 1).and_then(|claims| self.check(claims));
        let says = says.map_err(|_| AccountError::BadToken)?;
        match head.alg.as_str() {
            "ES256" => self.by_key(token, &head, Algorithm::ES256).await,
            "RS256" => self.by_key(token, &head, Algorithm::RS256).await,
            "HS256" => match &self.secret {
                Some(secret) => self.signed(token, secret, Algorithm::HS256),
                None => self.legacy.ask(token, &says).await.map(|()| says),
            },
            _ => Err(AccountError::BadToken),
        }
    }

    async fn by_key(
        &self,
        token: &str,
        head: &Head,
        algorithm: Algorithm,
    ) -> Result<Verified, AccountError> {
        let kid = head.kid.as_deref().ok_or(AccountError::BadToken)?;
        let key = self.published.key(kid).await?;
        if key.algorithm != algorithm {
            return Err(AccountError::BadToken);
        }
        self.signed(token, &key.decoding, algorithm)
    }

    fn signed(
        &self,
        token: &str,
        key: &DecodingKey,
        algorithm: Algorithm,
    ) -> Result<Verified, AccountError> {
        let decoded = decode::<Claims>(token, key, &signature_only(algorithm));
        let claims = decoded.map_err(|_| AccountError::BadToken)?.claims;
        self.check(claims).map_err(|_| AccountError::BadToken)
    }

    fn check(&self, claims: Claims) -> Result<Verified, domain::account::TokenError> {
        claims.check(&self.issuer, self.clock.now())
    }
}
