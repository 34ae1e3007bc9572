//! The server: everything put together, on a socket.

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServerHandle, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data};
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer};
use utoipa::openapi::OpenApi;
use utoipa_actix_web::AppExt;

use crate::docs::Document;
use crate::health::Looks;
use crate::metrics::Metrics;
use crate::observe::observe;
use crate::rate_limit::Limits;
use crate::streams::Streams;
use crate::turn_places::TurnPlaces;
use crate::{Api, Drain, HttpSettings, Problem, docs, headers, routes};

/// A client that sends nothing is let go after this time.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// A request's head must be there within this time. Shorter, and a storm of new connections looks
/// like slow clients; longer, and slow clients cost too much.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// A server that accepts connections. It does nothing about signals: stop it by calling
/// [`Drain::begin`], then `handle.stop(true)`.
pub struct Running {
    /// Resolves once the server has stopped; must be polled.
    pub server: Server,
    /// Stops it.
    pub handle: ServerHandle,
    /// Announces the end.
    pub drain: Drain,
}

/// Serves the API on a socket that is already bound. The threads start now; call it on the runtime
/// that will poll [`Running::server`]. [`io::ErrorKind::InvalidInput`] for settings that are refused.
pub fn serve(listener: TcpListener, api: Api, settings: HttpSettings) -> io::Result<Running> {
    settings.check()?;
    let drain = Drain::default();
    let workers = settings.workers;
    let shutdown_timeout = settings.shutdown_timeout.as_secs();
    let shared = Shared::new(api, settings, drain.clone())?;
    let mut server = HttpServer::new(move || shared.app())
        .disable_signals()
        .tcp_nodelay(true)
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_TIMEOUT)
        // A client that closes its side has left: an incognito turn nobody waits for must stop, also
        // before the first byte of its answer, when nothing is written that could fail.
        .h1_allow_half_closed(false)
        .shutdown_timeout(shutdown_timeout);
    if let Some(workers) = workers {
        server = server.workers(workers.max(1));
    }
    let server = server.listen(listener)?.run();
    Ok(Running {
        handle: server.handle(),
        server,
        drain,
    })
}

/// What all threads share.
#[derive(Clone)]
struct Shared {
    api: Data<Api>,
    settings: Data<HttpSettings>,
    metrics: Data<Metrics>,
    limits: Data<Limits>,
    streams: Data<Streams>,
    places: Data<TurnPlaces>,
    looks: Data<Looks>,
    document: Data<Document>,
    methods: Data<Methods>,
    drain: Data<Drain>,
}

impl Shared {
    fn new(api: Api, settings: HttpSettings, drain: Drain) -> io::Result<Self> {
        let metrics = Metrics::new().map_err(io::Error::other)?;
        let limits = Limits::new(&settings, api.limiter.clone(), metrics.clone());
        let streams = Streams::new(settings.max_streams_per_user, metrics.streams().clone());
        let places = TurnPlaces::new(settings.max_turns, metrics.running().clone());
        Ok(Self {
            api: Data::new(api),
            limits: Data::new(limits),
            settings: Data::new(settings),
            metrics: Data::new(metrics),
            streams: Data::new(streams),
            places: Data::new(places),
            looks: Data::new(Looks::default()),
            document: Data::new(Document::new()?),
            methods: Data::new(Methods::of(&crate::openapi())),
            drain: Data::new(drain),
        })
    }

    fn app(
        &self,
    ) -> App<
        impl ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<impl MessageBody + use<>>,
            Error = Error,
            InitError = (),
        > + use<>,
    > {
        App::new()
            .into_utoipa_app()
            .configure(routes::register)
            .into_app()
            .configure(docs::configure)
            .default_service(web::to(unmatched))
            .app_data(self.api.clone())
            .app_data(self.settings.clone())
            .app_data(self.metrics.clone())
            .app_data(self.limits.clone())
            .app_data(self.streams.clone())
            .app_data(self.places.clone())
            .app_data(self.looks.clone())
            .app_data(self.document.clone())
            .app_data(self.methods.clone())
            .app_data(self.drain.clone())
            .wrap(headers::cors(&self.settings))
            .wrap(from_fn(observe))
    }
}

/// The methods of each path, as an `Allow` header has them. Drawn from the document, so it is always
/// the list of what is served.
struct Methods(HashMap<String, String>);

impl Methods {
    fn of(document: &OpenApi) -> Self {
        let paths = document.paths.paths.iter().map(|(path, item)| {
            let methods = [
                ("GET, HEAD", &item.get),
                ("POST", &item.post),
                ("PUT", &item.put),
                ("PATCH", &item.patch),
                ("DELETE", &item.delete),
            ];
            let served = methods.iter().filter(|(_, operation)| operation.is_some());
            let names: Vec<_> = served.map(|(name, _)| *name).collect();
            (path.clone(), names.join(", "))
        });
        Self(paths.collect())
    }
}

/// Whatever no route takes: 405 where another method would do, else 404.
async fn unmatched(request: HttpRequest, methods: Data<Methods>) -> Result<HttpResponse, Problem> {
    let pattern = request.match_pattern();
    let allowed = pattern.and_then(|pattern| methods.0.get(&pattern).cloned());
    Err(allowed.map_or_else(
        || Problem::of_status(StatusCode::NOT_FOUND),
        |methods| Problem::of_status(StatusCode::METHOD_NOT_ALLOWED).allow(methods),
    ))
}
