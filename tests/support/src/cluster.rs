//! PostgreSQL servers that belong to one test. The test can stop, kill, promote and restore them, and add a standby.
//!
//! The servers use the installed programs, otherwise those of the pinned package, independently of the server of the
//! other tests. `tests/throwaway-postgres --programs` finds them, and stops and removes the servers when this process
//! ends. `STROM_TEST_POSTGRES=installed` or `wheel` selects one of the two.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::clock;
use crate::postgres::wait_for_count;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use strom_store::postgres::{DatabaseUrl, PostgresRepository};

/// The programs, while any test uses them.
static PROGRAMS: Mutex<Weak<Programs>> = Mutex::new(Weak::new());

/// PostgreSQL's programs, with the directory and the user that runs them.
#[derive(Debug)]
pub struct Programs {
    bin: PathBuf,
    directory: PathBuf,
    user: u32,
    group: u32,
    /// The script that cleans up when its standard input ends.
    keeper: Child,
}

impl Programs {
    pub fn shared() -> Arc<Self> {
        let mut shared = PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(programs) = shared.upgrade() {
            return programs;
        }
        let programs = Arc::new(Self::find());
        *shared = Arc::downgrade(&programs);
        programs
    }

    fn find() -> Self {
        let selected = std::env::var("STROM_TEST_POSTGRES").unwrap_or_default();
        let source = match selected.as_str() {
            "installed" | "wheel" => vec!["--source", &selected],
            "" | "docker" | "url" => Vec::new(),
            other => panic!("the test needs its own server, and STROM_TEST_POSTGRES={other} excludes every source"),
        };
        let print_paths =
            r#"echo "$POSTGRES_BIN"; echo "$POSTGRES_DIR"; echo "$POSTGRES_UID"; echo "$POSTGRES_GID"; exec cat"#;
        let mut keeper = Command::new("bash")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../throwaway-postgres"))
            .args(source)
            .args(["--programs", "sh", "-c", print_paths])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bash can be run");
        let lines = BufReader::new(keeper.stdout.take().expect("stdout is piped")).lines();
        let lines: Vec<String> = lines.map_while(Result::ok).take(4).collect();
        let [bin, directory, user, group] = lines.as_slice() else {
            let output = keeper.wait_with_output().expect("the script has exited");
            panic!("no PostgreSQL programs for the tests:\n{}", String::from_utf8_lossy(&output.stderr));
        };
        Self {
            bin: bin.into(),
            directory: directory.into(),
            user: user.parse().unwrap(),
            group: group.parse().unwrap(),
            keeper,
        }
    }

    /// Returns the directory of the programs.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// Returns a command for one of the programs, run as the user of the server, without the environment of the tests.
    pub fn program(&self, name: &str) -> Command {
        self.command(self.bin.join(name))
    }

