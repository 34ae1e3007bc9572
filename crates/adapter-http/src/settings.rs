//! What can be set.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// Settings of the server. [`Default`] is what a laptop needs.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Origins of web clients, such as `http://localhost:5173`, compared exactly. `*` and `null` are
    /// refused, because answers may carry credentials.
    pub cors_origins: Vec<String>,
    /// Calls per minute of one user, or of one address where no user is known; `None` is no limit.
    pub rate_limit: Option<u32>,
    /// Attempts to log in, sign up or refresh per minute, of one address and for one account;
    /// 0 is no limit.
    pub login_limit: u32,
    /// Longest request body in bytes.
    pub body_limit: usize,
    /// A silent stream sends a sign of life this often.
    pub heartbeat: Duration,
    /// Server threads; `None` is one per core.
    pub workers: Option<usize>,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Streams that one user may have open at once.
    pub max_streams_per_user: usize,
    /// Turns that are answered at once, whoever asks; more are refused.
    pub max_turns: usize,
    /// How long open requests may take to end once the server stops.
    pub shutdown_timeout: Duration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            cors_origins: [5173, 3000, 8000]
                .map(|port| format!("http://localhost:{port}"))
                .to_vec(),
            rate_limit: Some(60),
            login_limit: 10,
            body_limit: 1024 * 1024,
            heartbeat: Duration::from_secs(10),
            workers: None,
            trusted_proxies: Vec::new(),
            max_streams_per_user: 16,
            max_turns: 512,
            shutdown_timeout: Duration::from_secs(30),
        }
    }
}

impl HttpSettings {
    /// Refuses origins that would let any page act for a logged-in user, and those that no browser
    /// ever sends, such as one with a path.
    pub(crate) fn check(&self) -> io::Result<()> {
        match self.cors_origins.iter().find(|origin| !is_origin(origin)) {
            None => Ok(()),
            Some(origin) => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("'{origin}' is no CORS origin; write one like https://chat.example.org"),
            )),
        }
    }
}

fn is_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, authority)| {
        matches!(scheme, "http" | "https")
            && !authority.is_empty()
            && !authority.contains(['/', '*', '@', '?', '#', ' '])
            && !authority.contains(char::is_uppercase)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_origins_are_accepted() {
        for good in ["http://localhost:5173", "https://chat.example.org"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "*",
            "null",
            "",
            "chat.example.org",
            "https://",
            "https://*.example.org",
            "https://chat.example.org/",
            "https://Chat.example.org",
            "ftp://chat.example.org",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
