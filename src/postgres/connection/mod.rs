//! Connections to the database: server selection, the pool, and the detection of outages.

mod acquire;
mod breaker;
mod checkout;
mod hooks;
mod idle;
mod measurements;
mod outage;
mod ping;
mod pool;
mod pooler;
mod recovery;
mod run;
mod selection_error;
mod servers;
mod session;
mod stream;
mod target;
mod tls;
mod url;
mod writes;

pub use self::url::DatabaseUrl;

#[cfg(feature = "testkit")]
pub(super) use pool::MAX_CONNECTIONS;
pub(super) use pool::{ACQUIRE_TIMEOUT, Pool};
pub(super) use recovery::probe_during_outages;
pub(super) use selection_error::{SelectionError, is_outage};
pub(super) use servers::{SelectedServer, Servers};
pub(super) use stream::stream_rows;

/// Returns the reason and the remedy of an error that TLS or a pooler has caused.
pub(super) fn explain(error: &sqlx::Error) -> Option<(String, String)> {
    tls::explain(error).or_else(|| pooler::explain(error))
}
