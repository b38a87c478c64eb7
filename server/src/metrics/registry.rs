//! All metrics of one repository and its clients.

use std::sync::Arc;
use std::time::Instant;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;

use super::calls::Calls;
use super::observed::Observed;
use super::on_demand::OnDemand;
use super::requests::Requests;
use super::storage::{StorageStatus, TIMEOUT};
use super::streams::Streams;
use strom_store::repository::FlowRepository;

/// The media type of [`Metrics::text`]: the Prometheus text format, version 0.0.4.
/// Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>.
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// The prefix of all names.
const PREFIX: &str = "strom";

/// The metrics of one repository and its clients. Two instances share nothing.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls: Arc<Calls>,
    requests: Requests,
    streams: Streams,
    repository: Arc<dyn FlowRepository>,
    /// The last status of the storage and its time. The lock is held during a query, so that concurrent readers share one
    /// query.
    storage: Mutex<Option<(Instant, StorageStatus)>>,
}

impl Metrics {
    /// Returns metrics for this repository. All counters start at zero.
    pub fn of(repository: Arc<dyn FlowRepository>) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let calls = Arc::new(Calls::register(&mut registry));
        let requests = Requests::register(&mut registry);
        let streams = Streams::register(&mut registry);
        Self { registry, calls, requests, streams, repository, storage: Mutex::default() }
    }

    /// Adds the metric `build_info` with the version of this crate and the hash of a commit.
    pub(crate) fn built_from(mut self, git_hash: &'static str) -> Self {
        let labels = [("version", env!("CARGO_PKG_VERSION")), ("git_hash", git_hash)];
        self.registry.register("build", "Version and commit of the program", Info::new(labels));
        self
    }

    /// Returns the repository with counted calls.
    pub fn observed(&self) -> Arc<dyn FlowRepository> {
        Arc::new(Observed::new(Arc::clone(&self.repository), Arc::clone(&self.calls)))
    }

    /// Returns the counters of HTTP requests.
    pub(crate) fn requests(&self) -> &Requests {
        &self.requests
    }

    /// Returns the gauges of open streams.
    pub(crate) fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Returns all metrics as text within little more than a second. If the storage does not respond in time, the text
    /// omits its metrics.
    pub async fn text(&self, requests_in_flight: usize) -> String {
        let storage = self.storage().await;
        let measurements = self.repository.measurements();
        let mut text = String::new();
        let on_demand = OnDemand { requests_in_flight, storage, measurements }.registry(PREFIX);
        for registry in [&self.registry, &on_demand] {
            prometheus_text::encode(&mut text, registry).expect("writing to a String cannot fail");
        }
        text
    }

    /// Queries the storage at most once per second. The route needs no key, and each query takes a connection.
    async fn storage(&self) -> StorageStatus {
        let mut last = self.storage.lock().await;
        match &*last {
            Some((time, storage)) if time.elapsed() < TIMEOUT => *storage,
            _ => {
                let storage = StorageStatus::query(&*self.repository).await;
                *last = Some((Instant::now(), storage));
                storage
            }
        }
    }
}
