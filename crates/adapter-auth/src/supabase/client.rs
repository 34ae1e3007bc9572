//! Calls to Supabase Auth: bounded in time and size, with our own headers only, following nobody.

use std::net::IpAddr;
use std::time::Duration;

use domain::account::Email;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::config::{BadSupabase, SupabaseConfig, is_secret};

/// Why a call brought nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Failure {
    /// The service understood, and said no.
    #[error("Supabase Auth refuses: {status} {code}")]
    Refused {
        status: u16,
        /// Upstream's word for it; empty when it gave none.
        code: String,
        /// Why a password is too weak.
        reasons: Vec<String>,
        retry_after: Option<Duration>,
    },
    /// It did not answer, not in time, or something else answered for it.
    #[error("Supabase Auth is not available: {0}")]
    Unavailable(String),
}

/// A pair of tokens. Only what has all three is a session.
#[derive(Clone, Deserialize)]
pub(super) struct Session {
    pub(super) access_token: String,
    pub(super) refresh_token: String,
    pub(super) expires_in: u64,
}

/// The service, as one project knows it.
#[derive(Clone)]
pub(super) struct AuthClient {
    http: Client,
    base: String,
    issuer: String,
    key: HeaderValue,
    /// A secret key of the new kind, on whose word addresses of people are believed.
    secret_key: Option<HeaderValue>,
}

impl AuthClient {
    const USER_AGENT: &str = concat!("memorychat/", env!("CARGO_PKG_VERSION"));
    const CONNECT: Duration = Duration::from_secs(3);
    /// For calls that people wait for; upstream itself gives up after ten seconds.
    const PATIENCE: Duration = Duration::from_secs(8);
    const MAX_ANSWER: usize = 512 * 1024;
    const MAX_KEYS: usize = 64 * 1024;

    /// Checks the settings; calls nobody.
    pub(super) fn new(config: &SupabaseConfig) -> Result<Self, BadSupabase> {
        let (base, issuer) = (config.base()?, config.issuer()?);
        config.check_keys()?;
        let http = Client::builder()
            .user_agent(Self::USER_AGENT)
            .redirect(redirect::Policy::none())
            .connect_timeout(Self::CONNECT)
            .timeout(Self::PATIENCE)
            .tcp_nodelay(true)
            .build()
            .map_err(BadSupabase::Client)?;
        let service_key = config.service_key.as_ref();
        let secret_key = service_key
            .filter(|key| is_secret(key))
            .map(|key| header(key, "SUPABASE_SERVICE_KEY"));
        Ok(Self {
            http,
            base,
            issuer,
            key: header(&config.key, "SUPABASE_KEY")?,
            secret_key: secret_key.transpose()?,
        })
    }

    /// What tokens say of who made them.
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .header("apikey", self.key.clone())
            .header("x-supabase-api-version", "2024-01-01")
    }

    /// A call that upstream counts by address. Only a secret key may name the person's.
    fn counted(&self, path: &str, from: Option<IpAddr>) -> RequestBuilder {
        let request = self.request(Method::POST, path);
        match (&self.secret_key, from) {
            (Some(key), Some(from)) => {
                let mut headers = HeaderMap::new();
                headers.insert("apikey", key.clone());
                if let Ok(from) = HeaderValue::try_from(from.to_string()) {
                    headers.insert("sb-forwarded-for", from);
                }
                request.headers(headers)
            }
            _ => request,
        }
    }

    /// `None`: a mail was sent, or upstream acts as if.
    pub(super) async fn sign_up(
        &self,
        email: &Email,
        password: &str,
        from: Option<IpAddr>,
    ) -> Result<Option<Session>, Failure> {
        let body = json!({"email": email.as_str(), "password": password});
        let answer = json_of(self.counted("/signup", from).json(&body)).await?;
        // Without tokens it is a user, perhaps an invented one: nothing to be believed.
        if answer.get("access_token").is_none() {
            return Ok(None);
        }
        session(answer).map(Some)
    }

    pub(super) async fn log_in(
        &self,
        email: &Email,
        password: &str,
        from: Option<IpAddr>,
    ) -> Result<Session, Failure> {
        let body = json!({"email": email.as_str(), "password": password});
        let request = self.counted("/token?grant_type=password", from);
        session(json_of(request.json(&body)).await?)
    }

    pub(super) async fn refresh(
        &self,
        token: &str,
        from: Option<IpAddr>,
    ) -> Result<Session, Failure> {
        let body = json!({"refresh_token": token});
        let request = self.counted("/token?grant_type=refresh_token", from);
        session(json_of(request.json(&body)).await?)
    }

    /// Ends the session of this token, and no other.
    pub(super) async fn log_out(&self, token: &str) -> Result<(), Failure> {
        let request = self.request(Method::POST, "/logout?scope=local");
        send(request.bearer_auth(token)).await.map(|_| ())
    }

    /// Whose token it is, if upstream takes it.
    pub(super) async fn user_of(&self, token: &str, within: Duration) -> Result<Uuid, Failure> {
        let request = self.request(Method::GET, "/user").timeout(within);
        let answer = json_of(request.bearer_auth(token)).await?;
        let id = answer["id"].as_str().and_then(|id| id.parse().ok());
        id.ok_or_else(|| Failure::Unavailable("a user without an id".to_owned()))
    }

    /// The published keys, as they are written.
    pub(super) async fn keys(&self, within: Duration) -> Result<Vec<u8>, Failure> {
        let request = self.request(Method::GET, "/.well-known/jwks.json");
        let response = send(request.timeout(within)).await?;
        body(response, Self::MAX_KEYS).await
    }

    /// The version of the service.
    pub(super) async fn health(&self, within: Duration) -> Result<String, Failure> {
        let request = self.request(Method::GET, "/health").timeout(within);
        let answer = json_of(request).await?;
        let version = answer["version"].as_str().unwrap_or("of no known version");
        Ok(version
            .chars()
            .filter(char::is_ascii_graphic)
            .take(40)
            .collect())
    }
}

