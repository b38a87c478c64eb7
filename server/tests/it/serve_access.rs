//! The compiled program as a server: keys, rate limits, host names and access logs.

use std::process::Command;

use futures::future::join_all;
use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::serve::{Running, directory, outcome, post, sample, strom};
use strom_test_support::eventually::{HANGS, eventually};

#[tokio::test]
async fn a_key_allows_other_addresses_and_is_not_printed() {
    let (_directory, path) = directory();
    let arguments = ["--data-dir", &path, "--port", "0", "--host", "0.0.0.0"];
    let mut server = Running::start(&arguments, &[("STROM_API_KEY", "hunter2hunter2hunter2"), ("RUST_LOG", "trace")]);
    let url = server.url("/api/flows?auth_token=hunter2hunter2hunter2").replace("0.0.0.0", "127.0.0.1");
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 401);
    let with_key = Client::new().get(&url).bearer_auth("hunter2hunter2hunter2").send().await.unwrap();
    assert_eq!(with_key.status(), 400, "`auth_token` is not a parameter of this route");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let log = server.stderr();
    assert!(log.contains("/api/flows"), "{log}");
    assert!(!log.lines().filter(|line| line.contains("strom")).any(|line| line.contains("hunter2")), "{log}");
}

#[test]
fn without_a_key_only_loopback_addresses_are_allowed() {
    let (_directory, path) = directory();
    for host in ["0.0.0.0", "::", "[::]", "192.0.2.1"] {
        let output = strom(&["--data-dir", &path, "--port", "0", "--host", host], &[]).output().unwrap();
        let (code, stdout, stderr) = outcome(&output);
        assert_eq!((code, stdout.as_str()), (Some(2), ""));
        let begin = "error: without an API key, the server binds only loopback addresses, and ";
        assert!(
            stderr.starts_with(begin)
                && stderr.contains(
                    "\nset STROM_API_KEY or STROM_API_KEYS_FILE, or allow access without a key with --allow-anonymous"
                )
        );
    }
    assert!(!std::path::Path::new(&path).join("flows.json").exists(), "the storage was not opened");
    for arguments in [["--host", "localhost"], ["--host", "127.0.0.2"], ["--host=0.0.0.0", "--allow-anonymous"]] {
        Running::start(&[&["--data-dir", &path, "--port", "0"], &arguments[..]].concat(), &[]);
    }
}

/// The server re-reads the file. A key that was removed from it is rejected.
#[tokio::test]
async fn changes_of_the_key_file_apply_without_a_restart() {
    let (_directory, path) = directory();
    let file = format!("{path}/keys.toml");
    let studio = "[studio-a]\nsha256 = 'c2e5d9e1f8a0ed0c4a4e6b2f1f0e2d1a'\n";
    std::fs::write(&file, studio).unwrap();
    let arguments = ["--data-dir", &path, "--port", "0", "--api-keys-file", &file];
    let (code, stdout, stderr) = outcome(&strom(&arguments, &[]).output().unwrap());
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    let expected =
        format!("error: cannot read the API keys in `{file}`, line 1: `sha256` is not 64 hexadecimal digits\ngenerate");
    assert!(stderr.starts_with(&expected) && !stderr.contains("c2e5d9"), "{stderr}");

    // printf %s 'the secret of studio a' | sha256sum
    let studio = "[studio-a]\nsha256 = '665b561d34f202b0f5db3c7f54a30a7a712a93aff719d62a1080e139a400a1ef'\n";
    let wall = "[wall]\nsecret = 'the secret of the wall'\nread-only = true\n";
    std::fs::write(&file, [studio, wall].concat()).unwrap();
    let variables =
        [("STROM_API_KEYS_FILE", file.as_str()), ("STROM_API_KEY", "hunter2hunter2hunter2"), ("RUST_LOG", "info")];
    let mut server = Running::start(&["--data-dir", &path, "--port", "0", "--host", "0.0.0.0"], &variables);
    server.address = server.address.replace("0.0.0.0", "127.0.0.1");
    let send = async |request: reqwest::RequestBuilder, secret: &str| {
        let request = request.header(CONTENT_TYPE, "application/json").bearer_auth(secret);
        request.send().await.unwrap().status().as_u16()
    };
    let (flows, client) = (server.url("/api/flows"), Client::new());
    assert_eq!(send(client.post(&flows).body(sample()), "the secret of studio a").await, 201);
    assert_eq!(send(client.post(&flows).body(sample()), "the secret of the wall").await, 403);
    for (secret, status) in [("the secret of the wall", 200), ("hunter2hunter2hunter2", 200), ("hunter3", 401)] {
        assert_eq!(send(client.get(&flows), secret).await, status, "{secret}");
    }
    let read: Value = client
        .get(server.url("/api/changes?since=0"))
        .bearer_auth("hunter2hunter2hunter2")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(read["changes"][0]["author"], "studio-a");

    std::fs::write(&file, wall).unwrap();
    let is_rejected = async || send(client.get(&flows), "the secret of studio a").await == 401;
    eventually("the removed key is rejected", is_rejected).await;
    assert_eq!(send(client.get(&flows), "the secret of the wall").await, 200);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let log = server.stderr();
    assert!(log.contains("reloaded the API keys") && log.contains("chmod 600"), "{log}");
    for secret in ["hunter2", "the secret of"] {
        assert!(!log.contains(secret), "{log}");
    }
}

