//! A proxy between Strom and PostgreSQL that can cut, block, slow down and reset connections.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use url::Url;

/// The time after which a test counts as hanging.
const HANGS: Duration = Duration::from_secs(120);

/// The behaviour of the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Intact,
    /// Ends existing and new connections at once, by a reset or by a normal close.
    Cut {
        reset: bool,
    },
    /// Accepts everything and forwards nothing. Discarded bytes never arrive, and their connection never recovers.
    BlackHole,
    /// Holds all bytes back and delivers them later, like a network after an outage.
    Held,
    /// Delivers bytes with a delay and a limited rate.
    Slow {
        latency: Duration,
        bytes_per_second: u64,
    },
    /// Resets the next longer response after this number of bytes. Then the proxy is intact again.
    ResetAfter(usize),
}

/// A proxy that listens on its own port and forwards bytes to a database.
pub struct Proxy {
    url: Url,
    mode: Arc<watch::Sender<Mode>>,
}

impl Proxy {
    /// Starts a proxy before this database. Its URL has the `connect_timeout` of production: a connection that a fault has
    /// made useless must not delay the recovery.
    pub async fn before(database: &str) -> Self {
        let mut url = Url::parse(&database.replace("connect_timeout=60", "connect_timeout=5")).unwrap();
        let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let mode = Arc::new(watch::Sender::new(Mode::Intact));
        tokio::spawn(accept(listener, target, Arc::clone(&mode)));
        Self { url, mode }
    }

    pub fn url(&self) -> String {
        self.url.to_string()
    }

    /// Closes all existing and new connections.
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut { reset: false });
    }

    /// Resets all existing and new connections.
    pub fn reset(&self) {
        self.mode.send_replace(Mode::Cut { reset: true });
    }

    pub fn black_hole(&self) {
        self.mode.send_replace(Mode::BlackHole);
    }

    pub fn hold(&self) {
        self.mode.send_replace(Mode::Held);
    }

    pub fn slow(&self, latency: Duration, bytes_per_second: u64) {
        self.mode.send_replace(Mode::Slow { latency, bytes_per_second });
    }

    /// Resets the connection of the next response that is longer than this number of bytes, after these bytes.
    pub fn break_off_an_answer(&self, after: usize) {
        self.mode.send_replace(Mode::ResetAfter(after));
    }

    /// Like [`break_off_an_answer`](Self::break_off_an_answer). Returns after the reset.
    pub async fn reset_in_mid_answer(&self, after: usize) {
        self.break_off_an_answer(after);
        let reset = async { self.mode.subscribe().wait_for(|mode| *mode == Mode::Intact).await.map(drop) };
        timeout(HANGS, reset).await.expect("a response is longer than this").unwrap();
    }

    pub fn restore(&self) {
        self.mode.send_replace(Mode::Intact);
    }
}

async fn accept(listener: TcpListener, target: String, mode: Arc<watch::Sender<Mode>>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(connect(client, target.clone(), Arc::clone(&mode)));
    }
}

async fn connect(mut client: TcpStream, target: String, mode: Arc<watch::Sender<Mode>>) {
    let mut state = mode.subscribe();
    let reset = match *state.borrow() {
        Mode::Cut { reset } => Some(reset),
        _ => None,
    };
    // The server may be unreachable as well.
    let (reset, server) = match reset {
        Some(reset) => (reset, None),
        None => (true, TcpStream::connect(target).await.ok()),
    };
    let reset = match server {
        None => reset,
        Some(mut server) => {
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (from_client, to_client) = client.split();
            let (from_server, to_server) = server.split();
            tokio::select! {
                reset = pass(from_client, to_server, mode.subscribe(), None) => reset,
                reset = pass(from_server, to_client, mode.subscribe(), Some(&mode)) => reset,
                cut = state.wait_for(|mode| matches!(mode, Mode::Cut { .. })) => {
                    matches!(cut.as_deref(), Ok(Mode::Cut { reset: true }))
                }
            }
        }
    };
    if reset {
        let _ = client.set_zero_linger();
    }
}

/// Forwards bytes in one direction until the end. Returns true if the connection must be reset.
async fn pass(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut mode: watch::Receiver<Mode>,
    responses: Option<&watch::Sender<Mode>>,
) -> bool {
    let mut buffer = vec![0; 64 * 1024];
    let mut discards = false;
    loop {
        let Ok(mut length @ 1..) = from.read(&mut buffer).await else { return false };
        let now = *mode.borrow();
        discards |= now == Mode::BlackHole;
        if discards {
            continue;
        }
        match now {
            Mode::Held if mode.wait_for(|mode| *mode != Mode::Held).await.is_err() => return false,
            Mode::Slow { latency, bytes_per_second } => {
                sleep(latency + Duration::from_micros(length as u64 * 1_000_000 / bytes_per_second)).await;
            }
            Mode::ResetAfter(limit) if responses.is_some() && length > limit => length = limit,
            _ => {}
        }
        let reset = responses.filter(|_| now == Mode::ResetAfter(length));
        if to.write_all(&buffer[..length]).await.is_err() {
            return false;
        }
        if let Some(mode) = reset {
            mode.send_replace(Mode::Intact);
            return true;
        }
    }
}
