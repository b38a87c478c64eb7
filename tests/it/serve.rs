//! The real program: start, restart, signals, settings.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
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
    command.env_remove("RUST_LOG").envs(variables.iter().copied());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A running server; it ends with the value.
pub(crate) struct Running {
    pub(crate) child: Child,
    line: String,
    address: String,
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

fn directory() -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap().to_owned();
    (directory, path)
}

/// Its exit code, and what it wrote to stdout and stderr.
pub(crate) fn outcome(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn sample() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/flows/legacy-2026-03-13-state-and-affinity.json");
    std::fs::read_to_string(path).unwrap()
}

async fn post(server: &Running, body: String) -> reqwest::Response {
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

#[tokio::test]
async fn a_key_opens_other_addresses_and_is_not_shown() {
    let (_directory, path) = directory();
    let arguments = ["--data-dir", &path, "--port", "0", "--host", "0.0.0.0"];
    let mut server = Running::start(&arguments, &[("STROM_API_KEY", "hunter2"), ("RUST_LOG", "trace")]);
    let url = server.url("/api/flows?auth_token=hunter2").replace("0.0.0.0", "127.0.0.1");
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 401);
    let with_key = Client::new().get(&url).bearer_auth("hunter2").send().await.unwrap();
    assert_eq!(with_key.status(), 400, "a parameter that this route does not have");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let log = server.stderr();
    assert!(log.contains("/api/flows"), "{log}");
    assert!(!log.lines().filter(|line| line.contains("strom")).any(|line| line.contains("hunter2")), "{log}");
}

#[test]
fn without_a_key_only_loopback_is_served() {
    let (_directory, path) = directory();
    for host in ["0.0.0.0", "::", "[::]", "192.0.2.1"] {
        let output = strom(&["--data-dir", &path, "--port", "0", "--host", host], &[]).output().unwrap();
        let (code, stdout, stderr) = outcome(&output);
        assert_eq!((code, stdout.as_str()), (Some(2), ""));
        let begin = "error: without a key only loopback addresses are served, and ";
        assert!(
            stderr.starts_with(begin)
                && stderr.contains("\nset STROM_API_KEY or STROM_API_KEYS_FILE, or give --allow-anonymous")
        );
    }
    assert!(!std::path::Path::new(&path).join("flows.json").exists(), "nothing was opened");
    for arguments in [["--host", "localhost"], ["--host", "127.0.0.2"], ["--host=0.0.0.0", "--allow-anonymous"]] {
        Running::start(&[&["--data-dir", &path, "--port", "0"], &arguments[..]].concat(), &[]);
    }
}

