//! Calls to one service.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Response, Url, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use crate::backoff;
use crate::config::{BadConfig, OpenAiConfig};
use crate::dialect::KnownDialect;
use crate::failure::{Failure, Refusal};

/// A connection to one service, cheap to clone: clones share the pool of sockets and what was learned
/// about the service.
#[derive(Clone)]
pub struct OpenAi(Arc<Inner>);

struct Inner {
    http: Client,
    base: String,
    host: String,
    config: OpenAiConfig,
    dialect: KnownDialect,
}

/// An answer that has begun: its head is there and says success.
pub(crate) struct Begun {
    pub(crate) response: Response,
    /// When the first words must have come.
    pub(crate) deadline: Instant,
    /// The longest wait between two pieces after that.
    pub(crate) idle: Duration,
}

impl OpenAi {
    /// The longest refusal that is read.
    const REFUSAL_LIMIT: usize = 64 * 1024;
    const USER_AGENT: &str = concat!("memorychat/", env!("CARGO_PKG_VERSION"));
    const POOL_IDLE: Duration = Duration::from_secs(90);

    /// Checks the settings; calls nobody.
    pub fn new(config: OpenAiConfig) -> Result<Self, BadConfig> {
        let base = Url::parse(config.base_url.trim()).map_err(|_| BadConfig::BaseUrl)?;
        let host = base.host_str().ok_or(BadConfig::BaseUrl)?.to_owned();
        if !matches!(base.scheme(), "http" | "https") || base.query().is_some() {
            return Err(BadConfig::BaseUrl);
        }
        let http = Client::builder()
            .default_headers(credentials(config.api_key.as_ref())?)
            .user_agent(Self::USER_AGENT)
            .redirect(redirect::Policy::none())
            .connect_timeout(config.patience.connect)
            .pool_idle_timeout(Self::POOL_IDLE)
            .tcp_nodelay(true)
            .build()
            .map_err(BadConfig::Client)?;
        let base = base.as_str().trim_end_matches('/').to_owned();
        Ok(Self(Arc::new(Inner {
            http,
            base,
            host,
            config,
            dialect: KnownDialect::default(),
        })))
    }

    /// The settings it was made with.
    pub fn config(&self) -> &OpenAiConfig {
        &self.0.config
    }

    /// The name of the service's machine, for people.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    pub(crate) fn dialect(&self) -> &KnownDialect {
        &self.0.dialect
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.0
            .http
            .request(method, format!("{}/{path}", self.0.base))
    }

    /// Posts until an answer begins, as often and as long as the settings say.
    pub(crate) async fn post(&self, path: &str, body: &impl Serialize) -> Result<Begun, Failure> {
        let patience = &self.0.config.patience;
        let mut failed = 0;
        loop {
            let failure = match self.post_once(path, body).await {
                Ok(begun) => return Ok(begun),
                Err(failure) => failure,
            };
            failed += 1;
            let pause = backoff::pause(patience, failed, failure.retry_after());
            let Some(pause) = pause.filter(|_| failure.is_passing()) else {
                return Err(failure);
            };
            tracing::debug!(failed, ?pause, reason = %failure, "calling the model service again");
            tokio::time::sleep(pause).await;
        }
    }

    async fn post_once(&self, path: &str, body: &impl Serialize) -> Result<Begun, Failure> {
        let patience = &self.0.config.patience;
        let deadline = Instant::now() + patience.first_token;
        let sent = self.request(Method::POST, path).json(body).send();
        let response = timeout_at(deadline, sent)
            .await
            .map_err(|_| Failure::TimedOut)??;
        let begun = Begun {
            response,
            deadline,
            idle: patience.idle,
        };
        if begun.response.status().is_success() {
            Ok(begun)
        } else {
            Err(begun.refusal().await)
        }
    }
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenAi({})", self.0.host)
    }
}

impl Begun {
    /// The next piece of the body; `None` at its end.
    pub(crate) async fn piece(
        &mut self,
        deadline: Instant,
    ) -> Result<Option<bytes::Bytes>, Failure> {
        Ok(timeout_at(deadline, self.response.chunk())
            .await
            .map_err(|_| Failure::TimedOut)??)
    }

    /// The whole body, when it is not longer than this.
    pub(crate) async fn body(&mut self, limit: usize) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        let mut deadline = self.deadline;
        while let Some(piece) = self.piece(deadline).await? {
            if body.len() + piece.len() > limit {
                return Err(Failure::Malformed("more than expected"));
            }
            body.extend_from_slice(&piece);
            deadline = Instant::now() + self.idle;
        }
        Ok(body)
    }

    /// A body that cannot be read leaves the status to go by.
    async fn refusal(mut self) -> Failure {
        let retry_after = backoff::retry_after(self.response.headers());
        let body = self.body(OpenAi::REFUSAL_LIMIT).await.unwrap_or_default();
        Refusal::new(self.response.status().as_u16(), &body, retry_after).into()
    }
}

fn credentials(key: Option<&SecretString>) -> Result<HeaderMap, BadConfig> {
    let mut headers = HeaderMap::new();
    if let Some(key) = key {
        let bearer = format!("Bearer {}", key.expose_secret());
        let mut value = HeaderValue::from_str(&bearer).map_err(|_| BadConfig::ApiKey)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let with_url = |base_url: &str| {
            OpenAi::new(OpenAiConfig {
                base_url: base_url.to_owned(),
                ..OpenAiConfig::default()
            })
        };
        for url in [
            "",
            "localhost:8080/v1",
            "ftp://host/v1",
            "http://",
            "https://host/v1?key=1",
        ] {
            assert!(matches!(with_url(url), Err(BadConfig::BaseUrl)), "{url:?}");
        }
        assert!(with_url(" http://[::1]:8080/v1/ ").is_ok());
        let api_key = Some(SecretString::from("two\nlines"));
        let bad_key = OpenAi::new(OpenAiConfig {
            api_key,
            ..OpenAiConfig::default()
        });
        assert!(matches!(bad_key, Err(BadConfig::ApiKey)));
    }

    #[test]
    fn a_printed_client_shows_no_key() {
        let api_key = Some(SecretString::from("hunter2"));
        let client = OpenAi::new(OpenAiConfig {
            api_key,
            ..OpenAiConfig::default()
        })
        .unwrap();
        assert_eq!(format!("{client:?}"), "OpenAi(api.openai.com)");
    }
}
