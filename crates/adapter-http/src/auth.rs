//! Who asks. The credential of a request is checked once, before anything else below `/api/v1`; what
//! came of it stays with the request.

use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::dev::{Payload, ServiceRequest};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use domain::account::{AccountError, AccountService, Actor, Scope};
use domain::ids::UserId;

use crate::headers::client_address;
use crate::{Api, HttpSettings, Problem};

/// Header of an API key, beside `Authorization: Bearer`.
pub(crate) const API_KEY: &str = "x-api-key";

/// What came of checking a request's credential: nobody, somebody, or a refusal.
#[derive(Clone)]
struct Verdict(Result<Option<Actor>, Problem>);

/// A caller with a verified credential; without one the answer is 401.
#[derive(Debug, Clone)]
pub struct Caller(pub Actor);

/// A caller, or nobody when no credential was sent. A credential that is not valid is never nobody:
/// it is answered with 401.
#[derive(Debug, Clone)]
pub struct MaybeCaller(pub Option<Actor>);

impl Caller {
    /// Whose data may be read; refuses an API key that may not.
    pub fn reads(&self) -> Result<UserId, Problem> {
        self.may(Scope::Read)
    }

    /// Whose data may be changed; refuses an API key that may not.
    pub fn writes(&self) -> Result<UserId, Problem> {
        self.may(Scope::Write)
    }

    /// On whose behalf turns may be sent; refuses an API key that may not.
    pub fn chats(&self) -> Result<UserId, Problem> {
        self.may(Scope::Chat)
    }

    fn may(&self, scope: Scope) -> Result<UserId, Problem> {
        self.0.require(scope)?;
        Ok(self.0.user)
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(verdict(request).and_then(|actor| {
            actor.map(Self).ok_or_else(|| {
                let detail = "Send an access token or an API key with this request.";
                Problem::new(StatusCode::UNAUTHORIZED, "credential_required", detail)
            })
        }))
    }
}

impl FromRequest for MaybeCaller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(verdict(request).map(Self))
    }
}

/// The access token that the caller sent; empty when they proved who they are otherwise. Only for
/// handing on to the identity provider.
pub(crate) struct SentToken(pub(crate) String);

impl FromRequest for SentToken {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let sent = credential(request.headers()).map(|sent| match sent {
            Some(Credential::Bearer(token)) => Self(token.to_owned()),
            Some(Credential::Key(_)) | None => Self(String::new()),
        });
        ready(sent)
    }
}

/// The address of the caller's machine, as far as the proxies in front are believed.
pub(crate) struct SentFrom(pub(crate) Option<IpAddr>);

impl FromRequest for SentFrom {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let settings = request.app_data::<Data<HttpSettings>>();
        let from = settings.map(|settings| client_address(request, settings).to_canonical());
        ready(Ok(Self(from)))
    }
}

/// A route outside the checked part of the server must not take anyone for nobody.
fn verdict(request: &HttpRequest) -> Result<Option<Actor>, Problem> {
    match request.extensions().get::<Verdict>() {
        Some(Verdict(result)) => result.clone(),
        None => Err(Problem::internal("a route asks for a caller unchecked")),
    }
}

/// Checks the credential, keeps the outcome with the request, and returns who it is, if anybody.
pub(crate) async fn identify(api: &Api, request: &ServiceRequest) -> Option<Actor> {
    let verdict = match credential(request.headers()) {
        Ok(None) => Ok(None),
        Ok(Some(credential)) => check(&api.accounts, credential).await.map(Some),
        Err(problem) => Err(problem),
    };
    let actor = verdict.as_ref().ok().cloned().flatten();
    request.extensions_mut().insert(Verdict(verdict));
    actor
}

#[derive(Debug, PartialEq, Eq)]
enum Credential<'a> {
    Bearer(&'a str),
    Key(&'a str),
}

async fn check(accounts: &AccountService, sent: Credential<'_>) -> Result<Actor, Problem> {
    match sent {
        Credential::Key(key) => Ok(accounts.authenticate_key(key).await?),
        Credential::Bearer(token) => match accounts.authenticate(token).await {
            // An API key has the same rights, whichever header it comes in.
            Err(AccountError::BadToken) => match accounts.authenticate_key(token).await {
                Err(AccountError::BadApiKey) => Err(AccountError::BadToken.into()),
                other => Ok(other?),
            },
            other => Ok(other?),
        },
    }
}

/// The one credential of a request. Two of them are refused: guessing which one counts is how rights
/// get mixed up.
fn credential(headers: &HeaderMap) -> Result<Option<Credential<'_>>, Problem> {
    let bearers = headers.get_all(header::AUTHORIZATION);
    let keys = headers.get_all(API_KEY);
    let mut all = bearers.map(|v| (true, v)).chain(keys.map(|v| (false, v)));
    let Some((is_bearer, value)) = all.next() else {
        return Ok(None);
    };
    if all.next().is_some() {
        let detail = "Send one credential: an access token or an API key, not both.";
        let status = StatusCode::BAD_REQUEST;
        return Err(Problem::new(status, "two_credentials", detail));
    }
    let text = value.to_str().unwrap_or_default().trim();
    if !is_bearer {
        return Ok(Some(Credential::Key(text)));
    }
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            Ok(Some(Credential::Bearer(token.trim())))
        }
        _ => Err(AccountError::BadToken.into()),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn parse(sent: &[(&'static str, &'static str)]) -> Result<Option<String>, &'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        credential(&headers)
            .map(|found| found.map(|credential| format!("{credential:?}")))
            .map_err(|problem| problem.code())
    }

    #[test]
    fn one_credential_or_none() {
        let bearer = || Ok(Some(r#"Bearer("t")"#.to_owned()));
        assert_eq!(parse(&[]), Ok(None));
        assert_eq!(parse(&[("authorization", "Bearer t")]), bearer());
        assert_eq!(parse(&[("authorization", "bearer  t ")]), bearer());
        assert_eq!(
            parse(&[("x-api-key", "k")]),
            Ok(Some(r#"Key("k")"#.to_owned()))
        );
    }

    #[test]
    fn what_is_no_bearer_token_is_refused_and_not_ignored() {
        for sent in ["Basic dTpw", "Bearer", "t", ""] {
            assert_eq!(
                parse(&[("authorization", sent)]),
                Err("invalid_token"),
                "{sent:?}"
            );
        }
    }

    #[test]
    fn two_credentials_are_refused() {
        for second in ["authorization", "x-api-key"] {
            let sent = [("authorization", "Bearer t"), (second, "k")];
            assert_eq!(parse(&sent), Err("two_credentials"), "{second}");
        }
    }
}
