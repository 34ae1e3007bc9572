//! Calls by several clients at once, and what they cost.

use std::time::Instant;

use anyhow::Result;
use futures::future::try_join_all;

use super::caller::{Caller, Target};
use super::child::Child;
use crate::stats::{Samples, millis};

/// What some calls to one target came to.
pub(super) struct Lap {
    /// Calls per second, all clients together.
    pub(super) rate: f64,
    /// Median time of a call, in milliseconds.
    pub(super) p50: f64,
    /// 95th percentile of the time of a call, in milliseconds.
    pub(super) p95: f64,
    /// CPU milliseconds of the process under test per call, the background work after it included.
    pub(super) cpu: f64,
}

impl Lap {
    /// Every client makes `calls` calls, one after the other.
    pub(super) async fn run(
        callers: &[Caller],
        calls: usize,
        target: Target,
        process: Option<&Child>,
    ) -> Result<Self> {
        let cpu = || process.map_or(f64::NAN, Child::cpu_millis);
        let before = cpu();
        let start = Instant::now();
        let clients = callers.iter().map(|caller| client(caller, calls, target));
        let times: Samples = try_join_all(clients).await?.into_iter().flatten().collect();
        let seconds = start.elapsed().as_secs_f64();
        if let (Target::Turn(mode), Some(process)) = (target, process)
            && mode.learns()
        {
            process.settle().await;
        }
        let count = (callers.len() * calls) as f64;
        Ok(Self {
            rate: count / seconds,
            p50: times.median(),
            p95: times.quantile(0.95),
            cpu: (cpu() - before) / count,
        })
    }
}

async fn client(caller: &Caller, calls: usize, target: Target) -> Result<Vec<f64>> {
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        let start = Instant::now();
        caller.ask(target).await?;
        times.push(millis(start.elapsed()));
    }
    Ok(times)
}
