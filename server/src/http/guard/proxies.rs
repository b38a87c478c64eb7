//! The address of the client behind trusted proxies.
//!
//! A client can send `X-Forwarded-For` itself, and so choose its own rate limit. So the server reads the header only if the peer is a
//! trusted proxy, and from the right: each proxy appends the address of its peer, and the first address that is not a trusted proxy
//! is the client.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;

use crate::http::app::App;

/// A network of proxies, such as `10.0.0.0/8`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

/// The text is not an address or a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an IP address or a network such as `10.0.0.0/8`")]
pub struct InvalidNetwork;

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address = address.parse::<IpAddr>().map_err(|_| InvalidNetwork)?.to_canonical();
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(most), str::parse).ok().filter(|prefix| *prefix <= most);
        Ok(Self { address, prefix: prefix.ok_or(InvalidNetwork)? })
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - self.prefix;
                u32::from(network).checked_shr(shift) == u32::from(address).checked_shr(shift)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - self.prefix;
                u128::from(network).checked_shr(shift) == u128::from(address).checked_shr(shift)
            }
            _ => false,
        }
    }
}

/// The trusted proxies. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Arc<[Network]>);

impl FromIterator<Network> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

impl TrustedProxies {
    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Returns the address of the client. `None` if it is the peer.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        if !self.trusts(peer) {
            return None;
        }
        let lines = headers.get_all("x-forwarded-for").into_iter().rev();
        let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        let mut client = None;
        for hop in hops {
            // An invalid hop ends the list: the part before it is not from a trusted proxy.
            let Some(address) = str::from_utf8(hop).ok().and_then(parse_hop) else { break };
            client = Some(address);
            if !self.trusts(address) {
                break;
            }
        }
        client
    }
}

/// Parses an address, with or without brackets and port.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))
}

/// Replaces the address of the peer with that of the client, for the log and the limits.
pub(crate) async fn resolve_client(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    let client = peer.and_then(|peer| app.proxies.client(peer.ip(), request.headers()));
    if let Some(client) = client {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(client, 0)));
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use axum::http::HeaderMap;

    use super::{Network, TrustedProxies};

    fn client(peer: &str, lines: &[&str]) -> Option<String> {
        let proxies: TrustedProxies =
            ["10.0.0.0/8", "::1", "fd00::/8"].map(|network| network.parse::<Network>().unwrap()).into_iter().collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        proxies.client(peer.parse::<IpAddr>().unwrap(), &headers).map(|address| address.to_string())
    }

    #[test]
    fn the_last_address_that_is_no_trusted_proxy_is_the_client() {
        assert_eq!(client("192.0.2.1", &["203.0.113.9"]), None, "the peer is not trusted");
        assert_eq!(client("10.1.2.3", &[]), None);
        let found = |lines: &[&str]| client("10.1.2.3", lines);
        assert_eq!(found(&["203.0.113.9"]).as_deref(), Some("203.0.113.9"));
        assert_eq!(
            found(&["198.51.100.1, 203.0.113.9, 10.9.9.9"]).as_deref(),
            Some("203.0.113.9"),
            "not the forged one"
        );
        assert_eq!(found(&["198.51.100.1", "203.0.113.9"]).as_deref(), Some("203.0.113.9"));
        assert_eq!(found(&["203.0.113.9:4711"]).as_deref(), Some("203.0.113.9"));
        assert_eq!(found(&["[2001:db8::1]:4711"]).as_deref(), Some("2001:db8::1"));
        assert_eq!(found(&["203.0.113.9, unknown"]), None);
        assert_eq!(client("::1", &["2001:db8::2, fd00::7"]).as_deref(), Some("2001:db8::2"));
        assert_eq!(client("::ffff:10.0.0.1", &["203.0.113.9"]).as_deref(), Some("203.0.113.9"));
    }

    #[test]
    fn networks_are_addresses_with_a_prefix() {
        for invalid in ["", "x", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/x", "10.0.0"] {
            assert!(invalid.parse::<Network>().is_err(), "{invalid}");
        }
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("203.0.113.9".parse().unwrap()) && !all.contains("::1".parse().unwrap()));
    }
}