    /// Returns a command for any program, run as the same user.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.uid(self.user).gid(self.group).current_dir(&self.directory);
        command.env_clear().env("LC_ALL", "C").env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::null());
        command
    }

    /// Returns a new path, which the script removes.
    pub fn new_path(&self) -> PathBuf {
        self.directory.join(clock::new_id().as_uuid().simple().to_string())
    }

    /// Writes a file that only the user of the server can read.
    pub fn write(&self, path: &Path, content: &str) {
        fs::write(path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        chown(path, Some(self.user), Some(self.group)).unwrap();
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Runs a program, which must succeed, and returns its output. Uses a blocking thread, because the threads of the
/// runtime may run a load.
pub async fn done(mut command: Command) -> String {
    let shown = format!("{command:?}");
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Returns a free port outside the range that the system assigns to clients.
pub fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let chosen = std::iter::repeat_with(|| 20_000 + (clock::new_id().as_uuid().as_u128() % 12_000) as u16);
    chosen.take(1_000).find(free).expect("a free port")
}

/// A server. Dropping it stops and removes the server.
#[derive(Debug)]
pub struct Cluster {
    programs: Arc<Programs>,
    data: PathBuf,
    port: AtomicU16,
}

impl Cluster {
    /// Starts an empty server with these lines in its `postgresql.conf`.
    pub async fn start(settings: &[&str]) -> Self {
        let cluster = Self::prepare().await;
        cluster.set(settings);
        cluster.begin().await;
        cluster
    }

    /// Creates an empty server without starting it.
    pub async fn prepare() -> Self {
        let programs = tokio::task::spawn_blocking(Programs::shared).await.unwrap();
        let (data, port) = (programs.new_path(), AtomicU16::new(free_port()));
        let mut initdb = programs.program("initdb");
        initdb.arg("-D").arg(&data).args(["-U", "postgres", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        initdb.args(["--auth-local=reject", "--auth-host=trust"]);
        done(initdb).await;
        let cluster = Self { programs, data, port };
        cluster.listen();
        cluster
    }

    /// Starts a streaming standby of this server.
    pub async fn standby(&self) -> Self {
        let port = AtomicU16::new(free_port());
        let standby = Self { programs: Arc::clone(&self.programs), data: self.programs.new_path(), port };
        standby.follow(self).await;
        standby
    }

    /// Turns this server, which is new or stopped, into a standby of another one and starts it. Waits until the standby
    /// streams: a primary that stops earlier does not send its last changes.
    pub async fn follow(&self, primary: &Self) {
        let _ = fs::remove_dir_all(&self.data);
        let mut copying = self.programs.program("pg_basebackup");
        let name = format!("standby_{}", self.port());
        let source = format!("{}?application_name={name}", primary.url());
        copying.args(["-d", &source, "--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-D"]);
        copying.arg(&self.data);
        done(copying).await;
        self.listen();
        self.begin().await;
        let streaming = format!(
            "SELECT COUNT(*) FROM pg_stat_replication WHERE application_name = '{name}' AND state = 'streaming'"
        );
        wait_for_count(&mut primary.connect().await, &streaming, 1).await;
    }

    fn listen(&self) {
        let port = format!("port = {}", self.port());
        self.set(&[&port, "listen_addresses = '127.0.0.1'", "unix_socket_directories = ''", "max_connections = 100"]);
    }

    /// Adds lines to the settings. They take effect at the next start.
    pub fn set(&self, settings: &[&str]) {
        let mut file = fs::OpenOptions::new().append(true).open(self.data.join("postgresql.conf")).unwrap();
        for setting in settings {
            writeln!(file, "{setting}").unwrap();
        }
    }

    /// Writes a file next to the settings and returns its path.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.data.join(name);
        self.programs.write(&path, content);
        path
    }

    /// Starts the server. If another process has taken the port since it was chosen, chooses another one.
    pub async fn begin(&self) {
        for _ in 0..5 {
            let mut start = self.program("pg_ctl");
            start.args(["start", "-w", "-D"]).arg(&self.data).arg("-l").arg(self.data.join("log"));
            let output = tokio::task::spawn_blocking(move || start.output()).await.unwrap().unwrap();
            if output.status.success() {
                return;
            }
            let log = fs::read_to_string(self.data.join("log")).unwrap_or_default();
            assert!(log.contains("could not bind"), "the server does not start: {log}");
            self.port.store(free_port(), Ordering::Relaxed);
            self.listen();
        }
        panic!("every chosen port was taken");
    }

    /// Restarts the server with `pg_ctl restart -m immediate`, which is like a crash.
    pub async fn crash_and_restart(&self) {
        self.control(&["restart", "-w", "-m", "immediate"]).await;
    }

    /// Stops the server. Waits until all sessions have ended and the standby has received all changes.
    pub async fn stop(&self) {
        self.control(&["stop", "-w", "-m", "fast"]).await;
    }

    pub async fn promote(&self) {
        self.control(&["promote", "-w"]).await;
    }

    async fn control(&self, arguments: &[&str]) {
        let mut control = self.program("pg_ctl");
        control.args(arguments).arg("-D").arg(&self.data).arg("-l").arg(self.data.join("log"));
        done(control).await;
    }

    pub fn program(&self, name: &str) -> Command {
        self.programs.program(name)
    }

    pub fn programs(&self) -> &Arc<Programs> {
        &self.programs
    }

    pub fn port(&self) -> u16 {
        self.port.load(Ordering::Relaxed)
    }

    /// Returns host and port as in a URL.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// Returns the URL of the database `postgres`.
    pub fn url(&self) -> String {
        format!("postgresql://postgres@{}/postgres", self.address())
    }

    pub async fn connect(&self) -> PgConnection {
        self.url().parse::<PgConnectOptions>().unwrap().connect().await.unwrap()
    }

    pub async fn repository(&self) -> Arc<PostgresRepository> {
        Arc::new(PostgresRepository::open(&DatabaseUrl::parse(&self.url()).unwrap()).await.unwrap())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stopping = self.program("pg_ctl");
        let _ = stopping.args(["stop", "-w", "-m", "immediate", "-D"]).arg(&self.data).output();
        let _ = fs::remove_dir_all(&self.data);
    }
}
