//! The description of the API: `/openapi.json`, and `/docs` to read and try it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;

use actix_web::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use actix_web::web::{self, Bytes, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use utoipa_swagger_ui::{Config, SwaggerUi};

/// Swagger UI sets styles from its scripts; everything it needs is served here.
pub(crate) const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The document as it is sent.
#[derive(Clone)]
pub(crate) struct Document {
    json: Bytes,
    tag: String,
}

impl Document {
    /// Writes the document once, for all requests.
    pub(crate) fn new() -> io::Result<Self> {
        let json = crate::openapi().to_json().map_err(io::Error::other)?;
        let mut hasher = DefaultHasher::new();
        json.hash(&mut hasher);
        Ok(Self {
            tag: format!("\"{:016x}\"", hasher.finish()),
            json: json.into(),
        })
    }
}

/// Is this path one of the pages here?
pub(crate) fn is_page(path: &str) -> bool {
    path.starts_with("/docs/")
}

/// Registers the pages.
pub(crate) fn configure(config: &mut ServiceConfig) {
    // The validator is somebody else's server.
    let page = Config::from("/openapi.json").validator_url("none");
    config
        .route("/openapi.json", web::get().to(openapi_json))
        .service(web::redirect("/docs", "/docs/"))
        .service(SwaggerUi::new("/docs/{_:.*}").config(page));
}

async fn openapi_json(request: HttpRequest, document: Data<Document>) -> HttpResponse {
    let known = request.headers().get(IF_NONE_MATCH);
    let known = known.and_then(|v| v.to_str().ok()).unwrap_or_default();
    let mut answer = if known.contains(&document.tag) {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    answer
        .insert_header((ETAG, document.tag.as_str()))
        .insert_header((CACHE_CONTROL, "no-cache"));
    if known.contains(&document.tag) {
        return answer.finish();
    }
    answer
        .content_type("application/json")
        .body(document.json.clone())
}
