//! What is not counted but asked, when somebody reads.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::PREFIX;
use crate::repository::{FeedLag, FlowRepository, Measurement, MeasurementKind, Status};

/// How long a storage may take to answer, and how long its answer is good.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// How the storage is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storage {
    is_ready: bool,
    /// For how long it has been so. Not known where it has not answered at all.
    for_the_last: Option<Duration>,
    /// Not known where it has not answered.
    lag: Option<FeedLag>,
}

impl Storage {
    /// A storage that takes longer than we wait is not ready.
    pub(super) async fn ask(repository: &dyn FlowRepository) -> Self {
        let health = tokio::time::timeout(PATIENCE, repository.health());
        let lag = tokio::time::timeout(PATIENCE, repository.feed_lag());
        let (health, lag) = tokio::join!(health, lag);
        if let Ok(Err(error)) = &lag {
            tracing::debug!(%error, "the lag of the feed is not known");
        }
        Self {
            is_ready: health.as_ref().is_ok_and(|health| health.status == Status::Ready),
            for_the_last: health.ok().map(|health| health.for_the_last),
            lag: lag.ok().and_then(Result::ok),
        }
    }

    fn measurements(self) -> impl Iterator<Item = Measurement> {
        let lag = |value: fn(FeedLag) -> Option<f64>| self.lag.and_then(value);
        let ready = Some(Measurement::gauge(
            "storage_ready",
            "Whether the storage answers within a second, and its schema is up to date.",
            f64::from(self.is_ready),
        ));
        let state = self.for_the_last.map(|time| {
            let help = "For how long the storage has been ready, or not.";
            Measurement::gauge("storage_state_seconds", help, time.as_secs_f64())
        });
        let behind = lag(|lag| Some(lag.behind.as_secs_f64())).map(|seconds| {
            let help = "Age of the oldest committed change that readers of the feed cannot see yet.";
            Measurement::gauge("feed_lag_seconds", help, seconds)
        });
        let held_back = lag(|lag| Some(lag.held_back as f64)).map(|count| {
            let help = "Committed changes that readers of the feed cannot see yet, at most 10,000.";
            Measurement::gauge("feed_held_back_changes", help, count)
        });
        let oldest = lag(|lag| lag.oldest_transaction.map(|age| age.as_secs_f64())).map(|seconds| {
            let help = "Age of the oldest transaction that changes in the feed may have to wait for.";
            Measurement::gauge("feed_oldest_transaction_seconds", help, seconds)
        });
        [ready, state, behind, held_back, oldest].into_iter().flatten()
    }
}

/// Everything that is asked, answered.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) requests_in_flight: usize,
    pub(super) storage: Storage,
    pub(super) measurements: Vec<Measurement>,
}

impl Moment {
    pub(super) fn registry(self) -> Registry {
        let help = "HTTP requests whose answer has not been sent to its end.";
        let in_flight = Measurement::gauge("http_requests_in_flight", help, self.requests_in_flight as f64);
        let mut all = vec![in_flight];
        all.extend(self.storage.measurements());
        all.extend(self.measurements);
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(Answers(all)));
        registry
    }
}

#[derive(Debug)]
struct Answers(Vec<Measurement>);

impl Collector for Answers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in self.0.chunk_by(|one, next| one.name == next.name) {
            let Some(first) = family.first() else { continue };
            // The crate puts the suffix of counters back.
            let name = first.name.strip_suffix("_total").unwrap_or(first.name);
            let kind = match first.kind {
                MeasurementKind::Gauge => MetricType::Gauge,
                MeasurementKind::Counter => MetricType::Counter,
            };
            let mut family_encoder = encoder.encode_descriptor(name, first.help, None, kind)?;
            for Measurement { kind, label, value, .. } in family {
                let labels: &[_] = label.as_slice();
                let mut encoder = family_encoder.encode_family(&labels)?;
                match kind {
                    MeasurementKind::Gauge => encoder.encode_gauge(value)?,
                    MeasurementKind::Counter => encoder.encode_counter::<NoLabelSet, f64, f64>(value, None)?,
                }
            }
        }
        Ok(())
    }
}
