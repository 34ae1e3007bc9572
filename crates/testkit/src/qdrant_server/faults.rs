//! How the server misbehaves.

use qdrant_client::qdrant::{PointsOperationResponse, UpdateResult, UpdateStatus};
use tonic::{Code, Response, Status};

use super::Service;

/// What goes wrong. A read is what changes nothing; a write is what changes points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misbehaviour {
    /// Every call waits for ever.
    Hang,
    /// Every call fails so.
    Refuse(Code),
    /// Every write of points fails so, and changes nothing.
    RefuseWrites(Code),
    /// The next calls fail so, this many; then all is well.
    RefuseNext(Code, u32),
    /// Writes are made, but answered as if they were only queued.
    Acknowledge,
    /// Writes are made, but answered as if waiting for them had taken too long.
    WaitTimeout,
    /// Writes are answered as done and forgotten.
    Forget,
    /// Filters are ignored: everybody finds everything.
    IgnoreFilters,
}

impl Service {
    /// Notes a call that reads, and lets it go wrong.
    pub(super) async fn read(&self, call: &'static str) -> Result<(), Status> {
        let misbehaviour = {
            let mut state = self.state();
            state.calls.push(call);
            match state.misbehaviour {
                Some(Misbehaviour::RefuseNext(_, 0)) => None,
                Some(Misbehaviour::RefuseNext(code, left)) => {
                    state.misbehaviour = Some(Misbehaviour::RefuseNext(code, left - 1));
                    Some(Misbehaviour::Refuse(code))
                }
                other => other,
            }
        };
        match misbehaviour {
            Some(Misbehaviour::Hang) => std::future::pending().await,
            Some(Misbehaviour::Refuse(code)) => Err(Status::new(code, "told to fail")),
            _ => Ok(()),
        }
    }

    /// Notes a call that writes points, and lets it go wrong; `false` when nothing is to be changed.
    pub(super) async fn write(&self, call: &'static str) -> Result<bool, Status> {
        self.read(call).await?;
        let mut state = self.state();
        match state.misbehaviour {
            Some(Misbehaviour::RefuseWrites(code)) => Err(Status::new(code, "told to fail")),
            Some(Misbehaviour::Forget) => Ok(false),
            _ => {
                state.remember();
                Ok(true)
            }
        }
    }

    /// The answer to a write: without waiting nothing is ever completed.
    pub(super) fn written(&self, wait: Option<bool>) -> Response<PointsOperationResponse> {
        let status = match self.state().misbehaviour {
            Some(Misbehaviour::Acknowledge) => UpdateStatus::Acknowledged,
            Some(Misbehaviour::WaitTimeout) => UpdateStatus::WaitTimeout,
            _ if wait == Some(true) => UpdateStatus::Completed,
            _ => UpdateStatus::Acknowledged,
        };
        let result = UpdateResult {
            operation_id: Some(0),
            status: status.into(),
        };
        Response::new(PointsOperationResponse {
            result: Some(result),
            time: 0.0,
            usage: None,
        })
    }

    pub(super) fn ignores_filters(&self) -> bool {
        self.state().misbehaviour == Some(Misbehaviour::IgnoreFilters)
    }
}
