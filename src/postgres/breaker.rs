//! Remembers that the database is away, so that calls fail at once instead of each waiting for the pool's timeout.

use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Closed while the database answers; open, with the reason, while it does not.
#[derive(Debug)]
pub(super) struct Breaker(watch::Sender<State>);

#[derive(Debug)]
struct State {
    open: Option<String>,
    since: Instant,
    /// How often it was opened.
    outages: u64,
}

impl Breaker {
    /// A closed one; open where there is a reason.
    pub(super) fn new(open: Option<String>) -> Self {
        let outages = u64::from(open.is_some());
        Self(watch::Sender::new(State { open, since: Instant::now(), outages }))
    }

    /// The reason, while it is open.
    pub(super) fn reason(&self) -> Option<String> {
        self.0.borrow().open.clone()
    }

    /// Waits until it is open, and gives the reason.
    pub(super) async fn opened(&self) -> String {
        let mut state = self.0.subscribe();
        let open = state.wait_for(|state| state.open.is_some()).await;
        open.ok().and_then(|state| state.open.clone()).unwrap_or_default()
    }

    /// For how long it has been open or closed.
    pub(super) fn since(&self) -> Duration {
        self.0.borrow().since.elapsed()
    }

    /// Opens it, or gives an open one the newer reason.
    pub(super) fn open(&self, reason: impl Into<String>) {
        self.0.send_modify(|state| {
            if state.open.is_none() {
                state.since = Instant::now();
                state.outages += 1;
            }
            state.open = Some(reason.into());
        });
    }

    /// Closes it.
    pub(super) fn close(&self) {
        self.0.send_modify(|state| {
            state.open = None;
            state.since = Instant::now();
        });
    }

    /// How often it was opened.
    pub(super) fn outages(&self) -> u64 {
        self.0.borrow().outages
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::Breaker;

    #[test]
    fn it_is_open_from_the_first_reason_until_it_is_closed() {
        let breaker = Breaker::new(None);
        assert_eq!((breaker.reason(), breaker.opened().now_or_never()), (None, None));
        breaker.open("connection refused");
        let since = breaker.0.borrow().since;
        breaker.open("starting up");
        assert_eq!(breaker.0.borrow().since, since, "a newer reason is no newer outage");
        assert_eq!(breaker.opened().now_or_never().as_deref(), Some("starting up"));
        breaker.close();
        assert_eq!((breaker.reason(), breaker.opened().now_or_never()), (None, None));
        assert_eq!(breaker.outages(), 1);
    }
}
