//! HTTP requests, counted by method, route and status, and timed.

use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CountLabels {
    method: &'static str,
    route: String,
    status: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    method: &'static str,
    route: String,
}

/// The metrics of HTTP requests.
#[derive(Debug)]
pub(crate) struct Requests {
    counts: Family<CountLabels, Counter>,
    durations: Family<DurationLabels, Histogram, fn() -> Histogram>,
}

impl Requests {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let durations: fn() -> Histogram = || Histogram::new(BUCKETS);
        let requests = Self { counts: Family::default(), durations: Family::new_with_constructor(durations) };
        let help = "HTTP requests that were answered or aborted";
        registry.register("http_requests", help, requests.counts.clone());
        let help = "Duration of HTTP requests until the start of the response body";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, requests.durations.clone());
        requests
    }

    /// Starts a request. `method` and `route` must have few values, which clients cannot choose.
    pub(crate) fn begin(&self, method: &'static str, route: String) -> Running<'_> {
        Running { requests: self, method, route, begin: Instant::now(), status: None }
    }
}

/// A running request. Dropping it counts the status `abandoned`.
#[derive(Debug)]
pub(crate) struct Running<'a> {
    requests: &'a Requests,
    method: &'static str,
    route: String,
    begin: Instant,
    status: Option<u16>,
}

impl Running<'_> {
    pub(crate) fn end(mut self, status: u16) {
        self.status = Some(status);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let timed = DurationLabels { method: self.method, route: std::mem::take(&mut self.route) };
        self.requests.durations.get_or_create(&timed).observe(self.begin.elapsed().as_secs_f64());
        let status = self.status.map_or_else(|| "abandoned".to_owned(), |status| status.to_string());
        let DurationLabels { method, route } = timed;
        self.requests.counts.get_or_create(&CountLabels { method, route, status }).inc();
    }
}
