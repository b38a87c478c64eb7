//! The real program: start, restart, signals, settings.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use crate::support::postgres::Database;

/// `strom` without the variables of whoever runs the tests.
pub(crate) fn strom(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_strom"), variables);
    command.args(arguments);
    command
}

/// A program with no other variables of Strom than these.
pub(crate) fn command(program: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("STROM_") {
            command.env_remove(name);
        }
    }
    // Nor with the configuration of whoever runs the tests, or with his editor.
    command.env("XDG_CONFIG_HOME", "/nonexistent").env_remove("VISUAL").env("EDITOR", "true");
    command.env_remove("RUST_LOG").envs(variables.iter().copied());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A running server; it ends with the value.
pub(crate) struct Running {
    pub(crate) child: Child,
    line: String,
    pub(crate) address: String,
}

impl Running {
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::begin(&mut strom(arguments, variables))
    }

    pub(crate) fn begin(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().rsplit_once("http://").map(|(_, address)| address.to_owned());
        let mut running = Self { child, line, address: address.unwrap_or_default() };
        assert!(!running.address.is_empty(), "it did not start: {}", running.stderr());
        running
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address.parse().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end, but not for ever.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn stderr(&mut self) -> String {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn directory() -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap().to_owned();
    (directory, path)
}

/// Its exit code, and what it wrote to stdout and stderr.
pub(crate) fn outcome(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

pub(crate) fn sample() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/flows/legacy-2026-03-13-state-and-affinity.json");
    std::fs::read_to_string(path).unwrap()
}

pub(crate) async fn post(server: &Running, body: String) -> reqwest::Response {
    let request = Client::new().post(server.url("/api/flows")).header(CONTENT_TYPE, "application/json");
    request.body(body).send().await.unwrap()
}

/// Starts the server, stores a flow, ends the server, starts it again, reads the flow.
async fn outlives(storage: &[&str], shown: &str) {
    let sample: Value = serde_json::from_str(&sample()).unwrap();
    let arguments = [storage, &["serve", "--port", "0"]].concat();
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Running::start(&arguments, &[]);
        let version = env!("CARGO_PKG_VERSION");
        let line = format!("strom {version}: flows in {shown}, listening on http://{}\n", server.address);
        assert_eq!(server.line, line);
        assert!(server.address.starts_with("127.0.0.1:"));
        if signal == Signal::TERM {
            assert_eq!(post(&server, sample.to_string()).await.status(), 201);
        }
        let list: Value = reqwest::get(server.url("/api/flows")).await.unwrap().json().await.unwrap();
        assert_eq!(list, json!({ "flows": [sample] }));
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0), "{signal:?}");
    }
}

#[tokio::test]
async fn a_flow_outlives_the_server() {
    let (_directory, path) = directory();
    outlives(&["--data-dir", &path], &format!("{path}/flows.json")).await;
}

#[tokio::test]
async fn a_flow_outlives_the_server_on_postgres() {
    let database = Database::empty().await;
    let url = Url::parse(&database.url()).unwrap();
    let (host, port) = (url.host_str().unwrap(), url.port().unwrap());
    let shown = format!("postgresql://{}@{host}:{port}/{}", url.username(), database.name());
    outlives(&["--database-url", url.as_str()], &shown).await;
}

