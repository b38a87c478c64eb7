//! Detects outages while calls run, and opens the breaker.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::ping::ping_twice;
use super::pool::Pool;
use super::target::TargetSessionAttrs;
use crate::postgres::error::{Error, unanswered, unavailable};
use crate::repository::RepositoryError;

/// How long running calls may still be answered after an outage was detected.
const OUTAGE_GRACE: Duration = Duration::from_secs(1);
/// How long a call runs before its server is probed for the first time.
const FIRST_PROBE_AFTER: Duration = Duration::from_secs(1);

impl Pool {
    /// Opens the breaker, and returns the error of the call that detected the outage.
    pub(super) fn open_breaker(&self, reason: String) -> RepositoryError {
        self.breaker.open(reason.as_str());
        unavailable(reason)
    }

    /// Waits for an outage and a moment more, and returns the error of a call that still runs then. The moment lets the
    /// call's own probe decide if the pool's server answers and another one does not.
    pub(super) async fn outage_error(&self) -> Error {
        let reason = self.breaker.until_open().await;
        sleep(OUTAGE_GRACE).await;
        unanswered(reason).into()
    }

    /// Waits until the server of a running call answers no probe any more, opens the breaker, and returns the error of
    /// the call. Probes rarely, because most slow calls are at work.
    pub(super) async fn until_unresponsive(&self) -> Error {
        let mut wait = FIRST_PROBE_AFTER;
        loop {
            sleep(wait).await;
            wait *= 2;
            if let Some(reason) = self.unreachable_since(Instant::now()).await {
                self.breaker.open(reason.as_str());
                return unanswered(reason).into();
            }
        }
    }

    /// Probes the server, and returns the reason if it is unreachable. It is not if any call was answered since this time:
    /// on a busy machine, a probe may be late.
    pub(super) async fn unreachable_since(&self, time: Instant) -> Option<String> {
        if self.was_answered_since(time) {
            return None;
        }
        let error = ping_twice(&self.sqlx.connect_options()).await.err()?;
        (!self.was_answered_since(time)).then(|| format!("the server is unreachable: {error}"))
    }

    /// Stops using a server that has become read-only. If the URL requires a writable server, recovery looks for
    /// another one. Otherwise only the idle connections close: the same name may lead to another server now.
    pub(super) fn abandon_standby(&self, error: &Error) {
        if self.servers.target == TargetSessionAttrs::ReadWrite {
            self.breaker.open(error.to_string());
        } else {
            self.close_idle();
        }
    }
}
