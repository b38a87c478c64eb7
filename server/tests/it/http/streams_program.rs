//! The server program with many open streams: the cost of about a thousand streams, and shutdown while streams are open.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::Client;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use serde_json::{Value, json};
use strom_store::internals::samples::id;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::HANGS;
use super::sockets::{self, Socket};
use crate::serve::{Running, command};
use strom_test_support::eventually::eventually;
use strom_test_support::exposition::Exposition;
use strom_test_support::postgres::Database;

async fn json(client: &Client, url: &str) -> Value {
    client.get(url).send().await.unwrap().json().await.unwrap()
}

/// Returns the cursor at the end of the feed.
async fn now(client: &Client, server: &Running) -> String {
    json(client, &server.url("/api/changes")).await["next"].as_str().unwrap().to_owned()
}

/// Creates or renames a flow.
async fn save(client: &Client, server: &Running, number: u32, is_new: bool, name: &str) {
    let flow = json!({ "id": id(number), "name": name, "properties": { "description": "x".repeat(BYTES) } });
    let request = match is_new {
        true => client.post(server.url("/api/flows")),
        false => client.put(server.url(&format!("/api/flows/{}", id(number)))),
    };
    let answer = request.json(&flow).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
}

/// A stream of events on its own connection.
struct Events {
    answer: reqwest::Response,
    rest: String,
}

impl Events {
    async fn open(client: &Client, server: &Running, query: &str, after: &str) -> Self {
        let request = client.get(server.url(&format!("/api/changes?{query}")));
        let request = request.header("accept", "text/event-stream").header("last-event-id", after);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        Self { answer, rest: String::new() }
    }

    /// Returns the cursor and the name of the next change, or `None` at the end of the stream.
    async fn next(&mut self) -> Option<(String, String)> {
        self.try_next().await.expect("the connection stays open")
    }

    /// As [`next`](Self::next), but the connection may break.
    async fn try_next(&mut self) -> reqwest::Result<Option<(String, String)>> {
        loop {
            while let Some((event, rest)) = self.rest.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.rest = rest;
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                if let (Some(cursor), Some(data)) = (field("id: "), field("data: ")) {
                    let change: Value = serde_json::from_str(data).unwrap();
                    return Ok(Some((cursor.to_owned(), change["name"].as_str().unwrap().to_owned())));
                }
            }
            let Some(piece) = self.answer.chunk().await? else { return Ok(None) };
            self.rest.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }
}

/// The server stops immediately although streams of each kind are open and one client reads nothing.
#[tokio::test]
async fn sigterm_stops_the_server_immediately_with_open_streams() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let mut server = Running::start(&["--data-dir", path, "--port", "0"], &[("RUST_LOG", "strom=warn")]);
    let client = Client::new();
    let cursor_at_start = now(&client, &server).await;
    let mut events = Events::open(&client, &server, "", &cursor_at_start).await;
    let stalled = Events::open(&client, &server, "documents=true", &cursor_at_start).await;
    let socket = sockets::open(server.address()).await;
    let poll = server.url(&format!("/api/changes?since={cursor_at_start}&wait=60"));
    let poll = tokio::spawn({
        let client = client.clone();
        async move { json(&client, &poll).await }
    });
    eventually("the poll waits", async || {
        metrics(&client, &server).await.samples.iter().any(|(name, count)| name.contains("poll") && *count == 1.0)
    })
    .await;
    server.signal(Signal::TERM);
    assert_eq!(events.next().await, None);
    assert_eq!(sockets::closed(socket).await, 1001, "1001 means `going away`");
    assert_eq!(poll.await.unwrap(), json!({ "changes": [], "next": cursor_at_start }));
    assert_eq!(server.wait().code(), Some(0));
    // A server that stops before its streams have ended logs a warning.
    assert_eq!(server.stderr(), "");
    drop(stalled);
}

