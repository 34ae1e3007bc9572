//! Keys that sign tokens, and tokens with any header and any claims: good ones and forged ones.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::fixtures::fresh_id;

/// A key that signs tokens.
pub struct SigningKey {
    kid: String,
    material: Material,
}

enum Material {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
    Hs256(Vec<u8>),
}

impl SigningKey {
    /// A new key on the curve P-256.
    pub fn es256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self::with(Material::Es256(pair))
    }

    /// A new RSA key of 2,048 bits.
    pub fn rs256() -> Self {
        Self::with(Material::Rs256(
            RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        ))
    }

    /// A key from a secret.
    pub fn hs256(secret: &[u8]) -> Self {
        Self::with(Material::Hs256(secret.to_vec()))
    }

    fn with(material: Material) -> Self {
        Self {
            kid: fresh_id().to_string(),
            material,
        }
    }

    /// Its id in the list of keys.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Its algorithm, as headers name it.
    pub fn algorithm(&self) -> &'static str {
        match self.material {
            Material::Es256(_) => "ES256",
            Material::Rs256(_) => "RS256",
            Material::Hs256(_) => "HS256",
        }
    }

    /// Is its public part published?
    pub fn is_asymmetric(&self) -> bool {
        !matches!(self.material, Material::Hs256(_))
    }

    /// What is published of it; of a secret, nothing.
    pub fn jwk(&self) -> Value {
        let common = |mut jwk: Value| {
            jwk["kid"] = json!(self.kid);
            jwk["alg"] = json!(self.algorithm());
            jwk["use"] = json!("sig");
            jwk["key_ops"] = json!(["verify"]);
            jwk["ext"] = json!(true);
            jwk
        };
        match &self.material {
            Material::Es256(pair) => {
                let point = pair.public_key().as_ref();
                common(json!({
                    "kty": "EC", "crv": "P-256",
                    "x": URL_SAFE_NO_PAD.encode(&point[1..33]),
                    "y": URL_SAFE_NO_PAD.encode(&point[33..65]),
                }))
            }
            Material::Rs256(pair) => {
                let public = pair.public_key();
                let modulus = public.modulus();
                let exponent = public.exponent();
                common(json!({
                    "kty": "RSA",
                    "n": URL_SAFE_NO_PAD.encode(modulus.big_endian_without_leading_zero()),
                    "e": URL_SAFE_NO_PAD.encode(exponent.big_endian_without_leading_zero()),
                }))
            }
            Material::Hs256(_) => Value::Null,
        }
    }

    /// The public part as bytes, as somebody might misuse it for a secret.
    pub fn public_bytes(&self) -> Vec<u8> {
        match &self.material {
            Material::Es256(pair) => pair.public_key().as_ref().to_vec(),
            Material::Rs256(pair) => pair.public_key().as_ref().to_vec(),
            Material::Hs256(secret) => secret.clone(),
        }
    }

    /// The signature over a message.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.material {
            Material::Es256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Material::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Material::Hs256(secret) => Hmac::<Sha256>::new_from_slice(secret)
                .unwrap()
                .chain_update(message)
                .finalize()
                .into_bytes()
                .to_vec(),
        }
    }

    /// The header of a token of this key; one of a secret names no key.
    pub fn header(&self) -> Value {
        let mut header = json!({"alg": self.algorithm(), "typ": "JWT"});
        if self.is_asymmetric() {
            header["kid"] = json!(self.kid);
        }
        header
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.forge(&self.header().to_string(), &claims.to_string())
    }

    /// A token with this text for a header and this one for claims, signed with this key.
    pub fn forge(&self, header: &str, claims: &str) -> String {
        let message = unsigned(header, claims);
        let signature = URL_SAFE_NO_PAD.encode(self.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    /// Was this token signed with this key?
    pub fn made(&self, token: &str) -> bool {
        let Some((message, signature)) = token.rsplit_once('.') else {
            return false;
        };
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else {
            return false;
        };
        let (message, public) = (message.as_bytes(), self.public_bytes());
        let algorithm: &dyn aws_lc_rs::signature::VerificationAlgorithm = match &self.material {
            Material::Es256(_) => &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED,
            Material::Rs256(_) => &aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256,
            Material::Hs256(_) => return self.sign(message) == signature,
        };
        algorithm.verify_sig(&public, message, &signature).is_ok()
    }
}

/// Header and claims, ready to be signed.
pub fn unsigned(header: &str, claims: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(header);
    format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims))
}

/// A part of a token as JSON: 0 for the header, 1 for the claims. Nothing is verified.
pub fn part(token: &str, n: usize) -> Option<Value> {
    let part = token.split('.').nth(n)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
