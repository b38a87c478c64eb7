//! The compiled program as a server: start, restart, signals and settings.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};

use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use strom_test_support::eventually::{HANGS, eventually};
use strom_test_support::postgres::Database;

/// Returns a command for `strom` with these arguments and exactly these `STROM_*` variables.
pub(crate) fn strom(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let program = env!("CARGO_BIN_EXE_strom");
    let mut command = match is_hangup_ignored() {
        true => {
            let mut env = command("env", variables);
            env.args(["--default-signal=HUP", program]);
            env
        }
        false => command(program, variables),
    };
    command.args(arguments);
    command
}

/// Whether this process was started with `nohup`. Its child processes would ignore SIGHUP as well.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & 1 != 0)
}

/// Returns a command for a program with exactly these `STROM_*` variables.
pub(crate) fn command(program: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("STROM_") {
            command.env_remove(name);
        }
    }
    // The configuration files and the editor of the developer must not apply either.
    command.env("XDG_CONFIG_HOME", "/nonexistent").env_remove("VISUAL").env("EDITOR", "true");
    for name in ["RUST_LOG", "NOTIFY_SOCKET", "LISTEN_FDS", "STATE_DIRECTORY"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A running server. Dropping it kills the process.
pub(crate) struct Running {
    pub(crate) child: Child,
    line: String,
    pub(crate) address: String,
}

impl Running {
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::begin(&mut strom(arguments, variables))
    }

    /// Starts a server with this command. Waits until it prints its address.
    pub(crate) fn begin(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().rsplit_once("http://").map(|(_, address)| address.to_owned());
        let mut running = Self { child, line, address: address.unwrap_or_default() };
        assert!(!running.address.is_empty(), "the server did not start: {}", running.stderr());
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

    /// Waits until the program exits. Kills a program that hangs.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let (ended, ends) = mpsc::channel::<()>();
        let process = Pid::from_child(&self.child);
        let watching = std::thread::spawn(move || {
            let hangs = ends.recv_timeout(HANGS) == Err(RecvTimeoutError::Timeout);
            if hangs {
                let _ = kill_process(process, Signal::KILL);
            }
            hangs
        });
        let status = self.child.wait().unwrap();
        drop(ended);
        assert!(!watching.join().unwrap(), "the program does not exit");
        status
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

/// Returns exit code, stdout and stderr.
pub(crate) fn outcome(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

pub(crate) fn sample() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/flows/legacy-2026-03-13-state-and-affinity.json");
    std::fs::read_to_string(path).unwrap()
}

pub(crate) async fn post(server: &Running, body: String) -> reqwest::Response {
    let request = Client::new().post(server.url("/api/flows")).header(CONTENT_TYPE, "application/json");
    request.body(body).send().await.unwrap()
}

/// Starts the server twice. The first server stores a flow, and the second one returns it.
async fn assert_flow_survives_restarts(storage: &[&str], shown: &str) {
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
async fn a_stored_flow_survives_restarts() {
    let (_directory, path) = directory();
    assert_flow_survives_restarts(&["--data-dir", &path], &format!("{path}/flows.json")).await;
}

#[tokio::test]
async fn a_stored_flow_survives_restarts_on_postgres() {
    let database = Database::empty().await;
    let url = Url::parse(&database.url()).unwrap();
    let (host, port) = (url.host_str().unwrap(), url.port().unwrap());
    let shown = format!("postgresql://{}@{host}:{port}/{}", url.username(), database.name());
    assert_flow_survives_restarts(&["--database-url", url.as_str()], &shown).await;
}

/// The read-only instance needs the tables, which the writing instance creates.
#[tokio::test]
async fn a_read_only_server_on_postgres_serves_reads_and_rejects_writes() {
    let database = Database::empty().await;
    let url = database.url();
    let reading = [("STROM_READ_ONLY", "yes"), ("STROM_DATABASE_URL", url.as_str())];
    let (code, stdout, stderr) = outcome(&strom(&["--port", "0"], &reading).output().unwrap());
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.contains("the database has no schema yet") && stderr.contains("without `--read-only`"), "{stderr}");

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
        assert!(problem["details"].as_str().unwrap().ends_with("an instance that runs without --read-only"));
    };
    refused(post(&reader, r#"{"name": "new"}"#.to_owned()).await).await;
    let flow = reader.url(&format!("/api/flows/{flow}"));
    refused(Client::new().put(&flow).header(CONTENT_TYPE, "application/json").body(sample()).send().await.unwrap())
        .await;
    refused(Client::new().delete(&flow).send().await.unwrap()).await;
}

/// Only one process can open a JSON file. A start with `--read-only` neither changes nor creates files.
#[test]
fn read_only_with_a_json_file_is_rejected() {
    let (_directory, path) = directory();
    for is_locked in [false, true] {
        let writer = is_locked.then(|| Running::start(&["--data-dir", &path, "--port", "0"], &[]));
        let before: Vec<_> = std::fs::read_dir(&path).unwrap().map(|file| file.unwrap().file_name()).collect();
        let (code, stdout, stderr) =
            outcome(&strom(&["--read-only", "--data-dir", &path, "--port", "0"], &[]).output().unwrap());
        assert_eq!((code, stdout.as_str()), (Some(2), ""));
        let expected = format!("error: cannot open {path}/flows.json: a JSON file cannot be opened read-only");
        assert!(stderr.starts_with(&expected) && stderr.contains("store the flows in PostgreSQL"), "{stderr}");
        let after: Vec<_> = std::fs::read_dir(&path).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(before, after);
        drop(writer);
    }
}

#[tokio::test]
async fn a_server_starts_after_a_kill() {
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
async fn sigterm_completes_running_requests_and_accepts_no_new_ones() {
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
    // The server sends "100 Continue" when the handler starts to read.
    let mut first = [0; 12];
    slow.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 100");

    server.signal(Signal::TERM);
    eventually("the server accepts no connections", async || TcpStream::connect(&server.address).await.is_err()).await;
    slow.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("HTTP/1.1 201 Created"), "{answer}");
    assert_eq!(server.wait().code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_stops_the_server_immediately() {
    let (_directory, path) = directory();
    let mut server = Running::start(&["--data-dir", &path, "--port", "0"], &[("RUST_LOG", "off")]);
    let mut slow = TcpStream::connect(&server.address).await.unwrap();
    slow.write_all(b"POST /api/flows HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    assert_eq!(reqwest::get(server.url("/health")).await.unwrap().status(), 200);
    server.signal(Signal::TERM);
    eventually("the server accepts no connections", async || TcpStream::connect(&server.address).await.is_err()).await;
    server.signal(Signal::INT);
    assert_eq!(server.wait().code(), Some(2));
    let stderr = server.stderr();
    assert!(stderr.starts_with("error: stopped by a second signal; running requests were aborted\n"), "{stderr}");
    assert!(stderr.ends_with("a JSON file may lack some of them until Strom is started again\n"), "{stderr}");
}

#[tokio::test]
async fn blank_variables_are_ignored_and_alternative_names_apply() {
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
    assert!(stderr.contains(&first.child.id().to_string()), "the error contains the process id of the first: {stderr}");
}

#[test]
fn invalid_settings_are_reported_without_secrets() {
    let (_directory, path) = directory();
    let running = Running::start(&["--data-dir", &path, "--port", "0"], &[]);
    let port = running.address.rsplit_once(':').unwrap().1;
    for (arguments, expected) in [
        (["--port", "x"], "error: --port is not a port\n".to_owned()),
        (["--port", port], format!("error: cannot listen on `127.0.0.1`, port {port}: ")),
        (["--host", "host.invalid"], "error: cannot resolve the host `host.invalid`: ".to_owned()),
        (["--database-url", "hunter2"], "error: --database-url is not a URL\n".to_owned()),
        (["--api-key", "hunter2"], "error: --api-key is not a valid API key: a secret has at least 16 ".to_owned()),
        (["--nonsense", "1"], "error: unexpected argument '--nonsense' found".to_owned()),
    ] {
        let (code, stdout, stderr) = outcome(&strom(&arguments, &[("STROM_DATA_DIR", &path)]).output().unwrap());
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(stderr.starts_with(&expected) && !stderr.contains("hunter2"), "{stderr}");
    }
    let (code, help, _) = outcome(&strom(&["--help"], &[("STROM_API_KEY", "hunter2hunter2hunter2")]).output().unwrap());
    assert!(code == Some(0) && help.contains("STROM_API_KEY") && !help.contains("hunter2"), "{help}");
}
