//! The real program with many streams open: what a thousand cost, and that its stop does not wait for them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::Client;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use serde_json::{Value, json};
use strom::testkit::samples::id;
use tokio::time::{sleep, timeout};

use super::sockets::{self, Socket};
use crate::serve::{Running, command};
use crate::support::exposition::Exposition;
use crate::support::postgres::Database;

async fn json(client: &Client, url: &str) -> Value {
    client.get(url).send().await.unwrap().json().await.unwrap()
}

/// The place behind all that has happened.
async fn now(client: &Client, server: &Running) -> String {
    json(client, &server.url("/api/changes")).await["next"].as_str().unwrap().to_owned()
}

/// Creates a flow, or gives it another name.
async fn save(client: &Client, server: &Running, number: u32, is_new: bool, name: &str) {
    let flow = json!({ "id": id(number), "name": name, "properties": { "description": "x".repeat(BYTES) } });
    let request = match is_new {
        true => client.post(server.url("/api/flows")),
        false => client.put(server.url(&format!("/api/flows/{}", id(number)))),
    };
    let answer = request.json(&flow).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
}

/// A stream of events over a connection of its own.
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

    /// The cursor and the name of the next change; `None` at the end.
    async fn next(&mut self) -> Option<(String, String)> {
        loop {
            while let Some((event, rest)) = self.rest.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.rest = rest;
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                if let (Some(cursor), Some(data)) = (field("id: "), field("data: ")) {
                    let change: Value = serde_json::from_str(data).unwrap();
                    return Some((cursor.to_owned(), change["name"].as_str().unwrap().to_owned()));
                }
            }
            let piece = self.answer.chunk().await.unwrap()?;
            self.rest.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }
}

/// The program stops at once, though streams of each kind are open and one of them takes nothing.
#[tokio::test]
async fn the_program_stops_at_once_with_streams_open() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Running::start(&["--data-dir", directory.path().to_str().unwrap(), "--port", "0"], &[]);
    let client = Client::new();
    let place = now(&client, &server).await;
    let mut events = Events::open(&client, &server, "", &place).await;
    let stalled = Events::open(&client, &server, "documents=true", &place).await;
    let socket = sockets::open(server.address()).await;
    let poll = server.url(&format!("/api/changes?since={place}&wait=60"));
    let poll = tokio::spawn({
        let client = client.clone();
        async move { json(&client, &poll).await }
    });
    while !metrics(&client, &server).await.samples.iter().any(|(name, count)| name.contains("poll") && *count == 1.0) {
        sleep(Duration::from_millis(5)).await;
    }
    let begin = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(events.next().await, None);
    assert_eq!(sockets::closed(socket).await, 1001, "going away");
    assert_eq!(poll.await.unwrap(), json!({ "changes": [], "next": place }));
    assert_eq!(server.wait().code(), Some(0));
    // It would be given ten.
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    drop(stalled);
}

