//! Headers that every answer carries, the list of origins, and what is believed about the client.

use std::net::{IpAddr, Ipv4Addr};

use actix_cors::Cors;
use actix_web::HttpRequest;
use actix_web::dev::ServiceRequest;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use domain::clock::IdGenerator;

use crate::HttpSettings;
use crate::auth::API_KEY;
use crate::docs;
use crate::idempotency::IDEMPOTENCY_KEY;

/// Names one request in answers and in the log.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Nothing that this API answers is a page.
const API_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// On every answer, whatever its status.
const SECURITY: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
    (header::CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
    (header::X_XSS_PROTECTION, "0"),
];

/// What is known of a request before it is handled, and goes into the headers of its answer.
pub(crate) struct Envelope {
    /// The path, without the query.
    pub(crate) path: String,
    /// The request's id.
    pub(crate) request_id: String,
    is_https: bool,
}

impl Envelope {
    /// Reads it from the request.
    pub(crate) fn of(
        request: &ServiceRequest,
        settings: &HttpSettings,
        ids: &dyn IdGenerator,
    ) -> Self {
        let sent = request.headers().get(REQUEST_ID);
        let request_id = sent
            .and_then(|value| value.to_str().ok())
            .filter(|text| is_sane_id(text))
            .map_or_else(|| ids.next().to_string(), str::to_owned);
        Self {
            path: request.path().to_owned(),
            request_id,
            is_https: is_https(request.request(), settings),
        }
    }

    /// Writes the headers of an answer; a `Cache-Control` or `Vary` that is there stays.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        for (name, value) in SECURITY {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let policy = if docs::is_page(&self.path) {
            docs::CONTENT_POLICY
        } else {
            API_POLICY
        };
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(policy),
        );
        if !headers.contains_key(header::CACHE_CONTROL) {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if !headers.contains_key(header::VARY) {
            headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        }
        if self.is_https {
            headers.insert(
                header::STRICT_TRANSPORT_SECURITY,
                HeaderValue::from_static("max-age=31536000; includeSubDomains"),
            );
        }
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            headers.insert(REQUEST_ID, id);
        }
    }
}

/// An id of the client's own is kept if it cannot do harm in a log.
fn is_sane_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// Cross-origin calls are for the listed origins only; the list was checked at start.
pub(crate) fn cors(settings: &HttpSettings) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "POST", "PUT", "PATCH", "DELETE"])
        .allowed_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::ACCEPT,
            header::IF_NONE_MATCH,
            HeaderName::from_static(API_KEY),
            HeaderName::from_static(IDEMPOTENCY_KEY),
            REQUEST_ID,
        ])
        .expose_headers([
            HeaderName::from_static("ratelimit"),
            HeaderName::from_static("ratelimit-policy"),
            header::RETRY_AFTER,
            header::LINK,
            REQUEST_ID,
        ])
        .supports_credentials()
        .max_age(600);
    let origins = settings.cors_origins.iter();
    origins.fold(cors, |cors, origin| cors.allowed_origin(origin))
}

/// The address that a call is counted for: the peer's, or behind trusted proxies the last one in
/// `X-Forwarded-For` that is not such a proxy. What a client writes there itself is never reached,
/// and nothing that is malformed is followed.
pub(crate) fn client_address(request: &HttpRequest, settings: &HttpSettings) -> IpAddr {
    let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
    let mut address = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let lines: Vec<_> = request.headers().get_all(FORWARDED_FOR).collect();
    let hops = lines
        .into_iter()
        .rev()
        .flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    for hop in hops {
        if !settings.trusted_proxies.contains(&address) {
            break;
        }
        match hop.trim().parse::<IpAddr>() {
            Ok(next) => address = next.to_canonical(),
            Err(_) => break,
        }
    }
    address
}

/// TLS ends at a proxy; only one that is trusted can say so.
fn is_https(request: &HttpRequest, settings: &HttpSettings) -> bool {
    let trusted = request.peer_addr().is_some_and(|peer| {
        let peer = peer.ip().to_canonical();
        settings.trusted_proxies.contains(&peer)
    });
    let scheme = request.headers().get(FORWARDED_PROTO);
    trusted && scheme.is_some_and(|scheme| scheme == "https")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn seen_from(peer: &str, lines: &[&str]) -> String {
        let settings = HttpSettings {
            trusted_proxies: vec!["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()],
            ..HttpSettings::default()
        };
        let mut request = TestRequest::default().peer_addr(format!("{peer}:1").parse().unwrap());
        for line in lines {
            request = request.append_header((FORWARDED_FOR, *line));
        }
        client_address(&request.to_http_request(), &settings).to_string()
    }

    #[test]
    fn only_trusted_proxies_can_name_the_client() {
        for (peer, lines, client) in [
            ("192.0.2.9", &[][..], "192.0.2.9"),
            ("192.0.2.9", &["198.51.100.1"], "192.0.2.9"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            (
                "10.0.0.1",
                &["203.0.113.7, 198.51.100.1, 10.0.0.2"],
                "198.51.100.1",
            ),
            ("10.0.0.1", &["203.0.113.7", "198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1, nonsense"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
        ] {
            assert_eq!(seen_from(peer, lines), client, "{peer} {lines:?}");
        }
    }

    #[test]
    fn only_harmless_ids_are_taken_over() {
        let longest = "a".repeat(64);
        for good in ["a", "req-1_2.3", &longest] {
            assert!(is_sane_id(good), "{good}");
        }
        let too_long = "a".repeat(65);
        for bad in ["", "a b", "a\"b", "ä", "a=b", &too_long] {
            assert!(!is_sane_id(bad), "{bad}");
        }
    }
}
