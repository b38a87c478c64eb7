//! Metrics that are not counted but read when a client requests them.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::storage::StorageStatus;
use strom_store::repository::{Measurement, MeasurementKind};

/// The values of the metrics that are read on demand.
#[derive(Debug)]
pub(super) struct OnDemand {
    pub(super) requests_in_flight: usize,
    pub(super) storage: StorageStatus,
    pub(super) measurements: Vec<Measurement>,
}

impl OnDemand {
    pub(super) fn registry(self, prefix: &str) -> Registry {
        let help = "HTTP requests in progress, until the response is sent completely.";
        let in_flight = Measurement::gauge("http_requests_in_flight", help, self.requests_in_flight as f64);
        let mut all = vec![in_flight];
        all.extend(self.storage.measurements());
        all.extend(self.measurements);
        let mut registry = Registry::with_prefix(prefix);
        registry.register_collector(Box::new(Measurements(all)));
        registry
    }
}

#[derive(Debug)]
struct Measurements(Vec<Measurement>);

impl Collector for Measurements {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in self.0.chunk_by(|one, next| one.name == next.name) {
            let Some(first) = family.first() else { continue };
            // The crate appends the suffix of counters.
            let name = first.name.strip_suffix("_total").unwrap_or(first.name);
            let kind = match first.kind {
                MeasurementKind::Gauge => MetricType::Gauge,
                MeasurementKind::Counter => MetricType::Counter,
                // A kind that a newer version of the store may add.
                _ => continue,
            };
            let mut family_encoder = encoder.encode_descriptor(name, first.help, None, kind)?;
            for Measurement { kind, label, value, .. } in family {
                let labels: &[_] = label.as_slice();
                let mut encoder = family_encoder.encode_family(&labels)?;
                match kind {
                    MeasurementKind::Gauge => encoder.encode_gauge(value)?,
                    MeasurementKind::Counter => encoder.encode_counter::<NoLabelSet, f64, f64>(value, None)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }
}
