//! Work that is done after its cause was committed.

mod model;
mod ports;
mod runner;

pub use model::{
    Job, JobKind, JobReport, JobState, LONGEST_WAIT, LeasedJob, QueueDepth, RetryPolicy,
};
pub use ports::{JobOutbox, JobQueue, Maintenance, WorkSignal};
pub use runner::{JobOutcome, JobRunner};
