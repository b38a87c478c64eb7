//! The servers of a URL: hosts and ports from the authority, the parameters and the environment.

use std::net::IpAddr;
use std::path::Path;

use super::authority::{HostPort, host_name, port_number};
use super::encryption::Encryption;
use super::parameters::Parameters;

const DEFAULT_PORT: u16 = 5432;
/// The directories where servers create their sockets, as in sqlx.
const SOCKET_DIRECTORIES: [&str; 3] = ["/var/run/postgresql", "/private/tmp", "/tmp"];

/// The address of a server.
#[derive(Debug)]
pub(super) struct Address {
    /// A host name, an IP address without brackets, or the directory of a socket.
    pub(super) host: String,
    pub(super) port: u16,
}

/// Whether the authority of the URL names a host.
pub(super) fn has_host(authority: &[HostPort]) -> bool {
    authority.len() > 1 || authority.iter().any(|named| !named.host.is_empty())
}

/// Returns the servers in the order of the URL. A single port applies to all hosts.
pub(super) fn addresses(
    authority: &[HostPort],
    parameters: &Parameters,
    encryption: &Encryption,
) -> Result<Vec<Address>, String> {
    let names = list(parameters, "host", host_name)?;
    let numbers = list(parameters, "hostaddr", |text, label| {
        let address = text.parse::<IpAddr>().map_err(|_| format!("{label} is not an IP address"));
        address.map(|address| address.to_string())
    })?;
    let ports = list(
        parameters,
        "port",
        |text, label| {
            if text.is_empty() { Ok(DEFAULT_PORT) } else { port_number(text, label) }
        },
    )?;
    let is_default_port = parameters.get("port").is_some_and(|given| given.is_variable);
    if authority.len() > 1 && !names.is_empty() {
        return Err("the URL contains hosts in two places".to_owned());
    }
    let named: Vec<&str> = match names.is_empty() {
        true if has_host(authority) => authority.iter().map(|named| named.host.as_str()).collect(),
        true => Vec::new(),
        false => names.iter().map(String::as_str).collect(),
    };
    if !numbers.is_empty() && !named.is_empty() {
        if numbers.len() != named.len() {
            return Err(format!("the URL contains {} hosts and {} addresses", named.len(), numbers.len()));
        }
        // sqlx would compare the certificate with the address.
        if encryption.checks_name() {
            return Err("`hostaddr` next to a host name is not supported with `sslmode=verify-full`".to_owned());
        }
    }
    let hosts = if numbers.is_empty() { named } else { numbers.iter().map(String::as_str).collect() };
    if hosts.len() > 1 && ports.len() > 1 && hosts.len() != ports.len() {
        return Err(format!("the URL contains {} hosts and {} ports", hosts.len(), ports.len()));
    }
    let address = |index: usize| {
        let own = authority.get(index).unwrap_or(&authority[0]).port;
        let listed = ports.get(index).or_else(|| ports.first()).copied();
        let port = if is_default_port { own.or(listed) } else { listed.or(own) }.unwrap_or(DEFAULT_PORT);
        let host = hosts.get(index).or_else(|| hosts.first()).copied().unwrap_or_default();
        let host = if host.is_empty() { default_host(port) } else { host.to_owned() };
        Address { host, port }
    };
    let count = authority.len().max(hosts.len()).max(if is_default_port { 1 } else { ports.len() });
    Ok((0..count).map(address).collect())
}

/// Returns the elements of a parameter that is a list separated by commas.
fn list<T>(
    parameters: &Parameters,
    name: &str,
    parse: impl Fn(&str, &str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let Some(given) = parameters.get(name).filter(|given| !given.value.is_empty()) else { return Ok(Vec::new()) };
    given.value.split(',').map(|text| parse(text, &given.label)).collect()
}

/// Returns the directory of the local socket for this port, else `localhost`.
fn default_host(port: u16) -> String {
    let has_socket = |directory: &&str| Path::new(directory).join(format!(".s.PGSQL.{port}")).exists();
    SOCKET_DIRECTORIES.into_iter().find(has_socket).unwrap_or("localhost").to_owned()
}
