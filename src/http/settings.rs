//! How a server serves, besides what and for whom.

use super::Hosts;

/// How a server serves; the default refuses nothing that [`router`](super::router) would not.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The names by which requests may call it.
    pub hosts: Hosts,
}
