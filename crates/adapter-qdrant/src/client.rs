//! Calls with a deadline, a few tries and a circuit breaker around them.

use std::future::Future;
use std::time::Duration;

use domain::memory::IndexError;
use qdrant_client::qdrant::{PointsOperationResponse, UpdateStatus};
use qdrant_client::{Qdrant, QdrantError};
use secrecy::ExposeSecret;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::Code;

use crate::breaker::Breaker;
use crate::config::QdrantConfig;

/// Waits before the second try and the third; there is no fourth.
const WAITS: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(2);

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The server failed too often just now and is left alone.
    #[error("the server did not answer lately; it is left alone for a few seconds")]
    LeftAlone,
    /// It took too long.
    #[error("{0} took too long")]
    TooLong(&'static str),
    /// The server knows no such collection.
    #[error("there is no such collection")]
    Missing,
    /// There is such a collection already.
    #[error("there is such a collection already")]
    Exists,
    /// A write was accepted, but not completed.
    #[error("a write was not completed: {0}")]
    NotCompleted(&'static str),
    /// Any other refusal or failure.
    #[error("{call} failed: {code:?}")]
    Failed {
        call: &'static str,
        code: Code,
        #[source]
        source: Box<QdrantError>,
    },
}

impl From<CallError> for IndexError {
    fn from(error: CallError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

impl CallError {
    fn of(call: &'static str, error: QdrantError) -> Self {
        let code = match &error {
            QdrantError::ResponseError { status }
            | QdrantError::ResourceExhaustedError { status, .. } => status.code(),
            _ => Code::Unknown,
        };
        match code {
            Code::NotFound => Self::Missing,
            Code::AlreadyExists => Self::Exists,
            code => Self::Failed {
                call,
                code,
                source: Box::new(error),
            },
        }
    }

    /// Did the server itself give no proper answer, so that another try may help?
    fn is_silence(&self) -> bool {
        match self {
            Self::LeftAlone | Self::TooLong(_) => true,
            Self::Missing | Self::Exists | Self::NotCompleted(_) => false,
            // A connection that cannot be made is `Internal` in this client.
            Self::Failed { code, .. } => matches!(
                code,
                Code::Unavailable
                    | Code::DeadlineExceeded
                    | Code::Internal
                    | Code::Unknown
                    | Code::Cancelled
                    | Code::Aborted
                    | Code::ResourceExhausted
            ),
        }
    }
}

/// A client and its breaker.
pub(crate) struct Client {
    qdrant: Qdrant,
    breaker: Breaker,
    write_patience: Duration,
}

impl Client {
    /// Connects at the first call.
    pub(crate) fn new(config: &QdrantConfig) -> Result<Self, IndexError> {
        let key = config
            .api_key
            .as_ref()
            .map(|key| key.expose_secret().to_owned());
        let qdrant = Qdrant::from_url(&config.url)
            .api_key(key)
            .timeout(config.write_patience)
            .connect_timeout(CONNECT)
            .keep_alive_while_idle()
            .skip_compatibility_check()
            .build();
        Ok(Self {
            qdrant: qdrant.map_err(|error| IndexError::Unavailable(Box::new(error)))?,
            breaker: Breaker::default(),
            write_patience: config.write_patience,
        })
    }

    /// An operation that may consist of several calls, unless the server is left alone just now. The
    /// breaker learns how it went.
    pub(crate) async fn guarded<T>(
        &self,
        operation: impl Future<Output = Result<T, IndexError>>,
    ) -> Result<T, IndexError> {
        if !self.breaker.admits() {
            return Err(CallError::LeftAlone.into());
        }
        let outcome = operation.await;
        match &outcome {
            Err(IndexError::Unavailable(source))
                if source.downcast_ref().is_some_and(CallError::is_silence) =>
            {
                self.breaker.failed();
            }
            _ => self.breaker.answered(),
        }
        outcome
    }

    /// One try, until the deadline.
    pub(crate) async fn ask<'a, T, Fut>(
        &'a self,
        name: &'static str,
        deadline: Instant,
        call: impl FnOnce(&'a Qdrant) -> Fut,
    ) -> Result<T, CallError>
    where
        Fut: Future<Output = Result<T, QdrantError>>,
    {
        match timeout_at(deadline, call(&self.qdrant)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(CallError::of(name, error)),
            Err(_) => Err(CallError::TooLong(name)),
        }
    }

    /// A few tries of a call that can be made twice.
    pub(crate) async fn insist<'a, T, Fut>(
        &'a self,
        name: &'static str,
        call: impl Fn(&'a Qdrant) -> Fut,
    ) -> Result<T, CallError>
    where
        Fut: Future<Output = Result<T, QdrantError>>,
    {
        let deadline = Instant::now() + self.write_patience;
        for wait in WAITS {
            match self.ask(name, deadline, &call).await {
                Err(error @ CallError::Failed { .. }) if error.is_silence() => {
                    if Instant::now() + wait >= deadline {
                        return Err(error);
                    }
                    sleep(wait).await;
                }
                answer => return answer,
            }
        }
        self.ask(name, deadline, &call).await
    }

    /// A few tries of a write of points; only what is completed is written.
    pub(crate) async fn write<'a, Fut>(
        &'a self,
        name: &'static str,
        call: impl Fn(&'a Qdrant) -> Fut,
    ) -> Result<(), CallError>
    where
        Fut: Future<Output = Result<PointsOperationResponse, QdrantError>>,
    {
        let answer = self.insist(name, call).await?;
        let status = answer.result.map(|result| result.status());
        match status {
            Some(UpdateStatus::Completed) => Ok(()),
            Some(other) => Err(CallError::NotCompleted(other.as_str_name())),
            None => Err(CallError::NotCompleted("no status")),
        }
    }
}
