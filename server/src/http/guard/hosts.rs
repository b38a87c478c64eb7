//! The host names that the server accepts, and the origins whose changes it accepts.
//!
//! A server without keys trusts every client that can reach it. On a loopback address these are the programs of the machine.
//! A browser on the machine runs pages of other sites, which could attack the server in two ways:
//!
//! - DNS rebinding: a host name resolves first to the server of the attacker, and a moment later to 127.0.0.1. The browser then
//!   considers the page and this server the same origin. But the `Host` header of the requests contains the attacker's name, so
//!   the server rejects all names except those of the machine with 421 (RFC 9110, section 15.5.20).
//! - Cross-site requests: a page may send some requests to any server without a preflight request. A browser reports the origin of
//!   these requests, so the server rejects changes, and all requests to the API, from other origins.
//!
//! A server with keys needs neither check: keys are not in cookies, so a page of another site does not have them.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Version, header};

use crate::http::respond::{Problem, ProblemKind};

/// The host names that the server accepts, in `Host` or in the URI of the request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Hosts {
    /// Any name.
    #[default]
    Any,
    /// The loopback names: `localhost`, names below it (RFC 6761, section 6.3) and loopback addresses; and these additional names,
    /// with IPv6 addresses in brackets. The port does not matter, because ports may be forwarded.
    Loopback(Vec<String>),
}

impl Hosts {
    fn include(&self, authority: &Authority) -> bool {
        let Self::Loopback(additional) = self else { return true };
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase();
        name == "localhost"
            || name.ends_with(".localhost")
            || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
            || additional.iter().any(|own| [name.as_str(), host].iter().any(|form| form.eq_ignore_ascii_case(own)))
    }

    /// Checks every name in the request. There must be at least one: browsers and HTTP/1.1 clients always send it.
    pub(super) fn check(&self, request: &Request) -> Result<(), Problem> {
        if *self == Self::Any {
            return Ok(());
        }
        let in_header = request.headers().get_all(header::HOST).into_iter();
        let in_header = in_header.map(|host| Authority::try_from(host.as_bytes()).ok());
        let mut names = in_header.chain(request.uri().authority().cloned().map(Some)).peekable();
        if names.peek().is_some() && names.all(|host| host.is_some_and(|host| self.include(&host))) {
            return Ok(());
        }
        let detail = "use `localhost` or `127.0.0.1` on the machine of the server; the operator can accept this name \
                      with --allowed-hosts, or any name with an API key";
        Err(Problem::new(ProblemKind::Misdirected, detail))
    }
}

/// Rejects an HTTP/1.1 request without exactly one `Host` (RFC 9112, section 3.2). A proxy and the server could understand such a
/// request differently. Does not apply to programs that call the routes without a socket.
pub(super) fn check_host_field(request: &Request) -> Result<(), Problem> {
    let is_from_socket = request.extensions().get::<ConnectInfo<SocketAddr>>().is_some();
    if !is_from_socket || request.version() != Version::HTTP_11 {
        return Ok(());
    }
    let mut fields = request.headers().get_all(header::HOST).into_iter();
    let is_valid = |host: &HeaderValue| host.is_empty() || Authority::try_from(host.as_bytes()).is_ok();
    match (fields.next(), fields.next()) {
        (Some(host), None) if is_valid(host) => Ok(()),
        _ => Err(Problem::new(ProblemKind::InvalidHeader, "send exactly one valid `Host` header")),
    }
}

/// Rejects a cross-origin request. `Sec-Fetch-Site` is the browser's own knowledge (W3C Fetch Metadata), even if a proxy changes
/// `Host`. Older browsers send only `Origin`. Other clients send neither.
pub(super) fn check_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let is_same_origin = match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_some_and(|host| text("host").is_some_and(|own| own.eq_ignore_ascii_case(host)))
        }
        (None, None) => true,
    };
    let detail = "without an API key, the server rejects requests from pages of other origins; the operator can permit an \
                  origin with --cors-origins; behind a proxy, forward the original `Host` header";
    is_same_origin.then_some(()).ok_or_else(|| Problem::new(ProblemKind::ForeignOrigin, detail))
}
