//! Where the server is, and what is asked of it.

use std::net::IpAddr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tonic::codegen::http::Uri;

/// The server takes 255 characters, and a number is added.
const LONGEST_NAME: usize = 200;

/// The server, and how collections are made on it.
#[derive(Debug, Clone)]
pub struct QdrantConfig {
    /// `http://host:6334` or `https://...`: the gRPC port.
    pub url: String,
    /// Its key.
    pub api_key: Option<SecretString>,
    /// Name of the alias; collections are called `<name>-1`, `<name>-2`, ...
    pub collection: String,
    /// Shards of a new collection; `None` for the server's own default.
    pub shards: Option<u32>,
    /// Copies of each shard of a new collection; `None` for the server's own default.
    pub replication: Option<u32>,
    /// Keep vectors, words and payloads on disk instead of in memory?
    pub on_disk: bool,
    /// May a server on another machine be used without a key, or without TLS?
    pub allow_insecure: bool,
    /// Longest wait for a whole search: somebody waits for an answer.
    pub search_patience: Duration,
    /// Longest wait for a write, tries included.
    pub write_patience: Duration,
}

impl QdrantConfig {
    /// A server with the settings that suit most.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            api_key: None,
            collection: "memorychat".to_owned(),
            shards: None,
            replication: None,
            on_disk: true,
            allow_insecure: false,
            search_patience: Duration::from_millis(300),
            write_patience: Duration::from_secs(10),
        }
    }

    /// Refuses what cannot work, or is not safe. A vector store is as readable as plain text.
    pub fn check(&self) -> Result<(), QdrantConfigError> {
        let uri: Uri = self.url.parse().map_err(|_| QdrantConfigError::Url)?;
        let (Some(scheme @ ("http" | "https")), Some(host)) = (uri.scheme_str(), uri.host()) else {
            return Err(QdrantConfigError::Url);
        };
        let named = (1..=LONGEST_NAME).contains(&self.collection.len())
            && (self.collection.chars()).all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if !named {
            return Err(QdrantConfigError::Collection);
        }
        let key = self.api_key.as_ref().map(ExposeSecret::expose_secret);
        // The client would name a key that is no header value in its error.
        if key.is_some_and(|key| key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(QdrantConfigError::Key);
        }
        if is_loopback(host) || self.allow_insecure {
            return Ok(());
        }
        match (scheme, key) {
            ("http", _) => Err(QdrantConfigError::WithoutTls),
            (_, None) => Err(QdrantConfigError::WithoutKey),
            _ => Ok(()),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    host == "localhost" || address.is_ok_and(|address: IpAddr| address.is_loopback())
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QdrantConfigError {
    /// No address.
    #[error("the address must be http://host:port or https://host:port, of the gRPC port")]
    Url,
    /// A name that a collection cannot have.
    #[error("the collection's name may hold letters, digits, - and _, at most 200")]
    Collection,
    /// Not a key.
    #[error("the key may hold visible ASCII characters only")]
    Key,
    /// A server on another machine that anybody may read.
    #[error("a server on another machine needs a key")]
    WithoutKey,
    /// A server on another machine whose connection anybody may read.
    #[error("a server on another machine needs https")]
    WithoutTls,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, key: Option<&str>, allow_insecure: bool) -> Result<(), QdrantConfigError> {
        let config = QdrantConfig {
            api_key: key.map(SecretString::from),
            allow_insecure,
            ..QdrantConfig::new(url)
        };
        config.check()
    }

    #[test]
    fn a_server_on_this_machine_needs_nothing() {
        for url in [
            "http://localhost:6334",
            "http://127.0.0.1:6334",
            "http://[::1]:6334",
        ] {
            assert_eq!(check(url, None, false), Ok(()), "{url}");
        }
    }

    #[test]
    fn a_remote_server_needs_a_key_and_tls_unless_told_otherwise() {
        use QdrantConfigError::{WithoutKey, WithoutTls};
        for (url, key, refused) in [
            ("http://qdrant:6334", None, Some(WithoutTls)),
            ("http://qdrant:6334", Some("k"), Some(WithoutTls)),
            ("http://10.0.0.1:6334", Some("k"), Some(WithoutTls)),
            (
                "http://localhost.example.org:6334",
                Some("k"),
                Some(WithoutTls),
            ),
            ("https://qdrant:6334", None, Some(WithoutKey)),
            ("https://qdrant:6334", Some("k"), None),
        ] {
            assert_eq!(check(url, key, false).err(), refused, "{url}");
            assert_eq!(check(url, key, true), Ok(()), "{url}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for url in ["", "qdrant", "qdrant:6334", "grpc://qdrant:6334"] {
            assert_eq!(check(url, None, true), Err(QdrantConfigError::Url), "{url}");
        }
        for key in ["", "a b", "ü", "a\n"] {
            let checked = check("http://localhost:1", Some(key), true);
            assert_eq!(checked, Err(QdrantConfigError::Key), "{key:?}");
        }
        let mut config = QdrantConfig::new("http://localhost:6334");
        for name in ["", "a/b", &"a".repeat(201)] {
            config.collection = name.to_owned();
            assert_eq!(config.check(), Err(QdrantConfigError::Collection), "{name}");
        }
    }
}