/// Beside the one that writes, which it needs once, for the tables.
#[tokio::test]
async fn a_read_only_server_on_postgres_serves_reads_and_says_where_writes_go() {
    let database = Database::empty().await;
    let url = database.url();
    let reading = [("STROM_READ_ONLY", "yes"), ("STROM_DATABASE_URL", url.as_str())];
    let (code, stdout, stderr) = outcome(&strom(&["--port", "0"], &reading).output().unwrap());
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.contains("no Strom has migrated it yet") && stderr.contains("without `--read-only`"), "{stderr}");

    let writer = Running::start(&["--database-url", &url, "--port", "0"], &[]);
    assert_eq!(post(&writer, sample()).await.status(), 201);
    let reader = Running::start(&["--port", "0"], &reading);
    assert!(reader.line.contains(&format!("/{}, read-only, listening on ", database.name())), "{}", reader.line);
    let get = async |server: &Running, path| {
        let answer = reqwest::get(server.url(path)).await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    assert_eq!(get(&reader, "/api/flows").await, get(&writer, "/api/flows").await);
    for (server, read_only) in [(&reader, true), (&writer, false)] {
        let (status, ready) = get(server, "/ready").await;
        assert_eq!((status, &ready["read_only"], &ready["degraded"]), (200, &json!(read_only), &json!(false)));
    }
    let flow = get(&reader, "/api/flows").await.1["flows"][0]["id"].as_str().unwrap().to_owned();
    let refused = |answer: reqwest::Response| async move {
        assert_eq!(answer.status(), 403);
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["type"], "urn:strom:problem:read-only-instance");
        assert!(problem["details"].as_str().unwrap().ends_with("an instance of Strom that runs without --read-only"));
    };
    refused(post(&reader, r#"{"name": "new"}"#.to_owned()).await).await;
    let flow = reader.url(&format!("/api/flows/{flow}"));
    refused(Client::new().put(&flow).header(CONTENT_TYPE, "application/json").body(sample()).send().await.unwrap())
        .await;
    refused(Client::new().delete(&flow).send().await.unwrap()).await;
}

/// A file has one Strom, which also writes; it is neither disturbed nor made.
#[test]
fn a_file_is_not_opened_read_only() {
    let (_directory, path) = directory();
    for taken in [false, true] {
        let writer = taken.then(|| Running::start(&["--data-dir", &path, "--port", "0"], &[]));
        let before: Vec<_> = std::fs::read_dir(&path).unwrap().map(|file| file.unwrap().file_name()).collect();
        let (code, stdout, stderr) =
            outcome(&strom(&["--read-only", "--data-dir", &path, "--port", "0"], &[]).output().unwrap());
        assert_eq!((code, stdout.as_str()), (Some(2), ""));
        let expected = format!("error: cannot open {path}/flows.json: a JSON file cannot be opened read-only");
        assert!(stderr.starts_with(&expected) && stderr.contains("keep the flows in PostgreSQL"), "{stderr}");
        let after: Vec<_> = std::fs::read_dir(&path).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(before, after);
        drop(writer);
    }
}

#[tokio::test]
async fn a_server_that_was_killed_is_no_obstacle() {
    let (_directory, path) = directory();
    let mut server = Running::start(&["--data-dir", &path, "--port", "0"], &[]);
    assert_eq!(post(&server, sample()).await.status(), 201);
    server.signal(Signal::KILL);
    server.wait();
    let server = Running::start(&["--data-dir", &path, "--port", "0"], &[]);
    let list: Value = reqwest::get(server.url("/api/flows?view=summary")).await.unwrap().json().await.unwrap();
    assert_eq!(list["flows"][0]["name"], "legacy just before gst_state");
}

#[tokio::test]
async fn running_requests_finish_and_new_ones_do_not_begin() {
    let (_directory, path) = directory();
    let mut server = Running::start(&["--data-dir", &path, "--port", "0"], &[]);
    let body = sample();
    let head = format!(
        "POST /api/flows HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    let mut slow = TcpStream::connect(&server.address).await.unwrap();
    slow.write_all(head.as_bytes()).await.unwrap();
    // "100 Continue": the handler has begun to read.
    let mut first = [0; 12];
    slow.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 100");

    server.signal(Signal::TERM);
    while TcpStream::connect(&server.address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    slow.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("HTTP/1.1 201 Created"), "{answer}");
    assert_eq!(server.wait().code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (_directory, path) = directory();
    let mut server = Running::start(&["--data-dir", &path, "--port", "0"], &[("RUST_LOG", "off")]);
    let mut slow = TcpStream::connect(&server.address).await.unwrap();
    slow.write_all(b"POST /api/flows HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    assert_eq!(reqwest::get(server.url("/health")).await.unwrap().status(), 200);
    server.signal(Signal::TERM);
    while TcpStream::connect(&server.address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.signal(Signal::INT);
    assert_eq!(server.wait().code(), Some(2));
    assert_eq!(server.stderr(), "error: stopped by a second signal before running requests were finished\n");
}

#[tokio::test]
async fn blank_variables_are_not_set_and_the_second_name_counts() {
    let (_directory, path) = directory();
    let variables = [
        ("STROM_DATABASE_URL", ""),
        ("STROM_FLOWS_PATH", " "),
        ("STROM_DATA_DIR", ""),
        ("STROM_STORAGE_DATA_DIR", path.as_str()),
        ("STROM_HOST", ""),
        ("STROM_PORT", ""),
        ("STROM_SERVER_PORT", "0"),
        ("STROM_API_KEY", ""),
        ("STROM_ALLOW_ANONYMOUS", ""),
    ];
    let server = Running::start(&[], &variables);
    assert!(server.line.contains(&format!("flows in {path}/flows.json, listening on http://127.0.0.1:")));
    assert_eq!(reqwest::get(server.url("/api/flows")).await.unwrap().status(), 200);
}

#[test]
fn a_second_server_on_the_same_file_is_refused() {
    let (_directory, path) = directory();
    let arguments = ["--data-dir", path.as_str(), "--port", "0"];
    let first = Running::start(&arguments, &[]);
    let (code, stdout, stderr) = outcome(&strom(&arguments, &[]).output().unwrap());
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.starts_with(&format!("error: cannot open {path}/flows.json: ")), "{stderr}");
    assert!(stderr.contains(&first.child.id().to_string()), "it says who has it: {stderr}");
}

#[test]
fn mistakes_are_named_and_secrets_are_not_repeated() {
    let (_directory, path) = directory();
    let taken = Running::start(&["--data-dir", &path, "--port", "0"], &[]);
    let port = taken.address.rsplit_once(':').unwrap().1;
    for (arguments, expected) in [
        (["--port", "x"], "error: --port is not a port\n".to_owned()),
        (["--port", port], format!("error: cannot listen on `127.0.0.1`, port {port}: ")),
        (["--host", "host.invalid"], "error: the host `host.invalid` has no address: ".to_owned()),
        (["--database-url", "hunter2"], "error: --database-url is not a URL\n".to_owned()),
        (["--nonsense", "1"], "error: unexpected argument '--nonsense' found".to_owned()),
    ] {
        let (code, stdout, stderr) = outcome(&strom(&arguments, &[("STROM_DATA_DIR", &path)]).output().unwrap());
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(stderr.starts_with(&expected) && !stderr.contains("hunter2"), "{stderr}");
    }
    let (code, help, _) = outcome(&strom(&["--help"], &[("STROM_API_KEY", "hunter2")]).output().unwrap());
    assert!(code == Some(0) && help.contains("STROM_API_KEY") && !help.contains("hunter2"), "{help}");
}
