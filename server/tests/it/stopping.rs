//! Signals stop the compiled program cleanly. A stop that leaves `flows.json` incomplete fails with a remedy.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use reqwest::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::cli::terminal::open_terminal;
use crate::cli::{Store, document, id};
use crate::serve::{Running, command, directory, outcome, post, sample, strom};
use strom_test_support::eventually::eventually;
use strom_test_support::postgres::{run, wait_for_count};

/// A terminal that closes sends several signals at once.
#[tokio::test]
async fn every_signal_completes_the_file() {
    let all: [&[Signal]; 6] = [
        &[Signal::HUP],
        &[Signal::TERM],
        &[Signal::INT],
        &[Signal::HUP, Signal::HUP],
        &[Signal::HUP, Signal::TERM],
        &[Signal::TERM, Signal::HUP],
    ];
    for signals in all {
        let (_directory, path) = directory();
        let (mut server, _terminal) = start_on_terminal(&path);
        assert_eq!(post(&server, sample()).await.status(), 201);
        for signal in signals {
            // The process may have exited already.
            let _ = kill_process(Pid::from_child(&server.child), *signal);
        }
        assert_eq!(server.wait().code(), Some(0), "{signals:?}: {}", server.stderr());
        let file = std::fs::read_to_string(format!("{path}/flows.json")).unwrap();
        assert!(file.contains("legacy just before gst_state"), "{signals:?}");
    }
}

/// Starts a server with a terminal of its own. Closing the returned file closes the terminal.
fn start_on_terminal(path: &str) -> (Running, File) {
    let (screen, terminal) = open_terminal();
    let mut setsid = command("setsid", &[("RUST_LOG", "off")]);
    setsid.args([
        "--ctty",
        "env",
        "--default-signal=HUP",
        env!("CARGO_BIN_EXE_strom"),
        "--data-dir",
        path,
        "--port",
        "0",
    ]);
    (Running::begin(setsid.stdin(terminal)), screen)
}

#[tokio::test]
async fn server_stops_cleanly_when_its_terminal_closes() {
    let (_directory, path) = directory();
    let (mut server, terminal) = start_on_terminal(&path);
    assert_eq!(post(&server, sample()).await.status(), 201);
    drop(terminal);
    assert_eq!(server.wait().code(), Some(0), "{}", server.stderr());
    let file = std::fs::read_to_string(format!("{path}/flows.json")).unwrap();
    assert!(file.contains("legacy just before gst_state"));
}

/// `nohup` ignores SIGHUP for the program that it starts.
#[tokio::test]
async fn server_started_with_nohup_survives_a_hangup() {
    let (_directory, path) = directory();
    let mut shell = command("sh", &[]);
    let script = r#"trap '' HUP; exec "$0" "$@""#;
    shell.args(["-c", script, env!("CARGO_BIN_EXE_strom"), "--data-dir", &path, "--port", "0"]);
    let mut server = Running::begin(&mut shell);
    server.signal(Signal::HUP);
    assert_eq!(post(&server, sample()).await.status(), 201);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

/// Each kind of obstacle, and how an operator removes it.
#[tokio::test]
async fn incomplete_file_fails_the_stop_and_the_next_start_completes_it() {
    type Step = fn(&str);
    let cases: [(&str, Step, Step); 3] = [
        (
            "invalid",
            |file| std::fs::write(file, "{\"version\": 1, \"flows\": [").unwrap(),
            |file| {
                std::fs::remove_file(file).unwrap();
            },
        ),
        (
            "a directory",
            |file| {
                std::fs::remove_file(file).unwrap();
                std::fs::create_dir(file).unwrap();
            },
            |file| std::fs::remove_dir(file).unwrap(),
        ),
        ("read-only", |file| set_writable(file, false), |file| set_writable(file, true)),
    ];
    for (name, obstruct, repair) in cases {
        let (_directory, path) = directory();
        let file = format!("{path}/flows.json");
        let arguments = ["--data-dir", path.as_str(), "--port", "0"];
        let mut server = Running::start(&arguments, &[]);
        assert_eq!(post(&server, sample()).await.status(), 201);
        eventually("the file is written", async || std::path::Path::new(&file).exists()).await;
        // The save is acknowledged, and the process is stopped before it completes the file.
        let mut saved = 0;
        loop {
            saved += 1;
            let body = document(saved, &format!("saved {saved}"));
            assert_eq!(post(&server, body).await.status(), 201);
            server.signal(Signal::STOP);
            if !std::fs::read_to_string(&file).unwrap().contains(&format!("\"saved {saved}\"")) {
                break;
            }
            server.signal(Signal::CONT);
        }
        obstruct(&file);
        server.signal(Signal::TERM);
        server.signal(Signal::CONT);
        let code = server.wait().code();
        let stderr = server.stderr();
        assert_eq!(code, Some(2), "{name}: {stderr}");
        let error = stderr.lines().skip_while(|line| !line.starts_with("error: ")).collect::<Vec<_>>().join("\n");
        assert!(error.starts_with(&format!("error: {file} lacks changes: ")), "{name}: {stderr}");
        assert!(error.contains(&format!("{file}.journal contains all acknowledged changes")), "{name}: {stderr}");
        assert!(error.contains("start Strom again"), "{name}: {stderr}");

        repair(&file);
        let mut server = Running::start(&arguments, &[]);
        let list: Value = reqwest::get(server.url("/api/flows")).await.unwrap().json().await.unwrap();
        assert_eq!(list["flows"].as_array().unwrap().len(), saved as usize + 1, "{name}");
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0), "{name}");
        assert!(std::fs::read_to_string(&file).unwrap().contains(&format!("\"saved {saved}\"")), "{name}");
    }
}

