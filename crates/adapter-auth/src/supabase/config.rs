//! Where the project is, and the keys to it.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::client::AuthClient;
use crate::secret::{SecretError, SigningSecret};
use crate::token::ISSUER as OWN_ISSUER;

/// More than any issuer has: an address with room to spare.
const MAX_ISSUER_BYTES: usize = 256;

/// A Supabase project.
#[derive(Clone)]
pub struct SupabaseConfig {
    /// Its address, such as `https://abc.supabase.co`.
    pub url: String,
    /// Where Auth is below that address: `/auth/v1`, or `/` for one without a gateway.
    pub auth_path: String,
    /// What its tokens say of who made them, where that is not the address of Auth.
    pub issuer: Option<String>,
    /// The key that clients may know: publishable, or `anon` of old.
    pub key: SecretString,
    /// The key that only servers have: secret, or `service_role` of old.
    pub service_key: Option<SecretString>,
    /// The shared secret of HS256 tokens. Without it the service is asked about each of them.
    pub jwt_secret: Option<SecretString>,
    /// Let users in who have no account?
    pub allow_anonymous: bool,
    /// Ask the service about every token, also those that verify: a session that ended there ends here
    /// within a minute, and nobody is let in for longer than that while it does not answer.
    pub check_sessions: bool,
}

