//! The state of the storage.

use std::time::Duration;

use strom_store::repository::{FeedLag, FlowRepository, Measurement, Status};

/// Maximum time for a response of the storage, and the time for which a response is reused.
pub(super) const TIMEOUT: Duration = Duration::from_secs(1);

/// The state of the storage.
#[derive(Debug, Clone, Copy)]
pub(super) struct StorageStatus {
    is_ready: bool,
    /// The time in this state. `None` if the storage did not respond.
    for_the_last: Option<Duration>,
    /// `None` if the storage did not respond.
    lag: Option<FeedLag>,
}

impl StorageStatus {
    /// Queries the storage. A storage that exceeds the timeout is not ready.
    pub(super) async fn query(repository: &dyn FlowRepository) -> Self {
        let health = tokio::time::timeout(TIMEOUT, repository.health());
        let lag = tokio::time::timeout(TIMEOUT, repository.feed_lag());
        let (health, lag) = tokio::join!(health, lag);
        if let Ok(Err(error)) = &lag {
            tracing::debug!(%error, "cannot read the lag of the feed");
        }
        Self {
            is_ready: health.as_ref().is_ok_and(|health| health.status == Status::Ready),
            for_the_last: health.ok().map(|health| health.for_the_last),
            lag: lag.ok().and_then(Result::ok),
        }
    }

    pub(super) fn measurements(self) -> impl Iterator<Item = Measurement> {
        let lag = |value: fn(FeedLag) -> Option<f64>| self.lag.and_then(value);
        let ready = Some(Measurement::gauge(
            "storage_ready",
            "Whether the storage responds within one second and its schema is up to date.",
            f64::from(self.is_ready),
        ));
        let state = self.for_the_last.map(|time| {
            let help = "Time since the storage became ready or unready.";
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