/// The server raises its soft limit. Most systems start programs with 1,024 descriptors, this test with 100.
#[tokio::test]
async fn the_server_raises_its_descriptor_limit() {
    let directory = tempfile::tempdir().unwrap();
    let mut program = command("sh", &[]);
    program.args(["-c", r#"ulimit -S -n 100 && exec "$0" "$@""#, env!("CARGO_BIN_EXE_strom"), "--port", "0"]);
    let server = Running::begin(program.args(["--data-dir", directory.path().to_str().unwrap()]));
    let client = Client::new();
    let cursor_at_start = now(&client, &server).await;
    let mut streams = join_all((0..200).map(|_| Events::open(&client, &server, "", &cursor_at_start))).await;
    save(&client, &server, 1, true, "one").await;
    for events in &mut streams {
        assert_eq!(events.next().await.unwrap().1, "one");
    }
}

async fn metrics(client: &Client, server: &Running) -> Exposition {
    Exposition::parse(&client.get(server.url("/metrics")).send().await.unwrap().text().await.unwrap())
}

const WRITERS: u32 = 4;
/// Number of saves per writer.
const SAVES: u32 = 100;
/// Pause between two saves of a writer, so that saves and streams interleave.
const PAUSE: Duration = Duration::from_millis(200);
const END: &str = "end";
/// Approximate size of a flow in bytes.
const BYTES: usize = 10_000;

/// The events that all streams of one kind received.
#[derive(Default)]
struct Seen {
    delivered: AtomicUsize,
    delays: Mutex<Vec<Duration>>,
}

/// A load on a server: writers, and streams of each kind. The name of each flow is the time of its save.
struct Load {
    client: Client,
    server: Running,
    begin: Instant,
    cursor_at_start: String,
    seen: HashMap<&'static str, Seen>,
    /// Is set to `true` when all saves have completed.
    saved: watch::Sender<bool>,
}

impl Load {
    fn record(&self, kind: &str, name: &str) {
        let seen = &self.seen[kind];
        seen.delivered.fetch_add(1, Ordering::Relaxed);
        if let Ok(sent) = name.parse() {
            seen.delays.lock().unwrap().push(self.begin.elapsed() - Duration::from_micros(sent));
        }
    }

    async fn save(&self, writer: u32) {
        for step in 0..SAVES {
            let sent = self.begin.elapsed().as_micros().to_string();
            save(&self.client, &self.server, writer * 10 + step % 10, step < 10, &sent).await;
            sleep(PAUSE).await;
        }
    }

    /// Follows the feed to its end. Returns all cursors. Clients of the kind `leaving` disconnect and resume, `slow` clients read
    /// slowly, and `stalled` clients read nothing until all saves have completed.
    async fn follow(&self, kind: &'static str, query: &str) -> Vec<String> {
        let (mut cursors, mut cursor_at_start) = (Vec::new(), self.cursor_at_start.clone());
        loop {
            let mut events = Events::open(&self.client, &self.server, query, &cursor_at_start).await;
            if kind == "stalled" {
                self.saved.subscribe().wait_for(|saved| *saved).await.unwrap();
            }
            loop {
                let Ok(Some((cursor, name))) = events.try_next().await else {
                    // The server ends a stream whose client reads nothing for 30 s, and later closes its connection.
                    assert_eq!(kind, "stalled", "only streams of stalled clients end");
                    break;
                };
                self.record(kind, &name);
                cursors.push(cursor.clone());
                cursor_at_start = cursor;
                match kind {
                    _ if name == END => return cursors,
                    "leaving" if cursors.len().is_multiple_of(20) => break,
                    // Reads more slowly than the writers save.
                    "slow" => sleep(Duration::from_millis(50)).await,
                    _ => {}
                }
            }
        }
    }

    async fn poll(&self) -> Vec<String> {
        let (mut cursors, mut cursor_at_start) = (Vec::new(), self.cursor_at_start.clone());
        loop {
            let url = self.server.url(&format!("/api/changes?since={cursor_at_start}&wait=30"));
            let page = json(&self.client, &url).await;
            cursor_at_start = page["next"].as_str().unwrap().to_owned();
            for change in page["changes"].as_array().unwrap() {
                self.record("poll", change["name"].as_str().unwrap());
                cursors.push(change["cursor"].as_str().unwrap().to_owned());
                if change["name"] == END {
                    return cursors;
                }
            }
        }
    }

    /// Counts the events on a socket up to the last change.
    async fn listen(&self, mut socket: Socket) -> usize {
        let last = json!(id(1_000_000));
        for count in 1.. {
            let event = sockets::next(&mut socket).await;
            self.record("socket", "");
            if event["data"]["flow_id"] == last {
                return count;
            }
        }
        unreachable!("the loop returns at the last change")
    }

    /// Returns the cursors of all changes in the feed.
    async fn feed(&self) -> Vec<String> {
        let (mut cursors, mut cursor_at_start) = (Vec::new(), self.cursor_at_start.clone());
        loop {
            let page =
                json(&self.client, &self.server.url(&format!("/api/changes?since={cursor_at_start}&limit=1000"))).await;
            let changes = page["changes"].as_array().unwrap();
            if changes.is_empty() {
                return cursors;
            }
            cursors.extend(changes.iter().map(|change| change["cursor"].as_str().unwrap().to_owned()));
            cursor_at_start = page["next"].as_str().unwrap().to_owned();
        }
    }

    /// Returns the number of times that the server has read the feed from the storage.
    async fn reads(&self) -> f64 {
        let shown = metrics(&self.client, &self.server).await;
        let of = |operation| format!(r#"strom_repository_operations_total{{operation="{operation}",outcome="ok"}}"#);
        shown.get(&of("changes")).unwrap() + shown.get(&of("change_summaries")).unwrap()
    }

    /// Returns the current and the maximum memory in MiB.
    fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.child.id())).unwrap_or_default();
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        };
        (of("VmRSS:").unwrap_or_default() >> 10, of("VmHWM:").unwrap_or_default() >> 10)
    }
}

