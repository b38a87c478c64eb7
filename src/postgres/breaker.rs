//! Remembers that the database is away, so that calls fail at once instead of each waiting for the pool's timeout.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Closed while the database answers; open, with the reason, while it does not.
#[derive(Debug)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug)]
struct State {
    open: Option<String>,
    since: Instant,
}

impl Breaker {
    /// A closed one.
    pub(super) fn new() -> Self {
        Self(Mutex::new(State { open: None, since: Instant::now() }))
    }

    /// The reason, while it is open.
    pub(super) fn reason(&self) -> Option<String> {
        self.state().open.clone()
    }

    /// For how long it has been open or closed.
    pub(super) fn since(&self) -> Duration {
        self.state().since.elapsed()
    }

    /// Opens it. True for the first caller, whose part it is to watch for the database's return.
    pub(super) fn open(&self, reason: &str) -> bool {
        let mut state = self.state();
        if state.open.is_some() {
            return false;
        }
        *state = State { open: Some(reason.to_owned()), since: Instant::now() };
        true
    }

    /// Closes it.
    pub(super) fn close(&self) {
        *self.state() = State { open: None, since: Instant::now() };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Breaker;

    #[test]
    fn only_the_first_to_open_it_watches() {
        let breaker = Breaker::new();
        assert_eq!(breaker.reason(), None);
        assert!(breaker.open("connection refused"));
        assert!(!breaker.open("another"));
        assert_eq!(breaker.reason().as_deref(), Some("connection refused"));
        breaker.close();
        assert_eq!(breaker.reason(), None);
        assert!(breaker.open("again"));
    }
}
