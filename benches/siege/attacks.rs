//! Requests of malicious or broken clients.

use std::collections::BTreeMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream::{self, StreamExt};
use reqwest::{Body, Method};
use strom_store::internals::Chance;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::Server;

const MEBIBYTE: usize = 1 << 20;

fn blanks(mebibytes: usize) -> Body {
    let piece = bytes_of(b' ');
    Body::wrap_stream(stream::iter((0..mebibytes).map(move |_| Ok::<_, std::io::Error>(piece.clone()))))
}

fn bytes_of(byte: u8) -> Vec<u8> {
    vec![byte; MEBIBYTE]
}

/// Sends a request and returns the status. The server may respond and close the connection before it has read the body.
async fn post(server: &Server, path: &str, headers: &[(&str, &str)], body: Body) -> String {
    let mut request = server.client.post(server.url(path)).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    match request.body(body).send().await {
        Ok(answer) => answer.status().as_u16().to_string(),
        Err(error) if error.is_request() || error.is_body() => "closed".to_owned(),
        Err(error) => panic!("{error:?}"),
    }
}

pub(crate) async fn large_bodies(server: &Server) -> String {
    let document = post(server, "/api/flows", &[], blanks(1024)).await;
    let import = post(server, "/api/flows/import", &[], blanks(1024 + 1)).await;
    assert_rejected(&[&document, &import]);
    format!("create: {document}, import: {import}")
}

fn assert_rejected(answers: &[&String]) {
    for answer in answers {
        assert!(["413", "closed"].contains(&answer.as_str()), "{answer}");
    }
}

pub(crate) async fn gzip_bombs(server: &Server) -> String {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..1024 + 1 {
        gzip.write_all(&bytes_of(b' ')).unwrap();
    }
    let bomb = gzip.finish().unwrap();
    let headers = [("content-encoding", "gzip")];
    let document = post(server, "/api/flows", &headers, bomb.clone().into()).await;
    let import = post(server, "/api/flows/import", &headers, bomb.clone().into()).await;
    assert_rejected(&[&document, &import]);
    format!("{} kB each; create: {document}, import: {import}", bomb.len() >> 10)
}

pub(crate) async fn deep_nesting(server: &Server) -> String {
    let mut answers = Vec::new();
    for open in ["[", r#"{"a":"#] {
        let nested = open.repeat(15 * MEBIBYTE / open.len());
        answers.push(post(server, "/api/flows", &[], nested.clone().into()).await);
        answers.push(post(server, "/api/flows/import", &[], nested.into()).await);
        let complete = format!(r#"{{"name":"a","x":{}1{}}}"#, "[".repeat(1_000), "]".repeat(1_000));
        answers.push(post(server, "/api/flows", &[], complete.into()).await);
    }
    assert!(answers.iter().all(|answer| ["400", "422"].contains(&answer.as_str())), "{answers:?}");
    answers.join(", ")
}

/// Clients disconnect in the head, in the body, and before the response.
pub(crate) async fn hang_ups(server: &Server, clients: u64) -> String {
    let begin = "POST /api/flows HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let body = r#"{"name":"by a disconnected client"}"#;
    let complete = format!("{begin}Content-Length: {}\r\n\r\n{body}", body.len());
    let requests = [
        begin.to_owned(),
        format!("{begin}Content-Length: 1000\r\n\r\n{body}"),
        complete,
        "GET /api/flows HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
    ];
    let hang_ups = stream::iter(0..clients as usize).for_each_concurrent(100, |number| {
        let request = &requests[number % requests.len()];
        async move {
            let mut socket = TcpStream::connect(server.address()).await.unwrap();
            socket.write_all(request.as_bytes()).await.unwrap();
            if number % 3 == 0 {
                let _ = socket.read(&mut [0; 1]).await.unwrap_or_default();
            }
        }
    });
    tokio::time::timeout(std::time::Duration::from_secs(300), hang_ups).await.expect("in time");
    format!("{clients} clients disconnected")
}

pub(crate) async fn random_requests(server: &Server) -> String {
    const REQUESTS: u64 = 10_000;
    const PARTS: [&str; 16] = [
        "api",
        "flows",
        "57130000-0000-4000-8000-000000000001",
        "history",
        "restore",
        "changes",
        "trash",
        "export",
        "%00",
        "..",
        "import",
        "state",
        "1",
        "check",
        "properties",
        "ä",
    ];
    const QUERIES: [&str; 8] =
        ["", "?limit=1", "?since=0", "?contains={", "?sort=-x", "?%ff=1", "?cursor=a", "?dry_run=true"];
    const BODIES: [&str; 6] =
        ["", "{}", r#"{"name":"a"}"#, "[", r#"{"id":"57130000-0000-4000-8000-000000000001","name":"x"}"#, "\u{0}\u{1}"];
    const METHODS: [Method; 7] =
        [Method::GET, Method::PUT, Method::POST, Method::PATCH, Method::DELETE, Method::HEAD, Method::OPTIONS];
    let pick = |chance: &mut Chance, count: usize| chance.below(count as u64) as usize;
    let mut chance = Chance::new(5);
    let requests: Vec<_> = (0..REQUESTS)
        .map(|_| {
            let depth = 1 + pick(&mut chance, 5);
            let path: String = (0..depth).map(|_| format!("/{}", PARTS[pick(&mut chance, PARTS.len())])).collect();
            let path = if chance.below(2) == 0 { format!("/api/flows{path}") } else { path };
            let path = path + QUERIES[pick(&mut chance, QUERIES.len())];
            let method = METHODS[pick(&mut chance, METHODS.len())].clone();
            (method, path, BODIES[pick(&mut chance, BODIES.len())])
        })
        .collect();
    let answers = stream::iter(requests).map(|(method, path, body)| async move {
        let request =
            server.client.request(method.clone(), server.url(&path)).header("content-type", "application/json");
        // Reads only the head, because an export contains all flows.
        let status =
            request.body(body).send().await.unwrap_or_else(|error| panic!("{method} {path}: {error}")).status();
        assert!(!status.is_server_error() || [501, 503].contains(&status.as_u16()), "{method} {path}: {status}");
        status.as_u16()
    });
    let mut counts = BTreeMap::<u16, u32>::new();
    for status in answers.buffer_unordered(20).collect::<Vec<_>>().await {
        *counts.entry(status).or_default() += 1;
    }
    counts.iter().map(|(status, count)| format!("{count} × {status}")).collect::<Vec<_>>().join(", ")
}
