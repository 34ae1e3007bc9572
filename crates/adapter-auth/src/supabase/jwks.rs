//! The published keys. They are fetched when they are needed: again after ten minutes, or when a token
//! names a key that is not among them, but never oftener than every thirty seconds, and by one call at
//! a time, however many ask. When they cannot be fetched the known ones go on working for a while.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::account::AccountError;
use domain::clock::Clock;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::client::{AuthClient, Failure};

/// How long keys count as current: a revoked one is refused after that.
const TTL: Duration = Duration::from_mins(10);
/// How long they are used after the last success when they cannot be fetched.
const LAST_RESORT: Duration = Duration::from_mins(20);
/// The least time between two fetches.
const PAUSE: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(3);
const MOST_KEYS: usize = 32;
const LEAST_RSA_BYTES: usize = 256;
const P256_BYTES: usize = 32;

/// A published key, and the one algorithm it is for.
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

type Flight = Shared<BoxFuture<'static, ()>>;

#[derive(Default)]
struct Cached {
    keys: HashMap<String, Arc<Key>>,
    /// When they were last fetched well.
    good_at: Option<OffsetDateTime>,
    /// When a fetch was last begun.
    tried_at: Option<OffsetDateTime>,
    /// Whether the last fetch failed.
    failed: bool,
    flight: Option<Flight>,
    /// How often everything was forgotten: what a fetch from before that brings is not taken.
    purges: u64,
}

/// The keys of one project, shared by all who check tokens.
pub(super) struct Jwks {
    client: AuthClient,
    clock: Arc<dyn Clock>,
    cached: Arc<Mutex<Cached>>,
}

enum Look {
    Found(Arc<Key>),
    /// Wait for this fetch, then look again.
    Fetching(Flight),
    /// There is no such key.
    Unknown,
    /// It cannot be told.
    Unavailable,
}

impl Jwks {
    pub(super) fn new(client: AuthClient, clock: Arc<dyn Clock>) -> Self {
        Self {
            client,
            clock,
            cached: Arc::default(),
        }
    }

    /// The key of this id. [`AccountError::BadToken`] when none is published,
    /// [`AccountError::Provider`] when that cannot be found out.
    pub(super) async fn key(&self, kid: &str) -> Result<Arc<Key>, AccountError> {
        let mut look = self.look(kid, true);
        if let Look::Fetching(flight) = look {
            flight.await;
            look = self.look(kid, false);
        }
        match look {
            Look::Found(key) => Ok(key),
            Look::Unknown => Err(AccountError::BadToken),
            Look::Unavailable | Look::Fetching(_) => Err(AccountError::Provider(Box::new(
                Failure::Unavailable("its signing keys cannot be fetched".to_owned()),
            ))),
        }
    }

    /// Forgets all keys: until they were fetched anew, no token can be judged.
    pub(super) fn purge(&self) {
        let mut cached = lock(&self.cached);
        let purges = cached.purges + 1;
        *cached = Cached {
            purges,
            ..Cached::default()
        };
    }

    fn look(&self, kid: &str, may_fetch: bool) -> Look {
        let now = self.clock.now();
        let mut cached = lock(&self.cached);
        let within = |at: Option<OffsetDateTime>, span| at.is_some_and(|at| now < at + span);
        let is_fresh = within(cached.good_at, TTL);
        let is_usable = within(cached.good_at, LAST_RESORT);
        let known = cached.keys.get(kid).filter(|_| is_usable).cloned();
        if is_fresh && let Some(key) = &known {
            return Look::Found(Arc::clone(key));
        }
        if may_fetch && let Some(flight) = self.fetch(&mut cached, now) {
            return Look::Fetching(flight);
        }
        match known {
            Some(key) => Look::Found(key),
            None if is_usable && !cached.failed => Look::Unknown,
            None => Look::Unavailable,
        }
    }

    /// The fetch under way, or a new one if the last lies back far enough. A clock that was set back
    /// counts as far enough.
    fn fetch(&self, cached: &mut Cached, now: OffsetDateTime) -> Option<Flight> {
        if cached.flight.is_some() {
            return cached.flight.clone();
        }
        if (cached.tried_at).is_some_and(|at| (at..at + PAUSE).contains(&now)) {
            return None;
        }
        cached.tried_at = Some(now);
        let purges = cached.purges;
        let (client, clock) = (self.client.clone(), Arc::clone(&self.clock));
        let target = Arc::clone(&self.cached);
        let flight = async move {
            let fetched = client.keys(PATIENCE).await.and_then(|keys| parse(&keys));
            let mut cached = lock(&target);
            if cached.purges != purges {
                return;
            }
            cached.flight = None;
            cached.failed = fetched.is_err();
            match fetched {
                Ok(keys) => {
                    cached.keys = keys;
                    cached.good_at = Some(clock.now());
                }
                Err(error) => tracing::warn!(%error, "the keys of Supabase Auth cannot be fetched"),
            }
        };
        cached.flight = Some(flight.boxed().shared());
        cached.flight.clone()
    }
}

