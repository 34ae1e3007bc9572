//! A small server that speaks Qdrant's own gRPC protocol, for a test that wants a real socket.
//!
//! It keeps points in memory, evaluates filters and computes scores exactly, and refuses what Qdrant
//! refuses: unknown collections and vector names, vectors of a wrong length, sparse ones that name an
//! index twice, a limit of nought, facets over a field without an index that looks values up, an alias in
//! the place of a collection. It is as if strict mode were on: a filter needs an index. Points of equal
//! score come in no order. An unfiltered search in a collection without a global graph (`m = 0`) finds nothing there
//! either. What the adapter does not use is answered with `unimplemented`.
//!
//! It can misbehave on demand: see [`QdrantServer::break_down`] and its neighbours.

mod collections;
mod faults;
mod filter;
mod points;
mod search;
mod state;
mod validation;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use qdrant_client::qdrant::collections_server::CollectionsServer;
use qdrant_client::qdrant::points_server::PointsServer;
use qdrant_client::qdrant::qdrant_server::{Qdrant, QdrantServer as HealthServer};
use qdrant_client::qdrant::{HealthCheckReply, HealthCheckRequest};
use tokio::runtime::Runtime;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use uuid::Uuid;

pub use faults::Misbehaviour;
use state::State;

/// A running server; it ends when dropped.
pub struct QdrantServer {
    service: Service,
    address: SocketAddr,
    /// Of its own, so that stopping it cuts every connection.
    runtime: Option<Runtime>,
}

/// What answers the calls; clones share the points.
#[derive(Clone)]
struct Service {
    state: Arc<Mutex<State>>,
    api_key: Option<String>,
}

impl QdrantServer {
    /// A server on a free port, for anybody.
    pub fn start() -> Self {
        Self::with_key(None)
    }

    /// A server that wants this key.
    pub fn with_key(api_key: Option<&str>) -> Self {
        let service = Service {
            state: Arc::default(),
            api_key: api_key.map(str::to_owned),
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let runtime = Some(serve(listener, &service));
        Self {
            service,
            address,
            runtime,
        }
    }

    /// Its address for clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts every connection and refuses new ones, from when it returns.
    pub fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // From a thread of its own, because a runtime may not wait for another one.
            let stop = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(5)));
            let _ = stop.join();
        }
    }

    /// Serves again, on the same port and with the same points.
    pub fn restart(&mut self) {
        self.stop();
        for _ in 0..100 {
            if let Ok(listener) = TcpListener::bind(self.address) {
                self.runtime = Some(serve(listener, &self.service));
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the port {} is not free again", self.address);
    }

    /// Misbehaves so, until told otherwise.
    pub fn break_down(&self, how: Misbehaviour) {
        self.state().misbehaviour = Some(how);
    }

    /// Behaves again.
    pub fn heal(&self) {
        self.state().misbehaviour = None;
    }

    /// The names of the calls so far, oldest first; forgotten when told.
    pub fn take_calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.state().calls)
    }

    /// Goes back to what it held before its last `writes` writes of points: an old snapshot.
    pub fn lose_last_writes(&self, writes: usize) {
        self.state().undo(writes);
    }

    /// Makes a point name another owner; `false` when there is no such point.
    pub fn change_owner(&self, point: Uuid, user: Uuid, profile: Uuid) -> bool {
        self.state().change_owner(point, user, profile)
    }

    /// Every point as a text, to compare.
    pub fn dump(&self) -> Vec<String> {
        self.state().dump()
    }

    /// How many points there are, in all collections.
    pub fn total(&self) -> usize {
        self.state().total()
    }

    /// The collections, in the order of their names.
    pub fn collections(&self) -> Vec<String> {
        self.state().collections.keys().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.service.state()
    }
}

impl Drop for QdrantServer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Service {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, request: Request<()>) -> Result<Request<()>, Status> {
        let given = request.metadata().get("api-key");
        let given = given.map(tonic::metadata::MetadataValue::as_bytes);
        if self
            .api_key
            .as_deref()
            .is_some_and(|key| given != Some(key.as_bytes()))
        {
            return Err(Status::unauthenticated("Must provide an API key"));
        }
        Ok(request)
    }
}

fn serve(listener: TcpListener, service: &Service) -> Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    listener.set_nonblocking(true).unwrap();
    let admit = |service: &Service| {
        let service = service.clone();
        move |request| service.admit(request)
    };
    let server = Server::builder()
        .add_service(PointsServer::with_interceptor(
            service.clone(),
            admit(service),
        ))
        .add_service(CollectionsServer::with_interceptor(
            service.clone(),
            admit(service),
        ))
        .add_service(HealthServer::with_interceptor(
            service.clone(),
            admit(service),
        ));
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        server
            .serve_with_incoming(TcpIncoming::from(listener))
            .await
    });
    runtime
}

#[tonic::async_trait]
impl Qdrant for Service {
    async fn health_check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckReply>, Status> {
        self.read("health_check").await?;
        Ok(Response::new(HealthCheckReply {
            title: "a stand-in for Qdrant".to_owned(),
            version: "1.18.0".to_owned(),
            commit: None,
        }))
    }
}
