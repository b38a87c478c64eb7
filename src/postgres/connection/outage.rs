//! Detects outages while calls run, and opens the breaker.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::ping::Probe;
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
            let recently = Instant::now().checked_sub(FIRST_PROBE_AFTER).unwrap_or_else(Instant::now);
            if let Some(reason) = self.unreachable_since(recently).await {
                self.breaker.open(reason.as_str());
                return unanswered(reason).into();
            }
        }
    }

    /// Returns the reason if the server is unreachable. It is reachable if it has answered a call or a probe since this
    /// time. Otherwise probes it.
    ///
    /// All callers share one probe. The server starts a process for each one, so a probe per waiting caller would keep a
    /// busy server from answering any of them.
    pub(super) async fn unreachable_since(&self, time: Instant) -> Option<String> {
        let mut last = self.last_probe.lock().await;
        if self.was_answered_since(time) {
            return None;
        }
        let probe = match last.take().filter(|probe| probe.begun_at > time) {
            Some(probe) => probe,
            None => Probe::of(&self.sqlx.connect_options(), self.servers.probe_timeout()).await,
        };
        let reason = probe.error.as_ref().map(|error| format!("the server is unreachable: {error}"));
        *last = Some(probe);
        reason.filter(|_| !self.was_answered_since(time))
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