/// How many keys are published.
pub(super) async fn count(client: &AuthClient, within: Duration) -> Result<usize, Failure> {
    let keys = client.keys(within).await?;
    parse(&keys).map(|keys| keys.len())
}

fn lock(cached: &Mutex<Cached>) -> MutexGuard<'_, Cached> {
    cached.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

/// What of a key is looked at.
#[derive(Deserialize)]
struct Published {
    kid: String,
    kty: String,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default, rename = "use")]
    purpose: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
}

/// Reads a list of keys. Those of a kind that is not known here are passed over; too many of them, or
/// two of one id, are no list to be trusted.
fn parse(text: &[u8]) -> Result<HashMap<String, Arc<Key>>, Failure> {
    let bad = |what: &str| Failure::Unavailable(format!("its list of keys {what}"));
    let set: KeySet = serde_json::from_slice(text).map_err(|_| bad("cannot be read"))?;
    if set.keys.len() > MOST_KEYS {
        return Err(bad("is too long"));
    }
    let mut keys = HashMap::new();
    for value in set.keys {
        let Ok(published) = serde_json::from_value::<Published>(value) else {
            continue;
        };
        let Some(key) = usable(&published) else {
            continue;
        };
        match keys.entry(published.kid) {
            Entry::Vacant(place) => place.insert(Arc::new(key)),
            Entry::Occupied(_) => return Err(bad("names a key twice")),
        };
    }
    Ok(keys)
}

/// The key, if it signs tokens and its kind fits its algorithm. A shared secret never does.
fn usable(published: &Published) -> Option<Key> {
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    if (published.purpose.as_deref()).is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let alg = |name| published.alg.as_deref().is_none_or(|alg| alg == name);
    match published.kty.as_str() {
        "EC" if alg("ES256") && published.crv.as_deref() == Some("P-256") => {
            let fits = |text| bytes(text).is_some_and(|bytes| bytes.len() == P256_BYTES);
            let point = fits(&published.x) && fits(&published.y);
            let key = DecodingKey::from_ec_components(&published.x, &published.y);
            Some(Key {
                algorithm: Algorithm::ES256,
                decoding: key.ok().filter(|_| point)?,
            })
        }
        "RSA" if alg("RS256") => {
            let (modulus, exponent) = (bytes(&published.n)?, bytes(&published.e)?);
            (modulus.len() >= LEAST_RSA_BYTES).then(|| Key {
                algorithm: Algorithm::RS256,
                decoding: DecodingKey::from_rsa_raw_components(&modulus, &exponent),
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testkit::supabase::keys::SigningKey;

    use super::*;

    fn count(keys: &[Value]) -> Result<usize, Failure> {
        parse(json!({ "keys": keys }).to_string().as_bytes()).map(|keys| keys.len())
    }

    fn changed(jwk: &Value, field: &str, value: Value) -> Value {
        let mut jwk = jwk.clone();
        jwk[field] = value;
        jwk
    }

    #[test]
    fn keys_of_both_kinds_are_read_and_an_empty_list_is_one() {
        let keys = [SigningKey::es256().jwk(), SigningKey::rs256().jwk()];
        assert_eq!(count(&keys).unwrap(), 2);
        assert_eq!(count(&[]).unwrap(), 0);
    }

    #[test]
    fn what_does_not_fit_is_passed_over() {
        let (ec, rsa) = (SigningKey::es256().jwk(), SigningKey::rs256().jwk());
        for (what, key) in [
            (
                "a secret",
                json!({"kid": "s", "kty": "oct", "alg": "HS256", "k": "c2VjcmV0"}),
            ),
            ("no id", changed(&ec, "kid", Value::Null)),
            ("another curve", changed(&ec, "crv", json!("P-384"))),
            ("another algorithm", changed(&ec, "alg", json!("ES384"))),
            (
                "an algorithm of the other kind",
                changed(&rsa, "alg", json!("ES256")),
            ),
            (
                "an algorithm of secrets",
                changed(&rsa, "alg", json!("HS256")),
            ),
            ("for encryption", changed(&ec, "use", json!("enc"))),
            ("half a point", changed(&ec, "y", json!("AAAA"))),
            ("a short modulus", changed(&rsa, "n", json!("AAAA"))),
            ("no key", json!(7)),
        ] {
            assert_eq!(count(&[key]).unwrap(), 0, "{what}");
        }
    }

    #[test]
    fn a_list_that_is_too_long_or_ambiguous_is_none() {
        let key = SigningKey::es256().jwk();
        assert!(count(&vec![json!({}); 33]).is_err());
        assert!(count(&[key.clone(), key]).is_err());
        assert!(parse(b"<html>").is_err());
        assert!(parse(b"{}").is_err());
    }
}
