//! Settings of a server.

use std::num::NonZeroU32;

use super::feed::Streams;
use super::guard::{Hosts, Origins, TrustedProxies};

/// Settings of a server. The default accepts every host name and any number of requests.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The host names that the server accepts.
    pub hosts: Hosts,
    /// Maximum number of requests per second for each client; `None` means no limit. A client is identified by its key, otherwise
    /// by its address, if [`serve`](super::serve) or [`ConnectInfo`](axum::extract::ConnectInfo) provides it.
    pub rate_limit: Option<NonZeroU32>,
    /// Origins whose pages may use the API. Empty by default.
    pub origins: Origins,
    /// Proxies whose `X-Forwarded-For` contains the address of the client. Empty by default.
    pub proxies: TrustedProxies,
    /// Ends the streams of changes. Without it, open streams delay the stop of a server by [`GRACE`](super::GRACE).
    pub streams: Streams,
}
