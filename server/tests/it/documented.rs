//! Commands and configurations of the documents for operators, run as they are written there.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use futures::StreamExt;
use reqwest::{Client, RequestBuilder};
use rustix::process::Signal;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::serve::{Running, command, directory, outcome, post, sample};
use strom_test_support::eventually::eventually;

/// Runs the commands of a document that start with one of these texts.
fn run_documented(document: &str, texts: &[&str], directory: &str, variables: &[(&str, &str)]) {
    let lines = document.lines().filter_map(|line| line.strip_prefix("    "));
    let script: Vec<_> = lines.filter(|line| texts.iter().any(|text| line.starts_with(text))).collect();
    assert!(script.len() >= texts.len(), "{script:?}");
    let programs = Path::new(env!("CARGO_BIN_EXE_strom")).parent().unwrap().display().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let mut shell = command("sh", variables);
    shell.args(["-ec", &script.join("\n")]).env("PATH", path).current_dir(directory);
    let (code, stdout, stderr) = outcome(&shell.output().unwrap());
    assert_eq!(code, Some(0), "{script:?}: {stdout}{stderr}");
}

#[tokio::test]
async fn upgrade_commands_back_up_and_restore() {
    let document = include_str!("../../../docs/upgrade.md");
    let (_directory, path) = directory();
    let [old, new] = ["old", "new"].map(|name| format!("{path}/{name}"));
    let mut server = Running::start(&["--data-dir", &old, "--port", "0"], &[]);
    assert_eq!(post(&server, sample()).await.status(), 201);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    run_documented(document, &["strom backup", "strom check"], &path, &[("STROM_DATA_DIR", &old)]);
    let server = Running::start(&["--data-dir", &old, "--port", "0"], &[]);
    let port = server.address().port().to_string();
    run_documented(document, &["strom health"], &path, &[("STROM_PORT", &port)]);
    run_documented(document, &["strom restore"], &path, &[("STROM_DATA_DIR", &new)]);
    let restored = std::fs::read_to_string(format!("{new}/flows.json")).unwrap();
    assert!(restored.contains("legacy just before gst_state"), "{restored}");
}

/// nginx with the configuration of docs/proxy.md, but without TLS.
struct Nginx(Child);

impl Nginx {
    fn start(directory: &str, port: u16, server: &str) -> Self {
        let document = include_str!("../../../docs/proxy.md");
        let site = document.split("```nginx\n").nth(1).unwrap().split("```").next().unwrap();
        let site: Vec<_> = site.lines().filter(|line| !line.contains("ssl_certificate")).collect();
        let site = site.join("\n").replace("127.0.0.1:8080", server);
        let site = site.replace("listen 443 ssl http2", &format!("listen 127.0.0.1:{port}"));
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|name| format!("{name}_temp_path {directory}/{name};")).concat();
        let configuration = format!(
            "daemon off; master_process off; pid {directory}/pid; events {{}}\nhttp {{ access_log off; {temporary}\n{site} }}\n"
        );
        let file = format!("{directory}/nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let mut nginx = Command::new("nginx");
        nginx.args(["-p", directory, "-e", "stderr", "-c", &file]).stdout(Stdio::null()).stderr(Stdio::null());
        Self(nginx.spawn().unwrap())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn documented_nginx_passes_imports_etags_streams_and_sockets_on() {
    let is_installed = Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_ok();
    if !is_installed && std::env::var_os("CI").is_none() {
        println!("nginx is not installed: nothing was tested");
        return;
    }
    let (_directory, path) = directory();
    let trusted = ("STROM_TRUSTED_PROXIES", "127.0.0.1");
    let variables = [("STROM_API_KEY", "a-key-of-this-test"), ("RUST_LOG", "info"), trusted];
    let mut server = Running::start(&["--data-dir", &path, "--port", "0"], &variables);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _nginx = Nginx::start(&path, port, &server.address);
    eventually("nginx listens", async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;

    let (origin, client) = (format!("http://127.0.0.1:{port}"), Client::new());
    // A browser sends the origin with every change.
    let send = async |request: RequestBuilder| {
        let request =
            request.bearer_auth("a-key-of-this-test").header("Origin", &origin).header("Accept-Encoding", "gzip");
        request.send().await.unwrap()
    };
    let large = json!({ "name": "large", "properties": { "description": "x".repeat(5_000_000) } });
    let flows = format!("{origin}/api/flows");
    let created = send(client.post(&flows).header("X-Forwarded-For", "192.0.2.7").json(&large)).await;
    assert_eq!(created.status(), 201);
    let flow = format!("{origin}{}", created.headers()["Location"].to_str().unwrap());
    let read = send(client.get(&flow)).await;
    assert_eq!(read.headers()["Content-Encoding"], "gzip");
    let tag = &read.headers()["ETag"];
    assert_eq!(tag, "W/\"1\"");
    let deleted = send(client.delete(&flow).header("If-Match", tag)).await;
    assert!(deleted.status().is_success(), "{deleted:?}");

    let events = client.get(format!("{origin}/api/changes?since=0")).header("Accept", "text/event-stream");
    let mut events = send(events).await.bytes_stream();
    let mut seen = String::new();
    while !seen.contains("\"op\":\"create\"") {
        seen.push_str(std::str::from_utf8(&events.next().await.unwrap().unwrap()).unwrap());
    }
    let mut socket =
        format!("ws://127.0.0.1:{port}/api/ws?auth_token=a-key-of-this-test").into_client_request().unwrap();
    socket.headers_mut().insert("Origin", origin.parse().unwrap());
    assert_eq!(connect_async(socket).await.unwrap().1.status(), 101);
    drop(events);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let log = server.stderr();
    assert!(log.contains("http{method=POST path=\"/api/flows\"") && log.contains("192.0.2.7"), "{log}");
}
