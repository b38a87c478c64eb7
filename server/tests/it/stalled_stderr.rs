//! The compiled program with a stderr that is full, closed or stalled. Log lines may be lost, nothing else changes.

use std::fs::File;
use std::io::{PipeReader, pipe};
use std::process::{Command, Stdio};

use reqwest::{Client, StatusCode};
use rustix::process::Signal;

use crate::cli::{document, id};
use crate::serve::{Running, command, directory, outcome, post, strom};
use strom_test_support::postgres::Database;

/// A condition of stderr.
#[derive(Debug, Clone, Copy)]
enum Condition {
    Full,
    Closed,
    /// A pipe without a reader.
    Broken,
    /// A pipe whose reader does not read.
    Stalled,
}

const CONDITIONS: [Condition; 4] = [Condition::Full, Condition::Closed, Condition::Broken, Condition::Stalled];

impl Condition {
    /// Returns a command for `strom` with this stderr. The reader of a stalled pipe must live as long as the process.
    fn command(self, arguments: &[&str], filter: &str) -> (Command, Option<PipeReader>) {
        let variables = [("RUST_LOG", filter)];
        let mut program = match self {
            Self::Closed => {
                let mut shell = command("sh", &variables);
                shell.args(["-c", r#"exec "$0" "$@" 2>&-"#, env!("CARGO_BIN_EXE_strom")]).args(arguments);
                shell
            }
            _ => strom(arguments, &variables),
        };
        let (reader, writer) = pipe().unwrap();
        match self {
            Self::Full => program.stderr(File::options().write(true).open("/dev/full").unwrap()),
            Self::Closed => program.stderr(Stdio::inherit()),
            Self::Broken | Self::Stalled => program.stderr(writer),
        };
        (program, matches!(self, Self::Stalled).then_some(reader))
    }
}

/// The log of these requests is several times longer than the buffer of a pipe.
#[tokio::test]
async fn server_answers_every_request_and_stops_cleanly() {
    const REQUESTS: u32 = 400;
    for condition in CONDITIONS {
        let (_directory, path) = directory();
        let (mut program, _reader) = condition.command(&["--data-dir", &path, "--port", "0"], "debug");
        let mut server = Running::begin(&mut program);
        let client = Client::new();
        for number in 1..=REQUESTS {
            let created = post(&server, document(number, "saved")).await;
            assert_eq!(created.status(), StatusCode::CREATED, "{condition:?} {number}");
            let url = server.url(&format!("/api/flows/{}", id(number)));
            assert_eq!(client.get(&url).send().await.unwrap().status(), StatusCode::OK, "{condition:?} {number}");
        }
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0), "{condition:?}");
        let file = std::fs::read_to_string(format!("{path}/flows.json")).unwrap();
        assert_eq!(file.matches("\"saved\"").count() as u32, REQUESTS, "{condition:?}");
    }
}

/// stdout is closed as well: neither the address nor the log decides whether the server runs.
#[test]
fn server_runs_without_stdout_and_stderr() {
    let (_directory, path) = directory();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut shell = command("sh", &[]);
    shell.args(["-c", r#"exec "$0" "$@" >&- 2>&-"#, env!("CARGO_BIN_EXE_strom"), "--data-dir", &path, "--port", &port]);
    let mut child = shell.spawn().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(strom_test_support::eventually::eventually("the server responds", async || {
        reqwest::get(format!("http://127.0.0.1:{port}/health")).await.is_ok()
    }));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn migrate_applies_all_migrations_postgres() {
    for condition in CONDITIONS {
        let database = Database::empty().await;
        let url = database.url();
        let arguments = ["migrate", "--database-url", &url];
        let (mut program, _reader) = condition.command(&arguments, "trace");
        // As in `strom migrate 2>&1 | head -2`.
        if matches!(condition, Condition::Broken) {
            program.stdout(pipe().unwrap().1);
        }
        assert_eq!(program.status().unwrap().code(), Some(0), "{condition:?}");
        let status = strom(&[&arguments[..], &["status"]].concat(), &[("RUST_LOG", "off")]).output().unwrap();
        assert_eq!(outcome(&status).0, Some(0), "{condition:?}: all migrations are applied");
    }
}

/// The warnings of these flows are longer than the buffer of a pipe.
#[test]
fn commands_store_every_flow() {
    const FLOWS: u32 = 2_000;
    for condition in CONDITIONS {
        let (_directory, path) = directory();
        let import = format!("{path}/import.json");
        let flows = |number| {
            format!(r#"{{"id":"{}","name":"{}","links":[{{"from":"x","to":"y"}}]}}"#, id(number), "n".repeat(100))
        };
        std::fs::write(&import, (1..=FLOWS).map(flows).collect::<Vec<_>>().join("\n")).unwrap();
        let arguments = ["import", &import, "--data-dir", &path];
        let (mut program, _reader) = condition.command(&arguments, "trace");
        assert_eq!(program.output().unwrap().status.code(), Some(0), "{condition:?}");
        let count = strom(&["list", "--count", "--data-dir", &path], &[]).output().unwrap();
        assert_eq!(outcome(&count).1, format!("{FLOWS}\n"), "{condition:?}");
        // The exit code of a failure does not change either.
        let (mut program, _reader) = condition.command(&["put", "/nonexistent", "--data-dir", &path], "trace");
        assert_eq!(program.status().unwrap().code(), Some(2), "{condition:?}");
    }
}

/// Lines are in order, and the last one is not lost.
#[test]
fn slow_reader_receives_the_last_line() {
    use std::io::Read;
    let (_directory, path) = directory();
    let (mut reader, writer) = pipe().unwrap();
    let mut program = strom(&["--data-dir", &path, "--port", "0"], &[("RUST_LOG", "strom=info")]);
    let mut server = Running::begin(program.stderr(writer));
    drop(program);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let mut log = String::new();
    reader.read_to_string(&mut log).unwrap();
    assert!(log.trim_end().ends_with("shutting down: running requests have 10 seconds to finish"), "{log}");
}