/// A project that cannot be used; each is one line for the person who starts the service.
#[derive(Debug, thiserror::Error)]
pub enum BadSupabase {
    /// Not the address of a project.
    #[error(
        "SUPABASE_URL: must be the address of the project, such as https://abc.supabase.co, \
             without /auth/v1 behind it"
    )]
    Url,
    /// Passwords would cross the network in the clear.
    #[error("SUPABASE_URL: must begin with https://, unless it is on this machine")]
    Plain,
    /// Not a path below the address.
    #[error("SUPABASE_AUTH_PATH: must be a plain path, such as /auth/v1")]
    Path,
    /// Nothing that tokens of a project say.
    #[error(
        "SUPABASE_ISSUER: must be what the project's tokens say in `iss`, without blanks, and not \
             'memorychat', which this service's own tokens say"
    )]
    Issuer,
    /// A key that no header can hold.
    #[error("{0}: holds characters that no key has")]
    Key(&'static str),
    /// A key that nobody but servers may have, where one is named that all may know.
    #[error("SUPABASE_KEY: is a secret key; put it into SUPABASE_SERVICE_KEY")]
    SecretKey,
    /// The other way round.
    #[error("SUPABASE_SERVICE_KEY: is a publishable key; put it into SUPABASE_KEY")]
    PublishableKey,
    /// The shared secret is short, or copied from an example.
    #[error("SUPABASE_JWT_SECRET: cannot be used; leave it out, and the service is asked instead")]
    JwtSecret(#[source] SecretError),
    /// The HTTP client cannot be made.
    #[error("the client for Supabase Auth cannot be made")]
    Client(#[source] reqwest::Error),
}

impl SupabaseConfig {
    /// Checks everything that can be checked without calling anybody.
    pub fn check(&self) -> Result<(), BadSupabase> {
        AuthClient::new(self).map(|_| ())
    }

    /// What its tokens say of who made them.
    pub(super) fn issuer(&self) -> Result<String, BadSupabase> {
        let Some(issuer) = &self.issuer else {
            return self.base();
        };
        let issuer = issuer.trim();
        let is_plain = issuer.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_plain || issuer.is_empty() || issuer.len() > MAX_ISSUER_BYTES || issuer == OWN_ISSUER
        {
            return Err(BadSupabase::Issuer);
        }
        Ok(issuer.to_owned())
    }

    /// Where calls go.
    pub(super) fn base(&self) -> Result<String, BadSupabase> {
        let url = Url::parse(self.url.trim()).map_err(|_| BadSupabase::Url)?;
        let host = url.host_str().ok_or(BadSupabase::Url)?;
        let is_plain = match url.scheme() {
            "https" => false,
            "http" => true,
            _ => return Err(BadSupabase::Url),
        };
        let has_more = url.query().is_some()
            || url.fragment().is_some()
            || !url.username().is_empty()
            || url.path().trim_end_matches('/').ends_with("/auth/v1");
        if has_more {
            return Err(BadSupabase::Url);
        }
        if is_plain && !is_loopback(host) {
            return Err(BadSupabase::Plain);
        }
        let path = self.path()?;
        Ok(format!("{}{path}", url.as_str().trim_end_matches('/')))
    }

    fn path(&self) -> Result<&str, BadSupabase> {
        let path = self.auth_path.trim();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
        if path.starts_with('/') && path.chars().all(is_plain) && !path.contains("..") {
            Ok(path.trim_end_matches('/'))
        } else {
            Err(BadSupabase::Path)
        }
    }

    /// Refuses keys that are in each other's place.
    pub(super) fn check_keys(&self) -> Result<(), BadSupabase> {
        if is_secret(&self.key) {
            return Err(BadSupabase::SecretKey);
        }
        let service_key = self.service_key.as_ref();
        if service_key.is_some_and(|key| key.expose_secret().starts_with("sb_publishable_")) {
            return Err(BadSupabase::PublishableKey);
        }
        if let Some(secret) = &self.jwt_secret {
            SigningSecret::from_setting(secret.expose_secret()).map_err(BadSupabase::JwtSecret)?;
        }
        Ok(())
    }

    /// What the person who starts the service should know.
    pub fn warnings(&self) -> Vec<&'static str> {
        let is_legacy = |key: &SecretString| key.expose_secret().starts_with("eyJ");
        let mut warnings = Vec::new();
        if is_legacy(&self.key) || self.service_key.as_ref().is_some_and(is_legacy) {
            warnings.push(
                "Supabase's anon and service_role keys are being retired; make a publishable and a \
                 secret key",
            );
        }
        if !self.service_key.as_ref().is_some_and(is_secret) {
            warnings.push(
                "without a secret key in SUPABASE_SERVICE_KEY, Supabase Auth counts the log-ins of all \
                 users as those of one address",
            );
        }
        if self.jwt_secret.is_some() {
            warnings.push(
                "with SUPABASE_JWT_SECRET, this server could sign tokens itself; asymmetric keys need \
                 no such secret",
            );
        }
        warnings
    }
}

/// Is it a key of the new kind that only servers have?
pub(super) fn is_secret(key: &SecretString) -> bool {
    key.expose_secret().starts_with("sb_secret_")
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    host == "localhost" || address.is_ok_and(|address: IpAddr| address.is_loopback())
}

impl fmt::Debug for SupabaseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupabaseConfig")
            .field("url", &self.url)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> SupabaseConfig {
        SupabaseConfig {
            url: url.to_owned(),
            auth_path: "/auth/v1".to_owned(),
            issuer: None,
            key: "sb_publishable_x".into(),
            service_key: None,
            jwt_secret: None,
            allow_anonymous: false,
            check_sessions: false,
        }
    }

    #[test]
    fn the_issuer_follows_from_the_address() {
        for (url, issuer) in [
            ("https://abc.supabase.co", "https://abc.supabase.co/auth/v1"),
            (
                " https://ABC.supabase.co/ ",
                "https://abc.supabase.co/auth/v1",
            ),
            ("https://host/base/", "https://host/base/auth/v1"),
            ("http://127.0.0.1:54321", "http://127.0.0.1:54321/auth/v1"),
            ("http://[::1]:9", "http://[::1]:9/auth/v1"),
            ("http://localhost:9", "http://localhost:9/auth/v1"),
        ] {
            assert_eq!(config(url).issuer().unwrap(), issuer);
            assert_eq!(config(url).base().unwrap(), issuer);
        }
    }

    #[test]
    fn an_issuer_that_is_set_changes_no_address() {
        for issuer in [
            "https://auth.example.org/auth/v1",
            "https://a/",
            "gotrue",
            " gotrue ",
        ] {
            let set = SupabaseConfig {
                issuer: Some(issuer.to_owned()),
                ..config("https://a")
            };
            assert_eq!(set.issuer().unwrap(), issuer.trim());
            assert_eq!(set.base().unwrap(), "https://a/auth/v1");
        }
        let long = "x".repeat(257);
        for issuer in [
            "",
            " ",
            "two words",
            "a\nb",
            "memorychat",
            "ü",
            long.as_str(),
        ] {
            let set = SupabaseConfig {
                issuer: Some(issuer.to_owned()),
                ..config("https://a")
            };
            assert!(matches!(set.check(), Err(BadSupabase::Issuer)), "{issuer}");
        }
    }

    #[test]
    fn auth_may_lie_elsewhere_below_the_address() {
        for (path, base) in [
            ("/", "https://a"),
            ("/gotrue", "https://a/gotrue"),
            ("/x/auth/v1/", "https://a/x/auth/v1"),
        ] {
            let set = SupabaseConfig {
                auth_path: path.to_owned(),
                ..config("https://a")
            };
            assert_eq!(set.base().unwrap(), base);
            assert_eq!(set.issuer().unwrap(), base);
        }
        for path in ["", "auth/v1", "/auth?x", "/a#b", "/a b", "/../x", "/%2e"] {
            let set = SupabaseConfig {
                auth_path: path.to_owned(),
                ..config("https://a")
            };
            assert!(matches!(set.check(), Err(BadSupabase::Path)), "{path}");
        }
    }

    #[test]
    fn addresses_that_cannot_work_are_refused() {
        for url in [
            "",
            "abc.supabase.co",
            "ftp://abc.supabase.co",
            "https://abc.supabase.co/auth/v1",
            "https://abc.supabase.co/auth/v1/",
            "https://abc.supabase.co?x=1",
            "https://me@abc.supabase.co",
        ] {
            assert!(
                matches!(config(url).issuer(), Err(BadSupabase::Url)),
                "{url}"
            );
        }
        for url in [
            "http://abc.supabase.co",
            "http://127.0.0.1.example.org",
            "http://localhost.example.org",
            "http://10.0.0.1:8000",
        ] {
            assert!(
                matches!(config(url).issuer(), Err(BadSupabase::Plain)),
                "{url}"
            );
        }
    }

    #[test]
    fn keys_in_each_others_place_and_sample_secrets_are_refused() {
        let swapped = SupabaseConfig {
            key: "sb_secret_x".into(),
            ..config("https://a")
        };
        assert!(matches!(swapped.check_keys(), Err(BadSupabase::SecretKey)));
        let swapped = SupabaseConfig {
            service_key: Some("sb_publishable_x".into()),
            ..config("https://a")
        };
        let swapped = swapped.check_keys();
        assert!(matches!(swapped, Err(BadSupabase::PublishableKey)));
        let sample = SupabaseConfig {
            jwt_secret: Some("super-secret-jwt-token-with-at-least-32-characters-long".into()),
            ..config("https://a")
        };
        let sample = sample.check_keys();
        assert!(matches!(sample, Err(BadSupabase::JwtSecret(_))));
    }

    #[test]
    fn old_keys_are_warned_of_and_nothing_prints_a_key() {
        let old = SupabaseConfig {
            key: "eyJhbGciOiJIUzI1NiJ9.e30.x".into(),
            ..config("https://a")
        };
        assert!(old.warnings()[0].contains("retired"));
        assert!(!format!("{old:?}").contains("eyJ"));
        let new = SupabaseConfig {
            service_key: Some("sb_secret_x".into()),
            ..config("https://a")
        };
        assert!(new.warnings().is_empty());
    }
}
