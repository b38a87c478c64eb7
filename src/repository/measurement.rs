//! Metrics of a backend.

/// One metric of a backend at one point in time, named by the rules of Prometheus:
/// <https://prometheus.io/docs/practices/naming/>.
///
/// - The name starts with the kind of the backend. It ends with the base unit (`_seconds`, `_bytes`), if there is one.
///   The name of a counter ends with `_total`.
/// - Metrics of one name differ in their label, are adjacent, and have the same kind and help.
/// - Names, labels and label values are constants, so they never contain data of a flow.
///
/// ```
/// use strom_store::repository::Measurement;
///
/// let metrics = [
///     Measurement::counter("memory_saves_total", "Saved calls.", 12),
///     Measurement::gauge("memory_flows", "Flows in memory.", 3.0).labelled("kind", "stored"),
/// ];
/// assert_eq!(metrics[1].label, Some(("kind", "stored")));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Measurement {
    /// The name, such as `json_journal_bytes`.
    pub name: &'static str,
    /// The description, as a sentence.
    pub help: &'static str,
    /// Whether the value can decrease.
    pub kind: MeasurementKind,
    /// The name and value of the label.
    pub label: Option<(&'static str, &'static str)>,
    /// The value, in the unit that the name states.
    pub value: f64,
}

/// Whether the value of a metric can decrease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MeasurementKind {
    /// The current value.
    Gauge,
    /// The number of events since the process started.
    Counter,
}

impl Measurement {
    /// Returns a gauge.
    pub const fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, kind: MeasurementKind::Gauge, label: None, value }
    }

    /// Returns a counter.
    pub const fn counter(name: &'static str, help: &'static str, count: u64) -> Self {
        Self { name, help, kind: MeasurementKind::Counter, label: None, value: count as f64 }
    }

    /// Returns the same metric with this label.
    #[must_use]
    pub const fn labelled(self, name: &'static str, value: &'static str) -> Self {
        Self { label: Some((name, value)), ..self }
    }
}
