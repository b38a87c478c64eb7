//! Connections that go from one call to the next without any ceremony.
//!
//! sqlx's pool asks the server once before a connection is used and once after, so that a call is three round trips: with
//! five callers on one machine 40 % of what the statements alone would be (benches/limits). A connection whose call has just
//! had its answer needs neither. It waits here, and is taken by whoever has the next turn; one that has waited for longer,
//! or was not looked at for a while, is looked at first. What a call left behind that was broken off goes to sqlx's pool,
//! where it is looked at too.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::Postgres;
use sqlx::pool::PoolConnection;

/// For how long a connection is taken to be as its last call has left it.
const FRESH: Duration = Duration::from_millis(100);
/// For how long a connection is taken to lead to a server that can be written to.
const TRUSTED: Duration = Duration::from_secs(1);
/// After so long it goes to sqlx's pool once, which closes what is too old.
const REGISTERED: Duration = Duration::from_secs(60);

/// A connection, and what is known of it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) connection: PoolConnection<Postgres>,
    /// When it came out of sqlx's pool.
    since: Instant,
    /// When it was last looked at.
    looked_at: Instant,
    /// When its last call ended.
    released: Instant,
}

impl Known {
    /// One that sqlx's pool has just looked at.
    pub(super) fn new(connection: PoolConnection<Postgres>) -> Self {
        let now = Instant::now();
        Self { connection, since: now, looked_at: now, released: now }
    }

    /// Whether it can be used without asking the server.
    pub(super) fn is_fresh(&self) -> bool {
        self.released.elapsed() < FRESH && self.looked_at.elapsed() < TRUSTED
    }

    pub(super) fn was_looked_at(mut self) -> Self {
        self.looked_at = Instant::now();
        self
    }
}

/// Those that nobody uses.
#[derive(Debug, Default)]
pub(super) struct Ready(Mutex<Idle>);

#[derive(Debug, Default)]
struct Idle {
    connections: Vec<Known>,
    is_closed: bool,
}

impl Ready {
    /// The one that was used last.
    pub(super) fn take(&self) -> Option<Known> {
        self.idle().connections.pop()
    }

    /// Keeps one whose call has ended.
    pub(super) fn put(self: &Arc<Self>, mut known: Known) {
        known.released = Instant::now();
        let mut idle = self.idle();
        if !idle.is_closed && known.since.elapsed() < REGISTERED {
            idle.connections.push(known);
        }
        // Otherwise sqlx's pool has it.
    }

    /// Those that nobody uses; the next ones are kept all the same.
    pub(super) fn take_all(&self) -> Vec<Known> {
        mem::take(&mut self.idle().connections)
    }

    /// Gives all to sqlx's pool, and those that come later.
    pub(super) fn close(&self) {
        self.idle().is_closed = true;
        drop(self.take_all());
    }

    pub(super) fn len(&self) -> usize {
        self.idle().connections.len()
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// To be given back would take a runtime, and there may be none any more.
impl Drop for Ready {
    fn drop(&mut self) {
        self.take_all().into_iter().for_each(|known| drop(known.connection.detach()));
    }
}
