//! Calls of a repository, counted by operation and outcome, and timed.

use std::sync::Arc;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use strom_store::repository::RepositoryError;

/// Buckets in seconds. A save to a file takes a fraction of a millisecond. A call to a database may wait for seconds.
const BUCKETS: [f64; 14] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// A counted method of the repository.
#[derive(Debug, Clone, Copy)]
pub(super) enum Method {
    Get,
    GetEach,
    List,
    Summaries,
    Apply,
    Snapshot,
    History,
    Revision,
    Histories,
    Deleted,
    Changes,
    ChangeSummaries,
    Health,
}

impl Method {
    const ALL: [Self; 13] = [
        Self::Get,
        Self::GetEach,
        Self::List,
        Self::Summaries,
        Self::Apply,
        Self::Snapshot,
        Self::History,
        Self::Revision,
        Self::Histories,
        Self::Deleted,
        Self::Changes,
        Self::ChangeSummaries,
        Self::Health,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::GetEach => "get_each",
            Self::List => "list",
            Self::Summaries => "summaries",
            Self::Apply => "apply",
            Self::Snapshot => "snapshot",
            Self::History => "history",
            Self::Revision => "revision",
            Self::Histories => "histories",
            Self::Deleted => "deleted",
            Self::Changes => "changes",
            Self::ChangeSummaries => "change_summaries",
            Self::Health => "health",
        }
    }
}

/// The outcome of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallOutcome {
    Ok,
    Conflict,
    Unavailable,
    Busy,
    ReadOnly,
    /// The instance was opened read-only.
    ReadOnlyInstance,
    /// Ephemeral flows exceed their memory limit.
    NoRoom,
    Corrupt,
    Gone,
    Failed,
    /// The caller dropped the call. A write may have happened.
    Abandoned,
}

impl CallOutcome {
    const ALL: [Self; 11] = [
        Self::Ok,
        Self::Conflict,
        Self::Unavailable,
        Self::Busy,
        Self::ReadOnly,
        Self::ReadOnlyInstance,
        Self::NoRoom,
        Self::Corrupt,
        Self::Gone,
        Self::Failed,
        Self::Abandoned,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Conflict => "conflict",
            Self::Unavailable => "unavailable",
            Self::Busy => "busy",
            Self::ReadOnly => "read_only",
            Self::ReadOnlyInstance => "read_only_instance",
            Self::NoRoom => "no_room",
            Self::Corrupt => "corrupt",
            Self::Gone => "gone",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }

    pub(super) fn of<T>(result: &Result<T, RepositoryError>) -> Self {
        match result {
            Ok(_) => Self::Ok,
            Err(error) => Self::of_error(error),
        }
    }

    pub(super) const fn of_error(error: &RepositoryError) -> Self {
        match error {
            RepositoryError::Conflict(_) | RepositoryError::RepeatedId(_) => Self::Conflict,
            RepositoryError::Unavailable { .. } => Self::Unavailable,
            RepositoryError::Busy(_) => Self::Busy,
            RepositoryError::ReadOnly(_) => Self::ReadOnly,
            RepositoryError::ReadOnlyInstance => Self::ReadOnlyInstance,
            RepositoryError::NoRoom { .. } => Self::NoRoom,
            RepositoryError::Corrupt(_) => Self::Corrupt,
            RepositoryError::Gone => Self::Gone,
            _ => Self::Failed,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CountLabels {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    operation: &'static str,
}

/// The counters of the calls of one repository.
#[derive(Debug)]
pub(super) struct Calls {
    counts: Family<CountLabels, Counter>,
    durations: Family<DurationLabels, Histogram, fn() -> Histogram>,
}

impl Calls {
    /// Registers all counters at zero. Prometheus computes a rate only if it saw the counter before the first increment.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let durations: fn() -> Histogram = || Histogram::new(BUCKETS);
        let calls = Self { counts: Family::default(), durations: Family::new_with_constructor(durations) };
        for operation in Method::ALL {
            for outcome in CallOutcome::ALL {
                drop(calls.counts.get_or_create(&CountLabels { operation: operation.name(), outcome: outcome.name() }));
            }
            drop(calls.durations.get_or_create(&DurationLabels { operation: operation.name() }));
        }
        let help = "Completed repository calls, by outcome";
        registry.register("repository_operations", help, calls.counts.clone());
        let help = "Duration of repository calls, including streams until their end";
        registry.register_with_unit("repository_operation_duration", help, Unit::Seconds, calls.durations.clone());
        calls
    }

    /// Starts a call.
    pub(super) fn begin(self: &Arc<Self>, operation: Method) -> Running {
        Running { calls: Arc::clone(self), operation, begin: Instant::now(), outcome: CallOutcome::Abandoned }
    }
}

/// A running call. Dropping it counts the outcome `abandoned`.
#[derive(Debug)]
pub(super) struct Running {
    calls: Arc<Calls>,
    operation: Method,
    begin: Instant,
    outcome: CallOutcome,
}

impl Running {
    pub(super) fn end(mut self, outcome: CallOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let operation = self.operation.name();
        // A panic drops the call as well.
        let outcome = if std::thread::panicking() { CallOutcome::Failed } else { self.outcome };
        self.calls.counts.get_or_create(&CountLabels { operation, outcome: outcome.name() }).inc();
        self.calls.durations.get_or_create(&DurationLabels { operation }).observe(self.begin.elapsed().as_secs_f64());
    }
}
