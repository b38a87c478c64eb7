//! The measurements of the pool and the breaker.

use std::sync::atomic::Ordering;

use super::pool::{MAX_CONNECTIONS, Pool};
use crate::repository::Measurement;

impl Pool {
    /// Returns how the connections are used, and whether there is an outage.
    pub(crate) fn measurements(&self) -> Vec<Measurement> {
        let connections = |state, count| {
            let help = "Connections to the database, by state (in use or idle).";
            Measurement::gauge("postgres_pool_connections", help, count).labelled("state", state)
        };
        let idle = u32::try_from(self.sqlx.num_idle() + self.idle.len()).unwrap_or(MAX_CONNECTIONS);
        let in_use = self.sqlx.size().saturating_sub(idle);
        let waiting = f64::from(self.waiting.load(Ordering::Relaxed));
        let waiting_writes = f64::from(self.waiting_writes.load(Ordering::Relaxed));
        let is_open = u8::from(self.breaker.reason().is_some());
        vec![
            connections("in_use", f64::from(in_use)),
            connections("idle", f64::from(idle)),
            Measurement::gauge(
                "postgres_pool_connections_max",
                "Maximum number of connections.",
                f64::from(MAX_CONNECTIONS),
            ),
            Measurement::gauge(
                "postgres_pool_waiting",
                "Calls that wait for a connection, and writes that wait for their turn.",
                waiting,
            ),
            Measurement::gauge(
                "postgres_writes_waiting",
                "Writes that wait for their turn, because the connections that may write are in use.",
                waiting_writes,
            ),
            Measurement::gauge(
                "postgres_breaker_open",
                "Whether the circuit breaker is open, so that calls fail immediately.",
                f64::from(is_open),
            ),
            Measurement::gauge(
                "postgres_breaker_state_seconds",
                "Time since the circuit breaker opened or closed.",
                self.breaker.state_age().as_secs_f64(),
            ),
            Measurement::counter(
                "postgres_outages_total",
                "Number of times the circuit breaker opened.",
                self.breaker.outages(),
            ),
        ]
    }
}