/// Kind, query and number of the event streams.
const KINDS: [(&str, &str, usize); 5] = [
    ("events", "", 700),
    ("documents", "documents=true", 80),
    ("stalled", "documents=true", 20),
    ("slow", "", 20),
    ("leaving", "", 30),
];
const POLLS: usize = 50;
const SOCKETS: usize = 100;

async fn a_thousand_streams(storage: &[&str]) {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let server = Running::start(&[storage, &["serve", "--port", "0"]].concat(), &[("RUST_LOG", "strom=warn")]);
    let client = Client::new();
    let cursor_at_start = now(&client, &server).await;
    let address = server.address();
    let kinds = KINDS.iter().map(|(kind, ..)| *kind).chain(["poll", "socket"]);
    let seen = kinds.map(|kind| (kind, Seen::default())).collect();
    let saved = watch::Sender::new(false);
    let mut load = Load { client, server, begin: Instant::now(), cursor_at_start, seen, saved };
    println!("memory before: {} MiB", load.memory().0);
    load.begin = Instant::now();
    let load = Arc::new(load);
    let mut following = Vec::new();
    for (kind, query, count) in KINDS {
        for _ in 0..count {
            let load = Arc::clone(&load);
            following.push(tokio::spawn(async move { load.follow(kind, query).await }));
        }
    }
    for _ in 0..POLLS {
        let load = Arc::clone(&load);
        following.push(tokio::spawn(async move { load.poll().await }));
    }
    let sockets = join_all((0..SOCKETS).map(|_| sockets::open(address))).await;
    let listening: Vec<_> = sockets
        .into_iter()
        .map(|socket| {
            let load = Arc::clone(&load);
            tokio::spawn(async move { load.listen(socket).await })
        })
        .collect();
    let is_open = |(name, _): &(&String, &f64)| name.starts_with("strom_http_streams");
    let streams = KINDS.iter().map(|(.., count)| count).sum::<usize>() + POLLS + SOCKETS;
    eventually("all streams open", async || {
        let shown = metrics(&load.client, &load.server).await;
        shown.samples.iter().filter(is_open).map(|(_, count)| count).sum::<f64>() >= streams as f64
    })
    .await;
    println!("{streams} streams open after {:.1?}, memory {} MiB", load.begin.elapsed(), load.memory().0);

    let before = load.reads().await;
    join_all((0..WRITERS).map(|writer| load.save(writer + 1))).await;
    save(&load.client, &load.server, 1_000_000, true, END).await;
    load.saved.send_replace(true);
    let saved = load.begin.elapsed();
    let followed = timeout(HANGS, join_all(following)).await.expect("all streams receive the last change");
    let caught_up = load.begin.elapsed() - saved;
    let listened = timeout(HANGS, join_all(listening)).await.expect("all streams receive the last change");
    let reads = load.reads().await - before;

    let feed = load.feed().await;
    for cursors in followed {
        assert!(cursors.unwrap() == feed, "a stream did not receive each change once and in order");
    }
    for count in listened {
        assert_eq!(count.unwrap(), feed.len());
    }
    let changes = feed.len();
    println!(
        "{changes} changes; the slowest stream was complete {caught_up:.1?} after the last save; {reads} reads of the feed"
    );
    for kind in KINDS.iter().map(|(kind, ..)| *kind).chain(["poll", "socket"]) {
        let Seen { delivered, delays } = &load.seen[kind];
        let mut delays = delays.lock().unwrap();
        delays.sort_unstable();
        let at = |percent: usize| {
            delays.get(delays.len() * percent / 101).map_or("-".into(), |delays| delays.as_millis().to_string())
        };
        let delivered = delivered.load(Ordering::Relaxed);
        println!(
            "{kind:9} {delivered:7} delivered, delay in ms: {:>6} median {:>6} p99 {:>6} max",
            at(50),
            at(99),
            at(100)
        );
    }
    let (now, maximum) = load.memory();
    println!("memory {now} MiB, at most {maximum} MiB");
    assert!(reads < 10.0 * changes as f64, "{reads} reads");
    assert!(maximum < 512, "{maximum} MiB");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute and much of the machine: just streams"]
async fn a_thousand_streams_on_a_file() {
    let directory = tempfile::tempdir().unwrap();
    a_thousand_streams(&["--data-dir", directory.path().to_str().unwrap()]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute and much of the machine: just streams"]
async fn a_thousand_streams_on_postgres() {
    let database = Database::empty().await;
    a_thousand_streams(&["--database-url", &database.url()]).await;
}
