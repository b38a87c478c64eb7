//! What the program measures of itself, in the text format that Prometheus reads.
//!
//! | file | what |
//! |---|---|
//! | `calls` | the calls of a repository, counted and timed |
//! | `observed` | a repository whose calls are counted |
//! | `requests` | HTTP requests, counted and timed |
//! | `streams` | open streams |
//! | `moment` | what is asked when somebody reads: how the storage is |
//!
//! All names begin with `strom_`; docs/monitoring.md tells what each means, and a test holds it to that. Labels have few
//! values, all of them known to the program: no name and no id of a flow, no author, no path of a request.
//!
//! The crate is `prometheus-client`, which the Prometheus project keeps. It adds three crates and doubles none, has typed
//! labels and no global registry, so that two servers in one process count apart. `prometheus` is smaller still, but its
//! labels are lists of strings in the right order, and its macros go by a global registry. `metrics-exporter-prometheus`
//! adds thirteen crates, brings a second version of three, and expects one recorder for the whole process.

mod calls;
mod moment;
mod observed;
mod requests;
mod streams;

use std::sync::Arc;
use std::time::Instant;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;

use crate::repository::FlowRepository;
use calls::Calls;
use moment::{Moment, Storage};
use observed::Observed;
use requests::Requests;
use streams::Streams;
pub(crate) use streams::{OpenStream, StreamKind};

/// The media type of [`Metrics::text`]: the Prometheus text format, version 0.0.4.
/// Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>.
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

const PREFIX: &str = "strom";

/// The counters of one repository and of those who use it. Nothing of it is shared with another one.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls: Arc<Calls>,
    requests: Requests,
    streams: Streams,
    repository: Arc<dyn FlowRepository>,
    /// What the storage has answered, and when. Held while it is asked, so that those who read at once ask once.
    storage: Mutex<Option<(Instant, Storage)>>,
}

impl Metrics {
    /// Counters for this repository, all at zero.
    pub fn of(repository: Arc<dyn FlowRepository>) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let built = [("version", env!("CARGO_PKG_VERSION")), ("git_hash", env!("STROM_GIT_HASH"))];
        registry.register("build", "What this program was built from", Info::new(built));
        let calls = Arc::new(Calls::register(&mut registry));
        let requests = Requests::register(&mut registry);
        let streams = Streams::register(&mut registry);
        Self { registry, calls, requests, streams, repository, storage: Mutex::default() }
    }

    /// The repository, with its calls counted here.
    pub fn observed(&self) -> Arc<dyn FlowRepository> {
        Arc::new(Observed::new(Arc::clone(&self.repository), Arc::clone(&self.calls)))
    }

    /// The counters of HTTP requests.
    pub(crate) fn requests(&self) -> &Requests {
        &self.requests
    }

    /// The streams that are open.
    pub(crate) fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Everything as of now. Answers within little more than a second, whatever the storage does; what cannot be known is
    /// then not in it.
    pub async fn text(&self, requests_in_flight: usize) -> String {
        let storage = self.storage().await;
        let measurements = self.repository.measurements();
        let mut text = String::new();
        let moment = Moment { requests_in_flight, storage, measurements }.registry();
        for registry in [&self.registry, &moment] {
            prometheus_text::encode(&mut text, registry).expect("a String takes everything");
        }
        text
    }

    /// Asks the storage at most once a second, whoever asks here: strangers may, and each time takes a connection.
    async fn storage(&self) -> Storage {
        let mut known = self.storage.lock().await;
        match &*known {
            Some((asked, storage)) if asked.elapsed() < moment::PATIENCE => *storage,
            _ => {
                let storage = Storage::ask(&*self.repository).await;
                *known = Some((Instant::now(), storage));
                storage
            }
        }
    }
}