/// The keys of a show: one of them is withdrawn, and nothing is restarted.
#[tokio::test]
async fn keys_come_from_a_file_that_may_change() {
    let (_directory, path) = directory();
    let file = format!("{path}/keys.toml");
    let studio = "[studio-a]\nsha256 = 'c2e5d9e1f8a0ed0c4a4e6b2f1f0e2d1a'\n";
    std::fs::write(&file, studio).unwrap();
    let arguments = ["--data-dir", &path, "--port", "0", "--api-keys-file", &file];
    let (code, stdout, stderr) = outcome(&strom(&arguments, &[]).output().unwrap());
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    let expected =
        format!("error: cannot take the keys in `{file}`, line 1: `sha256` is not 64 hexadecimal digits\nmake");
    assert!(stderr.starts_with(&expected) && !stderr.contains("c2e5d9"), "{stderr}");

    // printf %s 'the secret of studio a' | sha256sum
    let studio = "[studio-a]\nsha256 = '665b561d34f202b0f5db3c7f54a30a7a712a93aff719d62a1080e139a400a1ef'\n";
    let wall = "[wall]\nsecret = 'the secret of the wall'\nread-only = true\n";
    std::fs::write(&file, [studio, wall].concat()).unwrap();
    let variables = [("STROM_API_KEYS_FILE", file.as_str()), ("STROM_API_KEY", "hunter2"), ("RUST_LOG", "info")];
    let mut server = Running::start(&["--data-dir", &path, "--port", "0", "--host", "0.0.0.0"], &variables);
    server.address = server.address.replace("0.0.0.0", "127.0.0.1");
    let send = async |request: reqwest::RequestBuilder, secret: &str| {
        let request = request.header(CONTENT_TYPE, "application/json").bearer_auth(secret);
        request.send().await.unwrap().status().as_u16()
    };
    let (flows, client) = (server.url("/api/flows"), Client::new());
    assert_eq!(send(client.post(&flows).body(sample()), "the secret of studio a").await, 201);
    assert_eq!(send(client.post(&flows).body(sample()), "the secret of the wall").await, 403);
    for (secret, status) in [("the secret of the wall", 200), ("hunter2", 200), ("hunter3", 401)] {
        assert_eq!(send(client.get(&flows), secret).await, status, "{secret}");
    }
    let read: Value = client
        .get(server.url("/api/changes?since=0"))
        .bearer_auth("hunter2")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(read["changes"][0]["author"], "studio-a");

    std::fs::write(&file, wall).unwrap();
    let begin = Instant::now();
    while send(client.get(&flows), "the secret of studio a").await != 401 {
        assert!(begin.elapsed() < Duration::from_secs(20), "the key is still good");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(send(client.get(&flows), "the secret of the wall").await, 200);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let log = server.stderr();
    assert!(log.contains("the keys were read again") && log.contains("chmod 600"), "{log}");
    for secret in ["hunter2", "the secret of"] {
        assert!(!log.contains(secret), "{log}");
    }
}

/// One at a time it is as fast as it can be; the limit is one that was asked for.
#[tokio::test]
async fn a_rate_is_limited_when_that_is_asked_for() {
    let (_directory, path) = directory();
    // Nobody reads what it says.
    let quiet = [("RUST_LOG", "off")];
    for (arguments, is_limited) in [(&["--rate-limit", "5"][..], true), (&[], false)] {
        let server = Running::start(&[&["--data-dir", &path, "--port", "0"], arguments].concat(), &quiet);
        let (client, mut refused) = (Client::new(), 0);
        for _ in 0..1200 {
            let answer = client.get(server.url("/api/elements")).send().await.unwrap();
            if answer.status() == 429 {
                assert_eq!(answer.headers()["retry-after"], "1");
                refused += 1;
            }
        }
        assert_eq!(refused > 0, is_limited, "{refused}");
    }
}

#[tokio::test]
async fn a_thousand_idle_connections_are_no_burden() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let (_directory, path) = directory();
    let mut command = Command::new("sh");
    // As many as systemd and most shells allow at first.
    command.args(["-c", "ulimit -Sn 1024; exec \"$@\"", "sh"]);
    let server = strom(&["--data-dir", &path, "--port", "0"], &[("RUST_LOG", "off")]);
    command.arg(server.get_program()).args(server.get_args()).env_clear();
    command.envs(server.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let server = Running::begin(&mut command);
    let mut idle = Vec::new();
    for _ in 0..1100 {
        idle.push(TcpStream::connect(&server.address).await.unwrap());
    }
    let begin = Instant::now();
    assert_eq!(post(&server, sample()).await.status(), 201);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    for stream in idle.iter_mut().rev().take(10) {
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
}

#[tokio::test]
async fn the_log_tells_who_did_what_from_where() {
    let (_directory, path) = directory();
    let variables = [("STROM_API_KEY", "hunter2"), ("RUST_LOG", "info")];
    let mut server = Running::start(&["--data-dir", &path, "--port", "0"], &variables);
    let send = Client::new().post(server.url("/api/flows")).header(CONTENT_TYPE, "application/json");
    let answer = send.bearer_auth("hunter2").body(sample()).send().await.unwrap();
    let id = answer.headers()["location"].to_str().unwrap().trim_start_matches("/api/flows/").to_owned();
    assert_eq!(reqwest::get(server.url("/api/flows?auth_token=hunter2")).await.unwrap().status(), 401);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let log = server.stderr();
    let line = |status: &str| log.lines().find(|line| line.contains(status)).unwrap_or_else(|| panic!("{log}"));
    let created = line("status=201");
    for part in
        ["method=POST", "path=\"/api/flows\"", "peer=127.0.0.1:", "author=\"api\"", &format!("created=\"{id}\"")]
    {
        assert!(created.contains(part), "{part}: {created}");
    }
    let refused = line("status=401");
    assert!(refused.contains("peer=127.0.0.1:") && !refused.contains("author"), "{refused}");
    assert!(!log.contains("hunter2") && !log.contains("legacy"), "{log}");
}

/// What a page sees whose name was pointed at this machine after it was loaded.
#[tokio::test]
async fn a_server_of_this_machine_is_called_by_its_own_names_unless_strangers_are_served() {
    let (_directory, path) = directory();
    for (arguments, foreign) in [(&[][..], 421), (&["--api-key", "hunter2"], 401), (&["--allow-anonymous"], 200)] {
        let server = Running::start(&[&["--data-dir", &path, "--port", "0"], arguments].concat(), &[]);
        let by = |host: &str| Client::new().get(server.url("/api/flows")).header("host", host).send();
        assert_eq!(by("example.org").await.unwrap().status(), foreign, "{arguments:?}");
        let own = if foreign == 401 { 401 } else { 200 };
        assert_eq!(by("localhost:1").await.unwrap().status(), own, "{arguments:?}");
        if foreign != 421 {
            drop(server);
            let arguments = [arguments, &["--allowed-hosts", "strom.example.org"]].concat();
            let server = Running::start(&[&["--data-dir", &path, "--port", "0"], &arguments[..]].concat(), &[]);
            for (host, status) in [("strom.example.org:8443", own), ("localhost", own), ("example.org", 421)] {
                let answer = Client::new().get(server.url("/api/flows")).header("host", host).send().await.unwrap();
                assert_eq!(answer.status(), status, "{arguments:?} {host}");
            }
        }
    }
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
