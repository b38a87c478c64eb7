//! `strom serve`: opens the storage, serves it, lets go of it.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::NonZeroU32;

use strom::clock;
use strom::http::{self, Access, Hosts, KeysFile, Source, Streams};
use strom::last_known::LastKnown;
use strom::storage::{Settings, Storage};
use tokio::net::{TcpListener, lookup_host};
use tokio::sync::oneshot;

use super::signals::Signals;
use super::{Answer, Failure, descriptors};
use crate::config::{Flags, Server};

/// How many requests a client may send in a second when nobody says: ten times what the busiest screen asks for, and a
/// fraction of what a server answers.
const RATE: u32 = 1000;

pub(super) async fn run(flags: &Flags) -> Result<Answer, Failure> {
    let server = flags.server()?;
    let storage = flags.storage()?;
    let read_only = flags.read_only()?;
    let last_known = flags.last_known()?.filter(|_| matches!(storage, Storage::Postgres(_)));
    let settings =
        Settings { retention: flags.retention()?, migrations: flags.migrations()?, read_only, opens_while_away: true };
    let access = access(&server)?;
    descriptors::allow_all();
    // Before the storage is opened, which may migrate a database: a port that is taken changes nothing anywhere.
    let (listener, address) = listen(&server, &access).await?;
    let repository = storage.open_with(clock::now(), settings).await?;
    let last_known = match last_known {
        Some(settings) => Some(LastKnown::follow(repository.clone(), settings).await),
        None => None,
    };
    let stop = until_stopped().map_err(Failure::Signals)?;
    let how = if read_only { ", read-only" } else { "" };
    say_where(&format!("strom {}: flows in {storage}{how}, listening on http://{address}", env!("CARGO_PKG_VERSION")));
    let hosts = hosts(&server, &access);
    let rate_limit = rate_limit(&server, &access);
    let source = last_known.clone().map_or_else(|| Source::from(repository.clone()), Source::from);
    // Who only reads refuses ephemeral flows like all others.
    let source = if read_only { source } else { source.with_ephemeral(clock::now()) };
    let streams = Streams::default();
    let settings = http::Settings { hosts, rate_limit, streams: streams.clone() };
    let routes = http::router_with(source, access, settings);
    let ending = streams.clone();
    let stop = async move {
        stop.await;
        ending.end();
    };
    http::serve(listener, routes, stop).await;
    streams.ended().await;
    if let Some(last_known) = last_known {
        last_known.stop().await;
    }
    repository.close().await;
    Ok(Answer::Done)
}

/// Who is served: everybody, or who holds a key. A file of keys is followed from here on.
fn access(server: &Server) -> Result<Access, Failure> {
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

/// The socket, on a loopback address unless there is a key or it was said that none is wanted.
async fn listen(server: &Server, access: &Access) -> Result<(TcpListener, SocketAddr), Failure> {
    let Server { host, port, .. } = server;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let found = lookup_host((bare, *port)).await;
    let addresses: Vec<_> = found.map_err(|source| Failure::Resolve { host: host.clone(), source })?.collect();
    if is_of_this_machine(server, access) {
        // All of them: a name that has one address elsewhere is not ours alone.
        let elsewhere = addresses.iter().find(|address| !address.ip().to_canonical().is_loopback());
        elsewhere.map_or(Ok(()), |address| Err(Failure::NotLoopback(*address)))?;
    }
    let bound = async {
        let listener = TcpListener::bind(addresses.as_slice()).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|source| Failure::Listen { host: host.clone(), port: *port, source })
}

/// Whether whoever is on this machine is served, and nobody else.
fn is_of_this_machine(server: &Server, access: &Access) -> bool {
    matches!(access, Access::Anonymous) && !server.allow_anonymous
}

/// Who is on this machine, and no page of a stranger through it. With a key, or when everybody is served, the names are
/// those that others have given it.
fn hosts(server: &Server, access: &Access) -> Hosts {
    let besides = server.allowed_hosts.iter().flatten().cloned();
    match is_of_this_machine(server, access) || server.allowed_hosts.is_some() {
        true => Hosts::Loopback(besides.chain([server.host.clone()]).collect()),
        false => Hosts::Any,
    }
}

/// Whoever is on this machine, and nobody else, may send as much as it can, until something else is said.
fn rate_limit(server: &Server, access: &Access) -> Option<NonZeroU32> {
    let default = if is_of_this_machine(server, access) { 0 } else { RATE };
    NonZeroU32::new(server.rate_limit.unwrap_or(default))
}

/// Done at the first signal. A second one ends the process at once: what was answered is durable.
fn until_stopped() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut signals = Signals::listen()?;
    let (first, stopped) = oneshot::channel();
    tokio::spawn(async move {
        signals.next().await;
        let _ = first.send(());
        signals.next().await;
        eprintln!("error: stopped by a second signal before running requests were finished");
        std::process::exit(2);
    });
    Ok(async {
        let _ = stopped.await;
    })
}

/// On stdout, whatever the log says; nobody listening there is no reason not to serve.
fn say_where(line: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
