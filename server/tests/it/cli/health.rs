//! `strom health`.

use std::net::TcpListener;
use std::process::Command;

use crate::serve::{Running, directory, outcome, strom};

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command: Command = strom(&[&["health"], arguments].concat(), variables);
    outcome(&command.output().unwrap())
}

#[test]
fn a_running_server_is_healthy_and_ready() {
    let (_directory, path) = directory();
    let variables = [("STROM_API_KEY", "a-key-of-this-test"), ("STROM_HOST", "0.0.0.0"), ("STROM_PORT", "0")];
    let server = Running::start(&["--data-dir", &path], &variables);
    let port = server.address.rsplit_once(':').unwrap().1;
    // With the settings of the server, as in a container.
    let variables = [("STROM_API_KEY", "a-key-of-this-test"), ("STROM_HOST", "0.0.0.0"), ("STROM_PORT", port)];
    let answer = |state: &str| (Some(0), format!("http://127.0.0.1:{port} is {state}\n"), String::new());
    assert_eq!(run(&[], &variables), answer("healthy"));
    assert_eq!(run(&["--ready"], &variables), answer("ready"));
    for url in [format!("http://127.0.0.1:{port}"), format!("http://user:secret@127.0.0.1:{port}/")] {
        assert_eq!(run(&["--server", &url], &[]), answer("healthy"));
    }
    let wrong_path = format!("http://127.0.0.1:{port} is not healthy: /health returned 401\n");
    let url = format!("http://127.0.0.1:{port}/strom/");
    assert_eq!(run(&["--server", &url], &[]), (Some(1), wrong_path, String::new()));
}

#[test]
fn a_server_that_does_not_respond_is_not_healthy() {
    let silent = TcpListener::bind("[::1]:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let expected = format!("http://[::1]:{port} is not ready: /ready did not respond within 5 seconds\n");
    assert_eq!(run(&["--ready", "--host", "::", "--port", &port], &[]), (Some(1), expected, String::new()));
}

#[test]
fn an_unreachable_server_is_a_failure() {
    let (code, stdout, stderr) = run(&["--port", "1"], &[]);
    let expected = "error: cannot reach a server at http://127.0.0.1:1: Connection refused (os error 111)\nstart the \
                    server, or set its address with --server\n";
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(2), "", expected));
    for url in ["https://127.0.0.1:1", "127.0.0.1:8080", "postgresql://localhost/db"] {
        let (code, stdout, stderr) = run(&["--server", url], &[]);
        assert_eq!((code, stdout.as_str()), (Some(2), ""));
        assert!(stderr.contains("use a URL such as http://127.0.0.1:8080, without TLS"), "{stderr}");
    }
}

/// The server starts while its database is unreachable.
#[test]
fn a_server_without_its_database_is_healthy_and_not_ready() {
    let (_directory, path) = directory();
    let database = "postgresql://me@127.0.0.1:1/flows";
    let server = Running::start(&["--data-dir", &path, "--database-url", database, "--port", "0"], &[]);
    let url = server.url("");
    assert_eq!(run(&["--server", &url], &[]), (Some(0), format!("{url} is healthy\n"), String::new()));
    let expected = format!("{url} is not ready: /ready returned 503\n");
    assert_eq!(run(&["--server", &url, "--ready"], &[]), (Some(1), expected, String::new()));
}