fn header(key: &SecretString, setting: &'static str) -> Result<HeaderValue, BadSupabase> {
    let value = HeaderValue::from_str(key.expose_secret().trim());
    let mut value = value.map_err(|_| BadSupabase::Key(setting))?;
    value.set_sensitive(true);
    Ok(value)
}

fn session(answer: Value) -> Result<Session, Failure> {
    let session: Result<Session, _> = serde_json::from_value(answer);
    session.map_err(|_| Failure::Unavailable("a session that lacks tokens".to_owned()))
}

async fn json_of(request: RequestBuilder) -> Result<Value, Failure> {
    let body = body(send(request).await?, AuthClient::MAX_ANSWER).await?;
    serde_json::from_slice(&body)
        .map_err(|_| Failure::Unavailable("an answer that is no JSON".to_owned()))
}

/// An answer that says success, or why not.
async fn send(request: RequestBuilder) -> Result<Response, Failure> {
    let response = request.send().await.map_err(|error| unreachable(&error))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    if !status.is_client_error() {
        return Err(Failure::Unavailable(format!("status {}", status.as_u16())));
    }
    let retry_after = response.headers().get(RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
    let is_json = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/json"));
    let limited = status == StatusCode::TOO_MANY_REQUESTS;
    if !is_json && !limited {
        // Something in front of the service: it says nothing about tokens or passwords.
        return Err(Failure::Unavailable(format!(
            "status {}, and no JSON",
            status.as_u16()
        )));
    }
    let body = body(response, AuthClient::MAX_ANSWER)
        .await
        .unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    Err(Failure::Refused {
        status: status.as_u16(),
        code: code(&body),
        reasons: texts(&body["weak_password"]["reasons"]),
        retry_after: retry_after.map(Duration::from_secs),
    })
}

/// The word for the refusal, in either shape of errors. It may be logged, so it must be a word.
fn code(body: &Value) -> String {
    let word = body["code"]
        .as_str()
        .or_else(|| body["error_code"].as_str());
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let word = word.filter(|word| word.len() <= 80 && word.chars().all(is_word));
    word.unwrap_or_default().to_owned()
}

fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|text| text.as_str().map(str::to_owned))
        .take(10)
        .collect()
}

/// The whole body, when it is not longer than this.
async fn body(mut response: Response, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(piece) = response
        .chunk()
        .await
        .map_err(|error| unreachable(&error))?
    {
        if body.len() + piece.len() > limit {
            return Err(Failure::Unavailable(
                "an answer that is too long".to_owned(),
            ));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// What is told of a failure of the line; addresses and headers stay out.
fn unreachable(error: &reqwest::Error) -> Failure {
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the line was cut"
    };
    Failure::Unavailable(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_found_in_either_shape_and_is_a_word() {
        for (body, word) in [
            (
                json!({"code": "user_banned", "message": "m"}),
                "user_banned",
            ),
            (
                json!({"code": 403, "error_code": "bad_jwt", "msg": "m"}),
                "bad_jwt",
            ),
            (json!({"code": 403, "msg": "m"}), ""),
            (json!({"message": "Invalid API key"}), ""),
            (json!({"code": "Two words\n"}), ""),
            (json!({"code": "x".repeat(81)}), ""),
            (json!("user_banned"), ""),
            (Value::Null, ""),
        ] {
            assert_eq!(code(&body), word, "{body}");
        }
    }

    #[test]
    fn only_what_has_both_tokens_and_a_life_is_a_session() {
        let whole =
            json!({"access_token": "a", "refresh_token": "r", "expires_in": 3600, "user": {}});
        assert!(session(whole.clone()).is_ok());
        for lacking in ["access_token", "refresh_token", "expires_in"] {
            let mut answer = whole.clone();
            answer.as_object_mut().unwrap().remove(lacking);
            let failure = session(answer).err();
            assert!(
                matches!(failure, Some(Failure::Unavailable(_))),
                "{lacking}"
            );
        }
    }
}
