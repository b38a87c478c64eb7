//! PostgreSQL servers of a test's own: to be stopped, killed, followed by a standby, promoted, restored into.
//!
//! Their programs are installed ones or else those of the pinned package, whatever the other tests run on; found by
//! `tests/throwaway-postgres --programs`, which also stops and removes them when this process dies.
//! `STROM_TEST_POSTGRES=installed` or `wheel` forbids the other.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use strom::clock;
use strom::postgres::{DatabaseUrl, PostgresRepository};

/// The programs, as long as any test uses them.
static PROGRAMS: Mutex<Weak<Programs>> = Mutex::new(Weak::new());

/// PostgreSQL's programs, and who runs them where.
#[derive(Debug)]
pub(crate) struct Programs {
    bin: PathBuf,
    directory: PathBuf,
    user: u32,
    group: u32,
    /// Cleans up when its standard input ends.
    keeper: Child,
}

impl Programs {
    pub(crate) fn shared() -> Arc<Self> {
        let mut shared = PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(programs) = shared.upgrade() {
            return programs;
        }
        let programs = Arc::new(Self::find());
        *shared = Arc::downgrade(&programs);
        programs
    }

    fn find() -> Self {
        let wanted = std::env::var("STROM_TEST_POSTGRES").unwrap_or_default();
        let source = match wanted.as_str() {
            "installed" | "wheel" => vec!["--source", &wanted],
            "" | "docker" | "url" => Vec::new(),
            other => panic!("a server of the test's own is needed, and STROM_TEST_POSTGRES={other} forbids all"),
        };
        let found =
            r#"echo "$POSTGRES_BIN"; echo "$POSTGRES_DIR"; echo "$POSTGRES_UID"; echo "$POSTGRES_GID"; exec cat"#;
        let mut keeper = Command::new("bash")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/throwaway-postgres"))
            .args(source)
            .args(["--programs", "sh", "-c", found])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bash can be run");
        let lines = BufReader::new(keeper.stdout.take().expect("it is piped")).lines();
        let lines: Vec<String> = lines.map_while(Result::ok).take(4).collect();
        let [bin, directory, user, group] = lines.as_slice() else {
            let output = keeper.wait_with_output().expect("it has ended");
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

    /// One of the programs, as the user of the server, without settings of whoever runs the tests.
    pub(crate) fn program(&self, name: &str) -> Command {
        self.command(self.bin.join(name))
    }

    /// Any program, as the same user.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.uid(self.user).gid(self.group).current_dir(&self.directory);
        command.env_clear().env("LC_ALL", "C").env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::null());
        command
    }

    /// A place that is nobody else's and goes away by itself.
    pub(crate) fn place(&self) -> PathBuf {
        self.directory.join(clock::new_id().as_uuid().simple().to_string())
    }

    /// Writes a file that the user of the server alone can read.
    pub(crate) fn write(&self, path: &Path, content: &str) {
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

/// What a program has printed; it must succeed. Not on a thread of the runtime, where a load may be waiting.
pub(crate) async fn done(mut command: Command) -> String {
    let shown = format!("{command:?}");
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// A port that was free a moment ago, and that no client is given as its own.
pub(crate) fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let chosen = std::iter::repeat_with(|| 20_000 + (clock::new_id().as_uuid().as_u128() % 12_000) as u16);
    chosen.take(1_000).find(free).expect("a free port")
}

/// A server, stopped and removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    programs: Arc<Programs>,
    data: PathBuf,
    port: u16,
}

impl Cluster {
    /// An empty one, with these lines in its `postgresql.conf`.
    pub(crate) async fn start(settings: &[&str]) -> Self {
        let cluster = Self::prepare().await;
        cluster.set(settings);
        cluster.begin().await;
        cluster
    }

    /// As [`start`](Self::start), without starting it.
    pub(crate) async fn prepare() -> Self {
        let programs = tokio::task::spawn_blocking(Programs::shared).await.unwrap();
        let (data, port) = (programs.place(), free_port());
        let mut initdb = programs.program("initdb");
        initdb.arg("-D").arg(&data).args(["-U", "postgres", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        initdb.args(["--auth-local=reject", "--auth-host=trust"]);
        done(initdb).await;
        let cluster = Self { programs, data, port };
        cluster.listen();
        cluster
    }

    /// A streaming standby of this one, running.
    pub(crate) async fn standby(&self) -> Self {
        let standby = Self { programs: Arc::clone(&self.programs), data: self.programs.place(), port: free_port() };
        standby.follow(self).await;
        standby
    }

    /// Makes this one, stopped or new, a standby of another and starts it.
    pub(crate) async fn follow(&self, primary: &Self) {
        let _ = fs::remove_dir_all(&self.data);
        let mut copying = self.programs.program("pg_basebackup");
        copying.args(["-d", &primary.url(), "--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-D"]);
        copying.arg(&self.data);
        done(copying).await;
        self.listen();
        self.begin().await;
    }

    fn listen(&self) {
        let port = format!("port = {}", self.port);
        self.set(&[&port, "listen_addresses = '127.0.0.1'", "unix_socket_directories = ''", "max_connections = 100"]);
    }

    /// Adds lines to the settings, which count from the next start on.
    pub(crate) fn set(&self, settings: &[&str]) {
        let mut file = fs::OpenOptions::new().append(true).open(self.data.join("postgresql.conf")).unwrap();
        for setting in settings {
            writeln!(file, "{setting}").unwrap();
        }
    }

    /// Writes a file beside the settings and gives its path.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.data.join(name);
        self.programs.write(&path, content);
        path
    }

    pub(crate) async fn begin(&self) {
        self.control(&["start", "-w"]).await;
    }

    /// `pg_ctl restart -m immediate`: as if it had crashed.
    pub(crate) async fn crash_and_restart(&self) {
        self.control(&["restart", "-w", "-m", "immediate"]).await;
    }

    /// Waits until all sessions are ended and everything has reached the standby.
    pub(crate) async fn stop(&self) {
        self.control(&["stop", "-w", "-m", "fast"]).await;
    }

    pub(crate) async fn promote(&self) {
        self.control(&["promote", "-w"]).await;
    }

    async fn control(&self, arguments: &[&str]) {
        let mut control = self.program("pg_ctl");
        control.args(arguments).arg("-D").arg(&self.data).arg("-l").arg(self.data.join("log"));
        done(control).await;
    }

    pub(crate) fn program(&self, name: &str) -> Command {
        self.programs.program(name)
    }

    pub(crate) fn programs(&self) -> &Arc<Programs> {
        &self.programs
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Host and port, as they stand in a URL.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Of its database `postgres`.
    pub(crate) fn url(&self) -> String {
        format!("postgresql://postgres@{}/postgres", self.address())
    }

    pub(crate) async fn connect(&self) -> PgConnection {
        self.url().parse::<PgConnectOptions>().unwrap().connect().await.unwrap()
    }

    pub(crate) async fn repository(&self) -> Arc<PostgresRepository> {
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
