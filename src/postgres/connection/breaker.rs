//! The circuit breaker: during an outage, calls fail at once instead of each waiting for the pool's timeout.

use std::time::{Duration, Instant};

use tokio::sync::watch;

/// A circuit breaker. It is closed while the database answers, and open, with a reason, during an outage.
#[derive(Debug)]
pub(crate) struct Breaker(watch::Sender<State>);

#[derive(Debug)]
struct State {
    /// The reason of the outage. `None` while the breaker is closed.
    reason: Option<String>,
    changed_at: Instant,
    outages: u64,
}

impl Breaker {
    /// Creates a breaker that is open if there is a reason, else closed.
    pub(super) fn new(reason: Option<String>) -> Self {
        let outages = u64::from(reason.is_some());
        Self(watch::Sender::new(State { reason, changed_at: Instant::now(), outages }))
    }

    /// Returns the reason of the outage while the breaker is open.
    pub(crate) fn reason(&self) -> Option<String> {
        self.0.borrow().reason.clone()
    }

    /// Waits until the breaker is open, and returns the reason.
    pub(crate) async fn until_open(&self) -> String {
        let mut state = self.0.subscribe();
        let open = state.wait_for(|state| state.reason.is_some()).await;
        open.ok().and_then(|state| state.reason.clone()).unwrap_or_default()
    }

    /// Returns the time since the breaker last opened or closed.
    pub(super) fn state_age(&self) -> Duration {
        self.0.borrow().changed_at.elapsed()
    }

    /// Opens the breaker. If it is open already, only the reason changes: the outage is the same.
    pub(super) fn open(&self, reason: impl Into<String>) {
        self.0.send_modify(|state| {
            if state.reason.is_none() {
                state.changed_at = Instant::now();
                state.outages += 1;
            }
            state.reason = Some(reason.into());
        });
    }

    /// Opens the breaker as [`open`](Self::open) does, unless an outage has ended since this time: what was observed before
    /// may be outdated.
    pub(crate) fn open_unless_closed_since(&self, time: Instant, reason: impl Into<String>) {
        let is_outdated = {
            let state = self.0.borrow();
            state.reason.is_none() && state.changed_at > time
        };
        if !is_outdated {
            self.open(reason);
        }
    }

    /// Closes the breaker.
    pub(super) fn close(&self) {
        self.0.send_modify(|state| {
            state.reason = None;
            state.changed_at = Instant::now();
        });
    }

    /// Returns the number of outages.
    pub(super) fn outages(&self) -> u64 {
        self.0.borrow().outages
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::Breaker;

    #[test]
    fn breaker_is_open_from_the_first_reason_until_it_is_closed() {
        let breaker = Breaker::new(None);
        assert_eq!((breaker.reason(), breaker.until_open().now_or_never()), (None, None));
        breaker.open("connection refused");
        let opened_at = breaker.0.borrow().changed_at;
        breaker.open("starting up");
        assert_eq!(breaker.0.borrow().changed_at, opened_at, "a newer reason is not a new outage");
        assert_eq!(breaker.until_open().now_or_never().as_deref(), Some("starting up"));
        breaker.close();
        assert_eq!((breaker.reason(), breaker.until_open().now_or_never()), (None, None));
        assert_eq!(breaker.outages(), 1);
        breaker.open_unless_closed_since(opened_at, "seen during the outage");
        assert_eq!((breaker.reason(), breaker.outages()), (None, 1), "the reason is outdated");
        breaker.open_unless_closed_since(std::time::Instant::now(), "seen later");
        assert_eq!((breaker.reason().as_deref(), breaker.outages()), (Some("seen later"), 2));
    }
}
