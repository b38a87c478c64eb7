//! What a backend measures of itself, for whoever watches over it.

use std::time::Duration;

/// One number that a backend measures, named as Prometheus wants it.
/// Source: <https://prometheus.io/docs/practices/naming/>.
///
/// The name begins with the kind of the backend and ends with the unit, a base unit (`_seconds`, `_bytes`), where it has
/// one; that of a counter ends with `_total`. Measurements of one name differ in their label, follow each other and have
/// one kind and one help. Names, labels and their values are constants: nothing of a flow is ever in them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measurement {
    /// As in `json_journal_bytes`.
    pub name: &'static str,
    /// What it is, as a sentence.
    pub help: &'static str,
    /// Whether it can fall.
    pub kind: MeasurementKind,
    /// The name of a label and its value.
    pub label: Option<(&'static str, &'static str)>,
    /// In the unit that the name says.
    pub value: f64,
}

/// Whether a measurement can fall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeasurementKind {
    /// How it is now.
    Gauge,
    /// How often since the start of the process.
    Counter,
}

impl Measurement {
    /// How it is now.
    pub const fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, kind: MeasurementKind::Gauge, label: None, value }
    }

    /// How often since the start of the process.
    pub const fn counter(name: &'static str, help: &'static str, count: u64) -> Self {
        Self { name, help, kind: MeasurementKind::Counter, label: None, value: count as f64 }
    }

    /// One of several that have this label.
    pub const fn labelled(self, name: &'static str, value: &'static str) -> Self {
        Self { label: Some((name, value)), ..self }
    }
}

/// How far what readers of the feed can see is behind what is committed.
///
/// A change is held back as long as one that would stand before it may still be committed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FeedLag {
    /// Since when the oldest change that is held back is there, by the time that it bears; zero where none is.
    pub behind: Duration,
    /// How many changes are held back; a backend may stop to count at some number, and says so.
    pub held_back: u64,
    /// How long the oldest transaction that changes may have to wait for has been running; zero where none is, and `None`
    /// where the storage does not tell us.
    pub oldest_transaction: Option<Duration>,
}
