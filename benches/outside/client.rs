//! HTTP clients that send one request after the other over their own connection. They read only the length of a response, so that the
//! server dominates the measurement.

use std::time::{Duration, Instant};

use strom_store::internals::Chance;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::document::document;

pub(crate) const FLOWS: u128 = 10_000;
pub(crate) const BYTES: usize = 2_000;
/// The number of flows of one import.
pub(crate) const IMPORTED: u128 = 200;

/// The operation that the clients request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Put,
    Get,
    Page,
    All,
    Import,
}

/// The requests of one client.
struct Requests {
    operation: Operation,
    host: String,
    page: &'static str,
    chance: Chance,
}

impl Requests {
    fn next(&mut self) -> String {
        let number = u128::from(self.chance.below(FLOWS as u64));
        let content = self.chance.below(u64::MAX);
        let host = &self.host;
        let id = uuid::Uuid::from_u128(number);
        let edited = |number| {
            let edit = format!("\"links\":[],\"edit\":{content}");
            document(number, BYTES).replace("\"links\":[]", &edit)
        };
        let (method, path, body) = match self.operation {
            Operation::Get => ("GET", format!("/api/flows/{id}"), String::new()),
            Operation::Page => ("GET", self.page.to_owned(), String::new()),
            Operation::All => ("GET", "/api/flows".to_owned(), String::new()),
            Operation::Put => ("PUT", format!("/api/flows/{id}"), edited(number)),
            Operation::Import => {
                let flows: Vec<_> = (0..IMPORTED).map(|offset| edited((number + offset) % FLOWS)).collect();
                (
                    "POST",
                    "/api/flows/import?on_conflict=replace".to_owned(),
                    format!("{{\"flows\":[{}]}}", flows.join(",")),
                )
            }
        };
        let length = body.len();
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    }
}

/// Sends requests from this number of clients for this time. Returns their latencies in seconds.
pub(crate) async fn load(
    address: &str,
    page: &'static str,
    operation: Operation,
    clients: usize,
    time: Duration,
    seed: u64,
) -> Vec<f64> {
    let begin = Instant::now();
    let tasks: Vec<_> = (0..clients as u64)
        .map(|client| {
            let chance = Chance::new(seed << 32 | client);
            let requests = Requests { operation, host: address.to_owned(), page, chance };
            tokio::spawn(run(requests, begin, time))
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    latencies
}

async fn run(mut requests: Requests, begin: Instant, time: Duration) -> Vec<f64> {
    let stream = TcpStream::connect(&requests.host).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut stream = BufReader::with_capacity(64 * 1024, stream);
    let (mut latencies, mut body) = (Vec::new(), Vec::new());
    while begin.elapsed() < time {
        let request = requests.next();
        let sent_at = Instant::now();
        stream.write_all(request.as_bytes()).await.unwrap();
        read_response(&mut stream, &mut body).await;
        latencies.push(sent_at.elapsed().as_secs_f64());
    }
    latencies
}

/// Reads a response with `Content-Length` or in chunks (RFC 9112, sections 6 and 7.1).
async fn read_response(stream: &mut BufReader<TcpStream>, body: &mut Vec<u8>) {
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    assert_eq!(line.trim_end(), "HTTP/1.1 200 OK");
    let (mut length, mut is_chunked) = (0, false);
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).await.unwrap();
        match line.trim_end().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(("transfer-encoding", value)) => is_chunked = value == "chunked",
            _ => {}
        }
    }
    loop {
        if is_chunked {
            line.clear();
            stream.read_line(&mut line).await.unwrap();
            length = usize::from_str_radix(line.trim_end(), 16).unwrap();
        }
        let is_last = !is_chunked || length == 0;
        body.resize(length + if is_chunked { 2 } else { 0 }, 0);
        stream.read_exact(body).await.unwrap();
        if is_last {
            return;
        }
    }
}
