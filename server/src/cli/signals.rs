//! Signals that stop the process: SIGINT, SIGTERM and SIGHUP. If a server runs as a service, SIGHUP reloads it instead.

use std::env;
use std::fs::{self, File};
use std::io;
use std::process;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::failure::Failure;
use super::output::eprint;

/// How long a command may take to notice a signal. It does not notice one while a write to stdout is blocked.
const NOTICE: Duration = Duration::from_secs(10);

/// A listener for signals. Before it exists, a signal ends the process immediately.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` if the process was started with `nohup`.
    hangup: Option<Signal>,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if is_hangup_ignored() { None } else { Some(signal(SignalKind::hangup())?) },
        })
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            () = hung_up(&mut self.hangup) => SignalKind::hangup(),
        }
    }

    /// Waits for a signal other than an interrupt. A terminal sends an interrupt to the editor as well.
    pub(super) async fn terminated(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            () = hung_up(&mut self.hangup) => {}
        }
    }
}

async fn hung_up(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => _ = hangup.recv().await,
        None => std::future::pending().await,
    }
}

/// Whether the process ignores SIGHUP, as `nohup` arranges it. A listener would end that.
fn is_hangup_ignored() -> bool {
    // Only Linux has this file. The first bit is the signal 1, SIGHUP.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 != 0)
}

/// Whether the process runs as a service: under systemd, as the first process of a container, or without a terminal. With a
/// terminal, SIGHUP means that the terminal was closed.
fn is_service() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some() || process::id() == 1 || File::open("/dev/tty").is_err()
}

/// Runs `work` until it completes or a signal arrives. Dropping the work deletes its temporary files.
pub(super) async fn unless_stopped<T>(
    work: impl Future<Output = Result<T, Failure>>,
    stopped: impl FnOnce() -> Failure,
) -> Result<T, Failure> {
    let mut signals = Signals::listen().map_err(Failure::Signals)?;
    tokio::select! {
        result = work => result,
        _ = signals.next() => Err(stopped()),
    }
}

/// The request of a signal to stop cleanly, for a process that may have opened a storage for writing. A second SIGINT or
/// SIGTERM ends the process immediately: all acknowledged changes are durable.
pub(super) struct Stop(mpsc::Receiver<()>);

impl Stop {
    /// Listens for signals until the process ends. After the result was dropped, the first signal has no effect.
    pub(super) fn on_signal() -> Result<Self, Failure> {
        Ok(Self::after(Signals::listen().map_err(Failure::Signals)?))
    }

    /// Listens for signals to a server. If it runs as a service, SIGHUP does not stop it; returns these signals.
    pub(super) fn of_server() -> Result<(Self, Option<Signal>), Failure> {
        let mut signals = Signals::listen().map_err(Failure::Signals)?;
        let hangups = if is_service() { signals.hangup.take() } else { None };
        Ok((Self::after(signals), hangups))
    }

    fn after(signals: Signals) -> Self {
        let (request, requests) = mpsc::channel(1);
        tokio::spawn(forward(signals, request));
        Self(requests)
    }

    /// Waits for the first signal.
    pub(super) async fn requested(&mut self) {
        self.0.recv().await;
    }
}

/// Runs `work` until it completes or the first signal arrives.
pub(super) async fn unless_requested<T>(
    stop: &mut Option<Stop>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let Some(stop) = stop else { return work.await };
    tokio::select! {
        result = work => result,
        () = stop.requested() => Err(Failure::StoppedWhileStoring),
    }
}

/// Forwards the first signal, and ends the process if it is not enough.
async fn forward(mut signals: Signals, request: mpsc::Sender<()>) {
    let first = signals.next().await;
    let _ = request.send(()).await;
    let repeated = async {
        // Terminals and service managers send SIGHUP together with another signal, so it does not count.
        let mut counted = usize::from(first != SignalKind::hangup());
        while counted < 2 {
            counted += usize::from(signals.next().await != SignalKind::hangup());
        }
        "by a second signal; running requests were aborted"
    };
    let unnoticed = async {
        sleep(NOTICE).await;
        // The channel has space again as soon as the first request is received.
        match request.try_reserve() {
            Err(mpsc::error::TrySendError::Full(())) => "by a signal; a write to stdout was blocked",
            _ => std::future::pending().await,
        }
    };
    let how = tokio::select! {
        how = repeated => how,
        how = unnoticed => how,
    };
    eprint(&format!(
        "error: stopped {how}\nall acknowledged changes are stored; a JSON file may lack some of them until Strom is started \
         again"
    ));
    process::exit(2);
}