/// What a process begins with is often 1,024; here it is fewer still.
#[tokio::test]
async fn more_streams_are_open_than_the_process_began_with_descriptors() {
    let directory = tempfile::tempdir().unwrap();
    let mut program = command("sh", &[]);
    program.args(["-c", r#"ulimit -S -n 100 && exec "$0" "$@""#, env!("CARGO_BIN_EXE_strom"), "--port", "0"]);
    let server = Running::begin(program.args(["--data-dir", directory.path().to_str().unwrap()]));
    let client = Client::new();
    let place = now(&client, &server).await;
    let mut streams = join_all((0..200).map(|_| Events::open(&client, &server, "", &place))).await;
    save(&client, &server, 1, true, "one").await;
    for events in &mut streams {
        assert_eq!(events.next().await.unwrap().1, "one");
    }
}

async fn metrics(client: &Client, server: &Running) -> Exposition {
    Exposition::parse(&client.get(server.url("/metrics")).send().await.unwrap().text().await.unwrap())
}

const SAVERS: u32 = 4;
/// Between two saves of one saver.
const PAUSE: Duration = Duration::from_millis(200);
const LASTS: Duration = Duration::from_secs(20);
const END: &str = "end";
/// Bytes of a flow, about.
const BYTES: usize = 10_000;

/// What the streams of one kind have seen.
#[derive(Default)]
struct Seen {
    delivered: AtomicUsize,
    late: Mutex<Vec<Duration>>,
}

/// The names of flows are the times at which they were sent.
struct Load {
    client: Client,
    server: Running,
    begin: Instant,
    place: String,
    seen: HashMap<&'static str, Seen>,
}

impl Load {
    fn saw(&self, kind: &str, name: &str) {
        let seen = &self.seen[kind];
        seen.delivered.fetch_add(1, Ordering::Relaxed);
        if let Ok(sent) = name.parse() {
            seen.late.lock().unwrap().push(self.begin.elapsed() - Duration::from_micros(sent));
        }
    }

    async fn save(&self, saver: u32) {
        let mut step = 0;
        while self.begin.elapsed() < LASTS {
            let sent = self.begin.elapsed().as_micros().to_string();
            save(&self.client, &self.server, saver * 10 + step % 10, step < 10, &sent).await;
            step += 1;
            sleep(PAUSE).await;
        }
    }

    /// All cursors up to the end. Who leaves comes again where he was; who is slow takes his time; who is stalled takes
    /// nothing before everything is saved.
    async fn follow(&self, kind: &'static str, query: &str) -> Vec<String> {
        let (mut cursors, mut place) = (Vec::new(), self.place.clone());
        loop {
            let mut events = Events::open(&self.client, &self.server, query, &place).await;
            if kind == "stalled" {
                sleep(LASTS.saturating_sub(self.begin.elapsed())).await;
            }
            loop {
                let (cursor, name) = events.next().await.expect("the stream goes on");
                self.saw(kind, &name);
                cursors.push(cursor.clone());
                place = cursor;
                match kind {
                    _ if name == END => return cursors,
                    "leaving" if cursors.len().is_multiple_of(20) => break,
                    "slow" => sleep(Duration::from_millis(50)).await,
                    _ => {}
                }
            }
        }
    }

    async fn poll(&self) -> Vec<String> {
        let (mut cursors, mut place) = (Vec::new(), self.place.clone());
        loop {
            let url = self.server.url(&format!("/api/changes?since={place}&wait=30"));
            let page = json(&self.client, &url).await;
            place = page["next"].as_str().unwrap().to_owned();
            for change in page["changes"].as_array().unwrap() {
                self.saw("poll", change["name"].as_str().unwrap());
                cursors.push(change["cursor"].as_str().unwrap().to_owned());
                if change["name"] == END {
                    return cursors;
                }
            }
        }
    }

    /// How many events came over a socket, up to the last change.
    async fn listen(&self, mut socket: Socket) -> usize {
        let last = json!(id(1_000_000));
        for count in 1.. {
            let event = sockets::next(&mut socket).await;
            self.saw("socket", "");
            if event["data"]["flow_id"] == last {
                return count;
            }
        }
        unreachable!("there is an end")
    }

    /// All cursors of the feed.
    async fn feed(&self) -> Vec<String> {
        let (mut cursors, mut place) = (Vec::new(), self.place.clone());
        loop {
            let page = json(&self.client, &self.server.url(&format!("/api/changes?since={place}&limit=1000"))).await;
            let changes = page["changes"].as_array().unwrap();
            if changes.is_empty() {
                return cursors;
            }
            cursors.extend(changes.iter().map(|change| change["cursor"].as_str().unwrap().to_owned()));
            place = page["next"].as_str().unwrap().to_owned();
        }
    }

    async fn reads(&self) -> f64 {
        let shown = metrics(&self.client, &self.server).await;
        let of = |operation| format!(r#"strom_repository_operations_total{{operation="{operation}",outcome="ok"}}"#);
        shown.get(&of("changes")).unwrap() + shown.get(&of("change_summaries")).unwrap()
    }

    /// MiB, now and at most.
    fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.child.id())).unwrap_or_default();
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        };
        (of("VmRSS:").unwrap_or_default() >> 10, of("VmHWM:").unwrap_or_default() >> 10)
    }
}

/// So many of each kind.
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
    let place = now(&client, &server).await;
    let address = server.address();
    let kinds = KINDS.iter().map(|(kind, ..)| *kind).chain(["poll", "socket"]);
    let seen = kinds.map(|kind| (kind, Seen::default())).collect();
    let mut load = Load { client, server, begin: Instant::now(), place, seen };
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
    let opening = async {
        while metrics(&load.client, &load.server)
            .await
            .samples
            .iter()
            .filter(is_open)
            .map(|(_, count)| count)
            .sum::<f64>()
            < streams as f64
        {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(60), opening).await.expect("all streams open");
    println!("{streams} streams open after {:.1?}, memory {} MiB", load.begin.elapsed(), load.memory().0);

    let before = load.reads().await;
    join_all((0..SAVERS).map(|saver| load.save(saver + 1))).await;
    save(&load.client, &load.server, 1_000_000, true, END).await;
    let saved = load.begin.elapsed();
    let followed = timeout(Duration::from_secs(120), join_all(following)).await.expect("all come to the end");
    let caught_up = load.begin.elapsed() - saved;
    let listened = timeout(Duration::from_secs(60), join_all(listening)).await.expect("all come to the end");
    let reads = load.reads().await - before;

    let feed = load.feed().await;
    for cursors in followed {
        assert!(cursors.unwrap() == feed, "each change once, in order");
    }
    for count in listened {
        assert_eq!(count.unwrap(), feed.len());
    }
    let changes = feed.len();
    println!("{changes} changes, the slowest had all {caught_up:.1?} after the last; {reads} reads of the feed");
    for kind in KINDS.iter().map(|(kind, ..)| *kind).chain(["poll", "socket"]) {
        let Seen { delivered, late } = &load.seen[kind];
        let mut late = late.lock().unwrap();
        late.sort_unstable();
        let at = |percent: usize| {
            late.get(late.len() * percent / 101).map_or("-".into(), |late| late.as_millis().to_string())
        };
        let delivered = delivered.load(Ordering::Relaxed);
        println!(
            "{kind:9} {delivered:7} delivered, ms late: {:>6} median {:>6} 99 % {:>6} most",
            at(50),
            at(99),
            at(100)
        );
    }
    let (now, most) = load.memory();
    println!("memory {now} MiB, at most {most} MiB");
    assert!(reads < 10.0 * changes as f64, "{reads} reads");
    assert!(most < 512, "{most} MiB");
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
