//! Numbers for Prometheus. Labels have few values and never name a user, an id or a text.

use std::time::Duration;

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

/// The instruments, in a registry of their own. Clones share them.
#[derive(Clone)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    turns: IntCounterVec,
    jobs_pending: IntGauge,
    jobs_dead: IntGauge,
    streams: IntGauge,
    running: IntGauge,
    limits_alone: IntCounter,
    log_lines_dropped: IntGauge,
}

impl Metrics {
    /// Fresh instruments, all at zero.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let metrics = Self {
            registry: Registry::new(),
            requests: IntCounterVec::new(
                Opts::new("http_requests_total", "Requests answered."),
                &["method", "route", "status"],
            )?,
            durations: HistogramVec::new(
                HistogramOpts::new(
                    "http_request_duration_seconds",
                    "Time until the head of the answer.",
                ),
                &["route"],
            )?,
            turns: IntCounterVec::new(
                Opts::new("turns_total", "Turns that have ended."),
                &["mode", "outcome"],
            )?,
            jobs_pending: IntGauge::new("jobs_pending", "Jobs waiting or running.")?,
            jobs_dead: IntGauge::new("jobs_dead", "Jobs given up.")?,
            streams: IntGauge::new("streams_open", "Answers being streamed.")?,
            running: IntGauge::new(
                "turns_running",
                "Turns being answered, also those that nobody listens to.",
            )?,
            limits_alone: IntCounter::new(
                "limits_counted_alone_total",
                "Calls counted in this process alone, because the shared counts cannot be reached.",
            )?,
            log_lines_dropped: IntGauge::new(
                "log_lines_dropped",
                "Lines that were not logged, because whoever reads the log did not keep up.",
            )?,
        };
        let registry = &metrics.registry;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.durations.clone()))?;
        registry.register(Box::new(metrics.turns.clone()))?;
        registry.register(Box::new(metrics.jobs_pending.clone()))?;
        registry.register(Box::new(metrics.jobs_dead.clone()))?;
        registry.register(Box::new(metrics.streams.clone()))?;
        registry.register(Box::new(metrics.running.clone()))?;
        registry.register(Box::new(metrics.limits_alone.clone()))?;
        registry.register(Box::new(metrics.log_lines_dropped.clone()))?;
        Ok(metrics)
    }

    /// A request was answered. `route` is a pattern, not a path.
    pub(crate) fn request(&self, method: &str, route: &str, status: u16, took: Duration) {
        let status = status.to_string();
        self.requests
            .with_label_values(&[method, route, &status])
            .inc();
        self.durations
            .with_label_values(&[route])
            .observe(took.as_secs_f64());
    }

    /// A turn has ended: `completed`, or the code of its error.
    pub(crate) fn turn(&self, mode: &str, outcome: &str) {
        self.turns.with_label_values(&[mode, outcome]).inc();
    }

    /// A call was counted in this process only, because the shared counts cannot be reached.
    pub(crate) fn limit_counted_alone(&self) {
        self.limits_alone.inc();
    }

    /// Answers being streamed right now.
    pub(crate) fn streams(&self) -> &IntGauge {
        &self.streams
    }

    /// Turns being answered right now.
    pub(crate) fn running(&self) -> &IntGauge {
        &self.running
    }

    /// How much work the queue holds.
    pub(crate) fn jobs(&self, pending: u64, dead: u64) {
        self.jobs_pending
            .set(i64::try_from(pending).unwrap_or(i64::MAX));
        self.jobs_dead.set(i64::try_from(dead).unwrap_or(i64::MAX));
    }

    /// How many lines were not logged since the start.
    pub(crate) fn log_lines_dropped(&self, lines: usize) {
        self.log_lines_dropped
            .set(i64::try_from(lines).unwrap_or(i64::MAX));
    }

    /// Everything in Prometheus' text format.
    pub(crate) fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}
