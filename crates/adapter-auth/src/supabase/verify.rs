//! Is this a good token of the project, and whose?

use std::iter;
use std::sync::Arc;

use domain::account::AccountError;
use domain::clock::Clock;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use secrecy::{ExposeSecret, SecretString};

use super::claims::{Claims, Head, MAX_TOKEN_BYTES, Verified, part};
use super::client::AuthClient;
use super::config::SupabaseConfig;
use super::inquiry::Inquiry;
use super::jwks::Jwks;

/// Checks tokens of one issuer.
pub(super) struct Verifier {
    issuer: String,
    clock: Arc<dyn Clock>,
    published: Jwks,
    secret: Option<DecodingKey>,
    /// For tokens of the old shared secret, when it is not here.
    unverified: Inquiry,
    /// For tokens that were verified, when their sessions count too. Apart from the others: a flood of
    /// forgeries must not take their turns.
    sessions: Option<Inquiry>,
}

/// The shared secret as a key.
fn secret_key(secret: &SecretString) -> DecodingKey {
    DecodingKey::from_secret(secret.expose_secret().trim().as_bytes())
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
        let inquiry = || Inquiry::new(client.clone(), Arc::clone(clock));
        Self {
            issuer: client.issuer().to_owned(),
            clock: Arc::clone(clock),
            published: Jwks::new(client.clone(), Arc::clone(clock)),
            secret: config.jwt_secret.as_ref().map(secret_key),
            unverified: inquiry(),
            sessions: config.check_sessions.then(inquiry),
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
        let verified = match (head.alg.as_str(), &self.secret) {
            ("ES256", _) => self.by_key(token, &head, Algorithm::ES256).await?,
            ("RS256", _) => self.by_key(token, &head, Algorithm::RS256).await?,
            ("HS256", Some(secret)) => self.signed(token, secret, Algorithm::HS256)?,
            ("HS256", None) => {
                self.unverified.ask(token, &says).await?;
                return Ok(says);
            }
            _ => return Err(AccountError::BadToken),
        };
        if let Some(sessions) = &self.sessions {
            sessions.ask(token, &verified).await?;
        }
        Ok(verified)
    }

    /// Forgets keys and answers; the next token is judged anew.
    pub(super) fn purge(&self) {
        self.published.purge();
        for inquiry in iter::once(&self.unverified).chain(&self.sessions) {
            inquiry.purge();
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
