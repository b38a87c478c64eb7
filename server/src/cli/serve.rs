//! `strom serve`: opens the storage, serves it until a signal arrives, and closes it.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::thread;

use sd_notify::NotifyState;
use strom_server::clock;
use strom_server::commit::Commit;
use strom_server::http::{self, Streams};
use strom_server::stack::Stack;
use strom_store::last_known::LastKnown;
use strom_store::storage::{Settings, Storage};

use super::answer::Answer;
use super::descriptors;
use super::failure::Failure;
use super::listen::{access, hosts, listen, rate_limit};
use super::service;
use super::signals::Stop;
use crate::config::Flags;

/// The commit of this program.
const COMMIT: Commit = strom_build_info::commit!();

pub(super) async fn run(flags: &Flags) -> Result<Answer, Failure> {
    let server = flags.server()?;
    let storage = flags.storage()?;
    let read_only = flags.read_only()?;
    let last_known = flags.last_known()?.filter(|_| matches!(storage, Storage::Postgres(_)));
    let settings = Settings::default()
        .with_retention(flags.retention()?)
        .with_migrations(flags.migrations()?)
        .with_read_only(read_only)
        .with_open_unreachable(true);
    let access = access(&server)?;
    descriptors::raise_limit();
    // Opening the storage may migrate a database. Listening first means that an occupied port changes nothing.
    let (listener, address) = listen(&server, &access).await?;
    let (mut stop, hangups) = Stop::of_server()?;
    service::notify(&[NotifyState::Status(&format!("opening {storage}"))]);
    let settings = settings.with_url(Some(format!("http://{}", reachable(address))));
    let repository = tokio::select! {
        opened = storage.open_with(clock::now(), settings) => opened?,
        () = stop.requested() => return Err(Failure::StoppedBeforeStoring),
    };
    let last_known = match last_known {
        Some(settings) => Some(LastKnown::follow(repository.clone(), settings).await),
        None => None,
    };
    let how = if read_only { ", read-only" } else { "" };
    let status = format!("flows in {storage}{how}, listening on http://{address}");
    print_address(format!("strom {}: {status}", env!("CARGO_PKG_VERSION")));
    service::notify_ready(&status);
    let (origins, proxies) = (server.origins.clone(), server.proxies.clone());
    let hosts = hosts(&server, &access);
    let rate_limit = rate_limit(&server, &access);
    if let Some(hangups) = hangups {
        tokio::spawn(service::reload_on(hangups, server, status));
    }
    let layers = Stack::over(Arc::clone(&repository)).commit(COMMIT);
    let layers = if let Some(copy) = last_known.clone() { layers.last_known(copy) } else { layers };
    // A read-only instance rejects ephemeral flows as well.
    let layers = if read_only { layers } else { layers.ephemeral(clock::now()) };
    let streams = Streams::default();
    let settings = http::Settings { hosts, rate_limit, origins, proxies, streams: streams.clone() };
    let routes = http::router_with(layers, access, settings);
    let ending = streams.clone();
    let requested = async move {
        stop.requested().await;
        service::notify(&[NotifyState::Stopping]);
        ending.end();
    };
    http::serve(listener, routes, requested).await;
    streams.ended().await;
    if let Some(last_known) = last_known {
        last_known.stop().await;
    }
    repository.close().await?;
    Ok(Answer::Done)
}

/// Returns the address under which other processes on this machine reach the server.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Prints the address to stdout, independently of the log. A closed or stalled stdout does not stop the server.
fn print_address(line: String) {
    let print = move || {
        let mut stdout = io::stdout().lock();
        let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    };
    let _ = thread::Builder::new().spawn(print);
}
