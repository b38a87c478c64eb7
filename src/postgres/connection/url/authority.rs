//! Splits the text of a URL: user, hosts, database and query.

use std::net::Ipv6Addr;

use url::Url;
use url::form_urlencoded::parse;

/// The parts of a URL.
#[derive(Debug)]
pub(super) struct UrlParts {
    /// User, password and database. The host is a placeholder.
    pub(super) base: Url,
    /// At least one. The host is empty if the URL omits it.
    pub(super) hosts: Vec<HostPort>,
    pub(super) query: String,
}

/// A host of the URL, without brackets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HostPort {
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl UrlParts {
    /// Splits a URL. The crate `url` supports one host and no zone of an IPv6 address, so hosts are parsed here.
    ///
    /// # Errors
    /// A problem that does not repeat the text, which may contain a password at any position.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        if !matches!(scheme, "postgres" | "postgresql") {
            let is_scheme = scheme.starts_with(char::is_alphabetic) && scheme.chars().all(char::is_alphanumeric);
            let shown = if is_scheme { format!("`{scheme}://`") } else { "the text".to_owned() };
            return Err(format!("{shown} is not a PostgreSQL URL"));
        }
        if rest.contains('#') {
            return Err("the URL contains `#`: write `%23` in a password or value".to_owned());
        }
        if rest.contains('\0') || rest.contains("%00") {
            return Err("the URL contains a NUL character".to_owned());
        }
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if path.contains('@') {
            return Err("the URL contains `@` after `/`: write `%2F` for `/` in a password, and `%40` for `@` in the \
                        name of a database"
                .to_owned());
        }
        // The password is before the last `@`, and may contain commas.
        let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
        let at = if user.is_empty() { "" } else { "@" };
        let base = Url::parse(&format!("{scheme}://{user}{at}localhost{path}"))
            .map_err(|error| format!("the URL is not valid: {error}"))?;
        let hosts = hosts.split(',').map(HostPort::parse).collect::<Result<_, _>>()?;
        Ok(Self { base, hosts, query: query.to_owned() })
    }
}

impl HostPort {
    fn parse(text: &str) -> Result<Self, String> {
        let (host, port) = if text.starts_with('[') {
            text.split_once(']').ok_or("the URL contains `[` without `]`")?
        } else {
            text.split_at(text.find(':').unwrap_or(text.len()))
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => "",
            Some(port) if !port.contains(':') => port,
            _ => return Err("a host of the URL is not valid; an IPv6 address looks like `[::1]`".to_owned()),
        };
        let is_bracketed = host.starts_with('[');
        let host = host_name(&decode(host.trim_start_matches('[')), "a host of the URL")?;
        if is_bracketed && !is_ipv6(&host) {
            return Err("the URL contains `[…]` that is not an IPv6 address".to_owned());
        }
        let port = (!port.is_empty()).then(|| port_number(port, "a port of the URL")).transpose()?;
        Ok(Self { host, port })
    }
}

/// Returns a host name, an address without brackets, or the directory of a socket.
pub(super) fn host_name(text: &str, label: &str) -> Result<String, String> {
    let host = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if host.starts_with('/') || is_ipv6(host) {
        return Ok(host.to_owned());
    }
    if host.starts_with('@') {
        return Err(format!("{label} is an abstract socket, which is not supported"));
    }
    if host.contains([':', '[', ']', '/', ' ']) {
        return Err(format!("{label} is not a host name, an address or a directory"));
    }
    Ok(host.to_owned())
}

/// Parses a port.
pub(super) fn port_number(text: &str, label: &str) -> Result<u16, String> {
    let port = text.trim().parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| format!("{label} is not a number from 1 to 65535"))
}

/// Whether the text is an IPv6 address, with or without a zone.
pub(super) fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "zone"));
    !zone.is_empty() && address.parse::<Ipv6Addr>().is_ok()
}

/// Decodes percent encoding. A form also encodes a space as `+` and separates pairs by `&` and `=`, which a host does
/// not.
fn decode(text: &str) -> String {
    let escaped = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    parse(escaped.as_bytes()).next().map_or_else(String::new, |(host, _)| host.into_owned())
}
