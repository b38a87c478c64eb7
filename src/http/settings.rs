//! How a server serves, besides what and for whom.

use std::num::NonZeroU32;

use super::{Hosts, Streams};

/// How a server serves; the default refuses nothing that [`router`](super::router) would not.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The names by which requests may call it.
    pub hosts: Hosts,
    /// How many requests one client may send in a second, and at once; `None` is any number. A client is who holds a key,
    /// else an address, as far as [`serve`](super::serve) or [`ConnectInfo`](axum::extract::ConnectInfo) tells it.
    pub rate_limit: Option<NonZeroU32>,
    /// What ends the streams of changes. Else open ones hold up the stop of a server for [`GRACE`](super::GRACE).
    pub streams: Streams,
}
