//! The compiled program as a service: notifications, reloads, passed sockets and the directory of a service manager.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use reqwest::Client;
use rustix::process::Signal;

use crate::serve::{Running, command, directory, outcome, post, sample, strom};
use strom_test_support::eventually::{HANGS, eventually};

/// A service manager that receives notifications.
struct Manager {
    socket: UnixDatagram,
    path: String,
}

impl Manager {
    fn new(directory: &str) -> Self {
        let path = format!("{directory}/notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(HANGS)).unwrap();
        Self { socket, path }
    }

    /// Returns the next notification.
    fn next(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).expect("a notification");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }
}

#[tokio::test]
async fn the_service_manager_receives_each_state_and_sighup_reloads() {
    let (_directory, path) = directory();
    let manager = Manager::new(&path);
    let keys = format!("{path}/keys.toml");
    std::fs::write(&keys, "[studio]\nsecret = 'the secret of the studio'\n").unwrap();
    let variables = [("NOTIFY_SOCKET", manager.path.as_str()), ("RUST_LOG", "info")];
    let arguments = ["--data-dir", &path, "--port", "0", "--api-keys-file", &keys];
    let mut server = Running::start(&arguments, &variables);
    assert_eq!(manager.next(), format!("STATUS=opening {path}/flows.json\n"));
    let ready = format!("READY=1\nSTATUS=flows in {path}/flows.json, listening on http://{}\n", server.address);
    assert_eq!(manager.next(), ready);

    let status_of = async |secret: &str| {
        Client::new().get(server.url("/api/flows")).bearer_auth(secret).send().await.unwrap().status().as_u16()
    };
    let reload = || {
        server.signal(Signal::HUP);
        let reloading = manager.next();
        assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
        assert_eq!(manager.next(), ready);
    };
    std::fs::write(&keys, "[wall]\nsecret = 'the secret of the wall'\n").unwrap();
    reload();
    eventually("the new key is valid", async || status_of("the secret of the wall").await == 200).await;
    assert_eq!(status_of("the secret of the studio").await, 401);
    std::fs::write(&keys, "[wall").unwrap();
    reload();
    assert_eq!(status_of("the secret of the wall").await, 200);

    server.signal(Signal::TERM);
    assert_eq!(manager.next(), "STOPPING=1\n");
    assert_eq!(server.wait().code(), Some(0));
    let log = server.stderr();
    assert!(log.contains("SIGHUP: the API keys file is valid; changes apply within a second"), "{log}");
    assert!(log.contains("ERROR") && log.contains("the previous API keys remain valid"), "{log}");
}

/// Supervisors without notifications start a server without a terminal.
#[tokio::test]
async fn sighup_does_not_stop_a_server_without_a_terminal() {
    let (_directory, path) = directory();
    let mut setsid = command("setsid", &[("RUST_LOG", "info")]);
    setsid.args(["env", "--default-signal=HUP", env!("CARGO_BIN_EXE_strom"), "--data-dir", &path, "--port", "0"]);
    let mut server = Running::begin(&mut setsid);
    server.signal(Signal::HUP);
    assert_eq!(post(&server, sample()).await.status(), 201);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(server.stderr().contains("SIGHUP: no file to reload"));
}

/// Returns a command for a server that receives this socket as descriptor 3, as systemd passes it.
fn with_socket(path: &str, socket: TcpListener, variables: &[(&str, &str)]) -> Command {
    let mut shell = command("sh", variables);
    let script = r#"LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@" 3<&0 < /dev/null"#;
    shell.args(["-c", script, env!("CARGO_BIN_EXE_strom"), "--data-dir", path]);
    shell.stdin(OwnedFd::from(socket));
    shell
}

/// Connections wait in the socket while the server restarts.
#[tokio::test]
async fn a_passed_socket_is_served_across_restarts() {
    let (_directory, path) = directory();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let start = || Running::begin(&mut with_socket(&path, socket.try_clone().unwrap(), &[]));
    let mut server = start();
    assert_eq!(server.address, address);
    assert_eq!(post(&server, sample()).await.status(), 201);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let waiting = tokio::spawn(reqwest::get(format!("http://{address}/api/flows")));
    let _server = start();
    let flows = waiting.await.unwrap().unwrap().text().await.unwrap();
    assert!(flows.contains("legacy just before gst_state"), "{flows}");
}

#[test]
fn a_passed_socket_needs_the_same_access_rules() {
    let (_directory, path) = directory();
    let socket = || TcpListener::bind("0.0.0.0:0").unwrap();
    let (code, _, stderr) = outcome(&with_socket(&path, socket(), &[]).output().unwrap());
    assert_eq!(code, Some(2));
    assert!(stderr.starts_with("error: without an API key, the server binds only loopback addresses"), "{stderr}");
    Running::begin(&mut with_socket(&path, socket(), &[("STROM_API_KEY", "a-key-of-this-test")]));

    let mut shell = command("sh", &[]);
    let script = r#"LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@" 3< /dev/null"#;
    shell.args(["-c", script, env!("CARGO_BIN_EXE_strom"), "--data-dir", &path]);
    let (code, _, stderr) = outcome(&shell.output().unwrap());
    let expected = "error: cannot use the socket of the service manager: fd 3 is not a socket\npass one TCP socket";
    assert!(code == Some(2) && stderr.starts_with(expected), "{stderr}");
}

#[test]
fn the_state_directory_of_systemd_is_the_default_data_directory() {
    let data_dir = |arguments: &[&str], directories: &str| {
        let mut command = strom(&[&["config"], arguments].concat(), &[("STATE_DIRECTORY", directories)]);
        let (code, stdout, stderr) = outcome(&command.output().unwrap());
        assert_eq!(code, Some(0), "{stderr}");
        let line = stdout.lines().find(|line| line.starts_with("data-dir")).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(data_dir(&[], "/var/lib/strom"), "/var/lib/strom");
    assert_eq!(data_dir(&[], "/var/lib/strom:/var/lib/other"), "/var/lib/strom");
    assert_eq!(data_dir(&["--data-dir", "/srv/strom"], "/var/lib/strom"), "/srv/strom");
    assert!(data_dir(&[], "").ends_with("/strom"), "the platform's directory");
}
