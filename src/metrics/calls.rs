//! The calls of a repository, counted by operation and outcome, and timed.

use std::sync::Arc;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::repository::RepositoryError;

/// A save to a file takes a fraction of a millisecond; a call to a database may wait for seconds.
const BUCKETS: [f64; 14] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// A method of the repository that is counted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operation {
    Get,
    GetEach,
    List,
    Summaries,
    Apply,
    ApplyAll,
    Snapshot,
    History,
    Revision,
    Histories,
    Deleted,
    Restore,
    Changes,
    ChangeSummaries,
    Health,
}

impl Operation {
    const ALL: [Self; 15] = [
        Self::Get,
        Self::GetEach,
        Self::List,
        Self::Summaries,
        Self::Apply,
        Self::ApplyAll,
        Self::Snapshot,
        Self::History,
        Self::Revision,
        Self::Histories,
        Self::Deleted,
        Self::Restore,
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
            Self::ApplyAll => "apply_all",
            Self::Snapshot => "snapshot",
            Self::History => "history",
            Self::Revision => "revision",
            Self::Histories => "histories",
            Self::Deleted => "deleted",
            Self::Restore => "restore",
            Self::Changes => "changes",
            Self::ChangeSummaries => "change_summaries",
            Self::Health => "health",
        }
    }
}

/// How a call has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    Conflict,
    Unavailable,
    Busy,
    ReadOnly,
    /// The instance was told to read only.
    ReadOnlyInstance,
    /// Ephemeral flows take too much memory.
    NoRoom,
    Corrupt,
    Gone,
    Failed,
    /// The caller went away before the end; a write may have happened all the same.
    Abandoned,
}

impl Outcome {
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
            RepositoryError::Failed(_) => Self::Failed,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Counted {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Timed {
    operation: &'static str,
}

/// The counters of the calls of one repository.
#[derive(Debug)]
pub(super) struct Calls {
    counts: Family<Counted, Counter>,
    durations: Family<Timed, Histogram, fn() -> Histogram>,
}

impl Calls {
    /// All of them are there from the start: how much a counter has grown is only seen where it was there before.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let durations: fn() -> Histogram = || Histogram::new(BUCKETS);
        let calls = Self { counts: Family::default(), durations: Family::new_with_constructor(durations) };
        for operation in Operation::ALL {
            for outcome in Outcome::ALL {
                drop(calls.counts.get_or_create(&Counted { operation: operation.name(), outcome: outcome.name() }));
            }
            drop(calls.durations.get_or_create(&Timed { operation: operation.name() }));
        }
        let help = "Calls of the repository that have ended, by how they ended";
        registry.register("repository_operations", help, calls.counts.clone());
        let help = "How long calls of the repository took, streams up to their end";
        registry.register_with_unit("repository_operation_duration", help, Unit::Seconds, calls.durations.clone());
        calls
    }

    /// A call begins.
    pub(super) fn begin(self: &Arc<Self>, operation: Operation) -> Running {
        Running { calls: Arc::clone(self), operation, begin: Instant::now(), outcome: Outcome::Abandoned }
    }
}

/// A call that has not ended. Who drops it has gone away.
#[derive(Debug)]
pub(super) struct Running {
    calls: Arc<Calls>,
    operation: Operation,
    begin: Instant,
    outcome: Outcome,
}

impl Running {
    pub(super) fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let operation = self.operation.name();
        // A panic goes through here as well, and nobody has gone away then.
        let outcome = if std::thread::panicking() { Outcome::Failed } else { self.outcome };
        self.calls.counts.get_or_create(&Counted { operation, outcome: outcome.name() }).inc();
        self.calls.durations.get_or_create(&Timed { operation }).observe(self.begin.elapsed().as_secs_f64());
    }
}
