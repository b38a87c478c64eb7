//! The socket of the server and its access rules, derived from the settings.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use strom_server::http::{Access, Hosts, KeysFile};
use tokio::net::{TcpListener, lookup_host};

use super::failure::Failure;
use super::service;
use crate::config::Server;

/// The default of `--rate-limit`: ten times the rate of the console's busiest view, and a fraction of the server's
/// capacity.
const DEFAULT_RATE: u32 = 1000;

/// Returns the access rules: anonymous access, one key, or a file of keys. Starts a task that reloads the file.
pub(super) fn access(server: &Server) -> Result<Access, Failure> {
    let Server { key, keys_file, .. } = server;
    Ok(match (key.clone(), keys_file.clone()) {
        (None, None) => Access::Anonymous,
        (Some(key), None) => Access::Key(key),
        (key, Some(path)) => {
            let file = KeysFile::open(path, key)?;
            let keys = file.keys();
            tokio::spawn(file.follow());
            Access::Keys(keys)
        }
    })
}

/// Binds the socket, or returns the one that the service manager has opened. Without a key, only loopback addresses are allowed unless anonymous access is enabled.
pub(super) async fn listen(server: &Server, access: &Access) -> Result<(TcpListener, SocketAddr), Failure> {
    let Server { host, port, .. } = server;
    if let Some(passed) = service::passed_socket()? {
        let address = passed.local_addr().map_err(Failure::PassedSocket)?;
        check_local(server, access, &[address])?;
        return Ok((TcpListener::from_std(passed).map_err(Failure::PassedSocket)?, address));
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let resolved = lookup_host((bare, *port)).await;
    let addresses: Vec<_> = resolved.map_err(|source| Failure::Resolve { host: host.clone(), source })?.collect();
    // All of them: the socket may bind to any of them.
    check_local(server, access, &addresses)?;
    let bound = async {
        let listener = TcpListener::bind(addresses.as_slice()).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|source| Failure::Listen { host: host.clone(), port: *port, source })
}

/// Fails if the server may only use loopback addresses, and one of these is not.
fn check_local(server: &Server, access: &Access, addresses: &[SocketAddr]) -> Result<(), Failure> {
    let other = addresses.iter().find(|address| !address.ip().to_canonical().is_loopback());
    let other = other.filter(|_| is_local_only(server, access));
    other.map_or(Ok(()), |address| Err(Failure::NotLoopback(*address)))
}

/// Whether the server serves only this machine, without a key.
fn is_local_only(server: &Server, access: &Access) -> bool {
    matches!(access, Access::Anonymous) && !server.allow_anonymous
}

/// Returns the host names that the server accepts. A server for this machine only accepts loopback names, because a foreign
/// web page could reach it through DNS rebinding. With a key or anonymous access, any name is accepted unless names are
/// set.
pub(super) fn hosts(server: &Server, access: &Access) -> Hosts {
    let names = server.allowed_hosts.iter().flatten().cloned();
    match is_local_only(server, access) || server.allowed_hosts.is_some() {
        true => Hosts::Loopback(names.chain([server.host.clone()]).collect()),
        false => Hosts::Any,
    }
}

/// Returns the rate limit. The default for a server for this machine only is no limit.
pub(super) fn rate_limit(server: &Server, access: &Access) -> Option<NonZeroU32> {
    let default = if is_local_only(server, access) { 0 } else { DEFAULT_RATE };
    NonZeroU32::new(server.rate_limit.unwrap_or(default))
}
