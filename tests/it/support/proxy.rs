//! A cable between Strom and PostgreSQL that can be cut, blocked, slowed down and broken in the middle of an answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;
use url::Url;

/// What the cable does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Intact,
    /// Ends connections, and new ones as soon as they are made: by a reset, or as if the other side had hung up.
    Cut {
        reset: bool,
    },
    /// Accepts everything and answers nothing. What was swallowed never arrives, and its connection is dead for good.
    BlackHole,
    /// Holds everything back and lets it go in the end, as a network does that was away for a while.
    Held,
    /// Bytes come late, and not many at once.
    Slow {
        latency: Duration,
        bytes_per_second: u64,
    },
    /// The next answer that is longer is reset after so many bytes; then the cable is intact.
    ResetAfter(usize),
}

/// Passes bytes between a port of its own and a database.
pub(crate) struct Proxy {
    url: Url,
    mode: Arc<watch::Sender<Mode>>,
}

impl Proxy {
    pub(crate) async fn before(database: &str) -> Self {
        let mut url = Url::parse(database).unwrap();
        let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let mode = Arc::new(watch::Sender::new(Mode::Intact));
        tokio::spawn(accept(listener, target, Arc::clone(&mode)));
        Self { url, mode }
    }

    pub(crate) fn url(&self) -> String {
        self.url.to_string()
    }

    /// Ends all connections, and new ones as soon as they are made.
    pub(crate) fn cut(&self) {
        self.mode.send_replace(Mode::Cut { reset: false });
    }

    /// As [`cut`](Self::cut), by resets.
    pub(crate) fn reset(&self) {
        self.mode.send_replace(Mode::Cut { reset: true });
    }

    pub(crate) fn black_hole(&self) {
        self.mode.send_replace(Mode::BlackHole);
    }

    pub(crate) fn hold(&self) {
        self.mode.send_replace(Mode::Held);
    }

    pub(crate) fn slow(&self, latency: Duration, bytes_per_second: u64) {
        self.mode.send_replace(Mode::Slow { latency, bytes_per_second });
    }

    pub(crate) fn reset_in_mid_answer(&self, after: usize) {
        self.mode.send_replace(Mode::ResetAfter(after));
    }

    pub(crate) fn restore(&self) {
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
    // The server behind it may be away as well.
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

/// Passes bytes one way to their end; true when the connection is to be reset then. Answers may be broken off.
async fn pass(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut mode: watch::Receiver<Mode>,
    answers: Option<&watch::Sender<Mode>>,
) -> bool {
    let mut buffer = vec![0; 64 * 1024];
    let mut swallows = false;
    loop {
        let Ok(mut length @ 1..) = from.read(&mut buffer).await else { return false };
        let now = *mode.borrow();
        swallows |= now == Mode::BlackHole;
        if swallows {
            continue;
        }
        match now {
            Mode::Held if mode.wait_for(|mode| *mode != Mode::Held).await.is_err() => return false,
            Mode::Slow { latency, bytes_per_second } => {
                sleep(latency + Duration::from_micros(length as u64 * 1_000_000 / bytes_per_second)).await;
            }
            Mode::ResetAfter(most) if answers.is_some() && length > most => length = most,
            _ => {}
        }
        let broken_off = answers.filter(|_| now == Mode::ResetAfter(length));
        if to.write_all(&buffer[..length]).await.is_err() {
            return false;
        }
        if let Some(mode) = broken_off {
            mode.send_replace(Mode::Intact);
            return true;
        }
    }
}