/// Concurrent requests exceed a limit of one per second. Without a limit, all of them succeed.
#[tokio::test]
async fn a_rate_limit_rejects_requests() {
    let (_directory, path) = directory();
    // The test does not read stderr, so the server must not fill its pipe.
    let quiet = [("RUST_LOG", "off")];
    for (arguments, is_limited) in [(&["--rate-limit", "1"][..], true), (&[], false)] {
        let server = Running::start(&[&["--data-dir", &path, "--port", "0"], arguments].concat(), &quiet);
        let client = Client::new();
        let answers = join_all((0..200).map(|_| client.get(server.url("/api/elements")).send())).await;
        let mut refused = 0;
        for answer in answers {
            let answer = answer.unwrap();
            if answer.status() == 429 {
                assert_eq!(answer.headers()["retry-after"], "1");
                refused += 1;
            }
        }
        assert_eq!(refused > 0, is_limited, "{refused}");
    }
}

#[tokio::test]
async fn a_server_with_1100_idle_connections_serves_requests() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let (_directory, path) = directory();
    let mut command = Command::new("sh");
    // 1024 is the default soft limit of systemd and of most shells.
    command.args(["-c", "ulimit -Sn 1024; exec \"$@\"", "sh"]);
    let server = strom(&["--data-dir", &path, "--port", "0"], &[("RUST_LOG", "off")]);
    command.arg(server.get_program()).args(server.get_args()).env_clear();
    command.envs(server.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let server = Running::begin(&mut command);
    let mut idle = Vec::new();
    for _ in 0..1100 {
        idle.push(TcpStream::connect(&server.address).await.unwrap());
    }
    // All 1100 connections are still open.
    let answer = timeout(HANGS, post(&server, sample())).await.expect("the request is served");
    assert_eq!(answer.status(), 201);
    for stream in idle.iter_mut().rev().take(10) {
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
}

#[tokio::test]
async fn the_access_log_contains_author_request_and_peer() {
    let (_directory, path) = directory();
    let variables = [("STROM_API_KEY", "hunter2hunter2hunter2"), ("RUST_LOG", "info")];
    let mut server = Running::start(&["--data-dir", &path, "--port", "0"], &variables);
    let send = Client::new().post(server.url("/api/flows")).header(CONTENT_TYPE, "application/json");
    let answer = send.bearer_auth("hunter2hunter2hunter2").body(sample()).send().await.unwrap();
    let id = answer.headers()["location"].to_str().unwrap().trim_start_matches("/api/flows/").to_owned();
    assert_eq!(reqwest::get(server.url("/api/flows?auth_token=hunter2hunter2hunter2")).await.unwrap().status(), 401);
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

/// Protects against DNS rebinding: a foreign page whose host name resolves to this machine.
#[tokio::test]
async fn a_local_server_accepts_only_local_host_names() {
    let (_directory, path) = directory();
    for (arguments, foreign) in
        [(&[][..], 421), (&["--api-key", "hunter2hunter2hunter2"], 401), (&["--allow-anonymous"], 200)]
    {
        let server = Running::start(&[&["--data-dir", &path, "--port", "0"], arguments].concat(), &[]);
        let request_with_host = |host: &str| Client::new().get(server.url("/api/flows")).header("host", host).send();
        assert_eq!(request_with_host("example.org").await.unwrap().status(), foreign, "{arguments:?}");
        let own = if foreign == 401 { 401 } else { 200 };
        assert_eq!(request_with_host("localhost:1").await.unwrap().status(), own, "{arguments:?}");
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