fn set_writable(file: &str, is_writable: bool) {
    use std::os::unix::fs::PermissionsExt;
    let mode = if is_writable { 0o600 } else { 0o400 };
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// `watch` opens the file for writing.
#[test]
fn commands_report_an_incomplete_file() {
    let store = Store::json();
    store.fill(&["a"]);
    let mut child = store.command(&["watch", "--since", "0"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("create"));
    store.file("store/flows.json", "{");
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    let (code, _, stderr) = outcome(&child.wait_with_output().unwrap());
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("flows.json lacks changes: ") && stderr.contains("start Strom again"), "{stderr}");
}

/// Another session holds a lock that every command waits for.
#[tokio::test(flavor = "multi_thread")]
async fn signals_stop_waiting_commands_postgres() {
    let store = Store::postgres().await;
    store.fill(&["a"]);
    let file = store.file("b.json", &document(2, "b"));
    let source = store.file("source.json", &format!("{{\"version\":1,\"flows\":[{}]}}", document(3, "c")));
    let url = store.flags()[1].to_owned();
    let (mut locker, mut observer) = (store.connect().await, store.connect().await);
    let (a, file, source) = (id(1), file.to_str().unwrap(), source.to_str().unwrap());
    let commands: [&[&str]; 6] = [
        &["put", file],
        &["import", file],
        &["delete", &a],
        &["restore", &a, "--revision", "1"],
        &["check", "--repair"],
        &["switch", "--from", source, "--to", &url],
    ];
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    run(&mut locker, "BEGIN; LOCK TABLE flows IN ACCESS EXCLUSIVE MODE").await;
    let children = commands.map(|arguments| match arguments[0] {
        "switch" => strom(arguments, &[]).stdin(Stdio::null()).spawn().unwrap(),
        _ => store.command(arguments).stdin(Stdio::null()).spawn().unwrap(),
    });
    wait_for_count(&mut observer, waiting, commands.len() as i64).await;
    let signals = [Signal::TERM, Signal::INT, Signal::HUP].into_iter().cycle();
    for (child, signal) in children.iter().zip(signals) {
        kill_process(Pid::from_child(child), signal).unwrap();
    }
    for (child, arguments) in children.into_iter().zip(commands) {
        let (code, _, stderr) = outcome(&child.wait_with_output().unwrap());
        assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with("error: stopped by a signal\n"), "{arguments:?}: {stderr}");
    }
    run(&mut locker, "ROLLBACK").await;
    wait_for_count(&mut observer, waiting, 0).await;
    // The source of the switch was closed.
    assert_eq!(outcome(&strom(&["list", "--count", "--flows-path", source], &[]).output().unwrap()).1, "1\n");
    let switch = ["switch", "--from", source, "--to", &url, "--on-conflict", "skip"];
    let (code, _, stderr) = outcome(&strom(&switch, &[]).output().unwrap());
    assert_eq!(code, Some(0), "{stderr}");
}

/// A second signal ends a command whose output is not read.
#[test]
fn signals_stop_a_command_that_is_blocked_by_its_output() {
    let store = Store::json();
    let flows: Vec<_> = (1..=2_000).map(|number| document(number, "a")).collect();
    let mut child = store.command(&["import", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(flows.join("\n").as_bytes()).unwrap();
    let mut stdout = child.stdout.take().unwrap();
    // Something was printed, so everything is stored.
    stdout.read_exact(&mut [0]).unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        kill_process(Pid::from_child(&child), signal).unwrap();
    }
    let (code, _, stderr) = outcome(&child.wait_with_output().unwrap());
    assert_eq!(code, Some(2));
    assert!(stderr.starts_with("error: stopped by a second signal; "), "{stderr}");
    assert_eq!(store.run(&["list", "--count"]).1, "2000\n");
    drop(stdout);
}

#[tokio::test]
async fn hangup_during_a_request_completes_it() {
    let (_directory, path) = directory();
    let (mut server, _terminal) = start_on_terminal(&path);
    let saves: Vec<_> = (1..=20)
        .map(|number| {
            let request = Client::new().post(server.url("/api/flows"));
            tokio::spawn(request.header("Content-Type", "application/json").body(document(number, "saved")).send())
        })
        .collect();
    server.signal(Signal::HUP);
    let mut acknowledged = 0;
    for save in saves {
        acknowledged += usize::from(save.await.unwrap().is_ok_and(|answer| answer.status() == 201));
    }
    assert_eq!(server.wait().code(), Some(0), "{}", server.stderr());
    let file = std::fs::read_to_string(format!("{path}/flows.json")).unwrap_or_default();
    assert!(file.matches("\"saved\"").count() >= acknowledged);
}
