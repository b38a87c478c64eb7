//! By which names a server is called, and by whose pages it is changed.
//!
//! A server without a key trusts whoever reaches it, and on a loopback address that means whoever is on the machine. A
//! browser there runs the pages of strangers, and two things would let them in. A name that resolves to the stranger's
//! server first and to 127.0.0.1 a moment later makes a page and this server one origin to the browser (DNS rebinding);
//! but the `Host` of its requests is the stranger's name, so other names than those of this machine are refused, with 421
//! (RFC 9110, section 15.5.20). And a page may send some requests anywhere without asking first; a browser says where they
//! come from, so changes from other origins are refused.
//!
//! Where a key is wanted neither is needed: a page that is not ours does not have it, since keys are in no cookie.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::{Kind, Problem};
use super::{Access, App};

/// The names by which requests may call a server, in `Host` or in the address of the request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Hosts {
    /// Any: whoever reaches the server is to be served, or shows a key.
    #[default]
    Any,
    /// Those of this machine: `localhost`, names below it (RFC 6761, section 6.3), loopback addresses, and these besides,
    /// an address of IPv6 in brackets. Each with any port, since ports are forwarded.
    Loopback(Vec<String>),
}

impl Hosts {
    fn include(&self, authority: &Authority) -> bool {
        let Self::Loopback(besides) = self else { return true };
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase();
        name == "localhost"
            || name.ends_with(".localhost")
            || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
            || besides.iter().any(|own| [name.as_str(), host].iter().any(|called| called.eq_ignore_ascii_case(own)))
    }

    /// All names that a request gives have to be ours, and there has to be one: browsers and all of HTTP/1.1 send it.
    fn check(&self, request: &Request) -> Result<(), Problem> {
        if *self == Self::Any {
            return Ok(());
        }
        let of_header = request.headers().get_all(header::HOST).into_iter();
        let of_header = of_header.map(|host| Authority::try_from(host.as_bytes()).ok());
        let mut named = of_header.chain(request.uri().authority().cloned().map(Some)).peekable();
        if named.peek().is_some() && named.all(|host| host.is_some_and(|host| self.include(&host))) {
            return Ok(());
        }
        let detail = "call this server `localhost` or `127.0.0.1` on its machine, or have it started with a key, or with \
                      this name among --allowed-hosts; other names may be those of strangers";
        Err(Problem::new(Kind::Misdirected, detail))
    }
}

/// What answers to every name.
pub(super) const FREE: &str = "/health";

/// Refuses what a page of a stranger may have sent. `/health` answers to every name: probes have theirs, and it tells
/// nothing.
pub(super) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let checked = match request.uri().path() {
        FREE => Ok(()),
        _ => app.hosts.check(&request).and_then(|()| match app.access {
            Access::Anonymous if !request.method().is_safe() => check_origin(request.headers()),
            _ => Ok(()),
        }),
    };
    match checked {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// `Sec-Fetch-Site` is what the browser knows (W3C Fetch Metadata), whatever a proxy makes of `Host`; older browsers send
/// `Origin` alone. Who sends neither is no browser.
fn check_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let is_own = match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_some_and(|host| text("host").is_some_and(|own| own.eq_ignore_ascii_case(host)))
        }
        (None, None) => true,
    };
    let detail = "without a key, pages of other servers change nothing here";
    is_own.then_some(()).ok_or_else(|| Problem::new(Kind::ForeignOrigin, detail))
}
