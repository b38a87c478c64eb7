//! A PostgreSQL server for tests. It comes from the first available of these providers:
//!
//! 1. `STROM_TEST_DATABASE_URL`, a server whose user may create databases;
//! 2. Docker, through testcontainers, with the image `STROM_TEST_POSTGRES_IMAGE` or `postgres:18`;
//! 3. installed server programs, otherwise a pinned package that pip downloads once. Both run through
//!    `tests/throwaway-postgres`, like `just prepare`.
//!
//! `STROM_TEST_POSTGRES` names one provider (`url`, `docker`, `installed`, `wheel`) and excludes the others. A test
//! that needs a database fails without one; it is never skipped.
//!
//! The server starts once per process. Each test has its own database, which is cloned from a migrated template and
//! dropped with the test. cargo-nextest starts a process per test: `just test` starts the server for all of them.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::clock;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use strom_store::FlowRepository;
use strom_store::flow::FlowId;
use strom_store::postgres::{DatabaseUrl, PostgresRepository, Settings};
use strom_store::repository::Retention;
use testcontainers::core::{IntoContainerPort, Mount, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{GenericImage, ImageExt, TestcontainersError};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::Opened;
use super::eventually::eventually;

/// The server of all tests of this process.
static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());

/// The database of one test, dropped with this value.
#[derive(Debug)]
pub struct Database {
    server: Arc<Server>,
    name: String,
}

impl Database {
    /// Creates a database without tables.
    pub async fn empty() -> Self {
        let server = Server::shared().await;
        let name = server.create_database("template0").await;
        Self { server, name }
    }

    /// Creates a database with the current schema.
    pub async fn migrated() -> Self {
        let server = Server::shared().await;
        let template = server.template.get_or_init(|| server.make_template()).await;
        let name = server.create_database(template).await;
        Self { server, name }
    }

    /// Copies this database with `pg_dump` if the programs of the server are on this machine, otherwise as a template.
    pub async fn copied(&self) -> Self {
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

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn url(&self) -> String {
        self.server.url_of(&self.name)
    }

    pub async fn connect(&self) -> PgConnection {
        connect(&self.url()).await
    }

    pub async fn repository(&self) -> Arc<dyn FlowRepository> {
        Arc::new(self.open_with(Settings::default()).await)
    }

    pub async fn open_with(&self, settings: Settings) -> PostgresRepository {
        let url = DatabaseUrl::parse(&self.url()).unwrap();
        PostgresRepository::open_with(&url, settings).await.unwrap()
    }
}

/// Opens an empty repository.
pub async fn open() -> Opened<Database> {
    let database = Database::migrated().await;
    Opened { repository: database.repository().await, _resources: database }
}

/// Opens an empty repository with this retention.
pub async fn open_keeping(retention: Retention) -> (Arc<PostgresRepository>, Database) {
    let database = Database::migrated().await;
    let settings = Settings::default().with_retention(retention);
    (Arc::new(database.open_with(settings).await), database)
}

/// Runs statements that return no rows.
pub async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

/// Inserts a flow, and sets its times in the table and in the history, as they were stored by SQL before a trigger checked
/// them.
pub async fn insert_with_times(connection: &mut PgConnection, flow: FlowId, name: &str, created: &str, updated: &str) {
    run(
        connection,
        &format!(
            "INSERT INTO flows (id, name, data) VALUES ('{flow}', '{name}', '{{}}');
             SET CONSTRAINTS ALL IMMEDIATE;
             SET session_replication_role = replica;
             UPDATE flows SET created_at = '{created}', updated_at = '{updated}' WHERE id = '{flow}';
             UPDATE flow_changes SET created_at = '{created}', at = '{updated}' WHERE flow_id = '{flow}';
             SET session_replication_role = origin"
        ),
    )
    .await;
}

/// Returns the number in the only row.
pub async fn count(connection: &mut PgConnection, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(connection).await.unwrap()
}

/// Waits until [`count`] returns this number.
pub async fn wait_for_count(connection: &mut PgConnection, sql: &str, expected: i64) {
    eventually(&format!("{sql} = {expected}"), async || count(connection, sql).await == expected).await;
}

impl Drop for Database {
    fn drop(&mut self) {
        self.server.drop_database(self.name.clone());
    }
}

#[derive(Debug)]
struct Server {
    url: String,
    template: OnceCell<String>,
    origin: Origin,
}

/// The owner of the server. The end of a pipe that only this process can write to stops a server that the tests
/// started.
#[derive(Debug)]
enum Origin {
    /// Nothing: the server belongs to the caller.
    Given,
    /// `tests/throwaway-postgres` runs until its standard input ends.
    Script { _script: Child },
    /// A shell removes the container when its standard input ends.
    Docker { _remover: Child },
}

impl Server {
    async fn shared() -> Arc<Self> {
        // libtest names the thread of a test after the test. `just test-offline` skips tests by these parts of their
        // names.
        if let Some(test) = std::thread::current().name().filter(|name| name.contains("::")) {
            let is_named = test.contains("postgres") || test.contains("migrations");
            assert!(is_named, "a test that needs PostgreSQL has `postgres` or `migrations` in its name");
        }
        let mut shared = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let server = std::thread::scope(|scope| scope.spawn(Self::start).join()).expect("a PostgreSQL for tests");
        let server = Arc::new(server);
        *shared = Arc::downgrade(&server);
        if !matches!(server.origin, Origin::Given) || std::env::var_os("NEXTEST_RUN_ID").is_some() {
            // It runs until this process ends. A server of the caller outlives the process, so the last test cleans it
            // up.
            std::mem::forget(Arc::clone(&server));
        }
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

    /// Creates a migrated database. The processes of one run of cargo-nextest share it.
    async fn make_template(&self) -> String {
        let run_id = std::env::var("NEXTEST_RUN_ID").unwrap_or_else(|_| clock::new_id().to_string());
        let template = format!("strom_template_{}", run_id.replace('-', ""));
        let mut connection = connect(&self.url).await;
        run(&mut connection, "SELECT pg_advisory_lock(hashtext('strom test template'))").await;
        let exists = format!("SELECT COUNT(*) FROM pg_database WHERE datname = '{template}'");
        if count(&mut connection, &exists).await == 0 {
            let name = self.create_database("template0").await;
            let url = DatabaseUrl::parse(&self.url_of(&name)).unwrap();
            PostgresRepository::open(&url).await.unwrap().close().await.unwrap();
            run(&mut connection, &format!("ALTER DATABASE {name} RENAME TO {template}")).await;
        }
        connection.close().await.unwrap();
        template
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
        let parameters = if parameters.is_empty() { String::new() } else { format!("&{parameters}") };
        // A machine under load may need several seconds to open a session.
        format!("{server}/{database}?connect_timeout=60{parameters}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(template) = self.template.get() {
            self.drop_database(template.clone());
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
    // The docker command removes the container at the end.
    Command::new("docker").arg("--version").output().map_err(|error| format!("cannot run docker: {error}"))?;
    let (id, address) = on_a_runtime(start_container()).map_err(|error| error.to_string())?;
    let remove = r#"cat > /dev/null; exec docker rm --force --volumes "$0" > /dev/null"#;
    // In its own process group, because Ctrl-C must not stop it.
    let mut remover = Command::new("sh");
    remover.args(["-c", remove, &id]).stdin(Stdio::piped()).process_group(0);
    let remover = remover.spawn().map_err(|error| format!("cannot run sh: {error}"))?;
    Ok((format!("postgresql://postgres@{address}/postgres"), Origin::Docker { _remover: remover }))
}

async fn start_container() -> Result<(String, String), TestcontainersError> {
    let image = std::env::var("STROM_TEST_POSTGRES_IMAGE").unwrap_or_else(|_| "postgres:18".to_owned());
    let (name, tag) = image.rsplit_once(':').unwrap_or((&image, "latest"));
    let ready = "database system is ready to accept connections";
    // In memory: a cloned database has 300 files. Creating and deleting them on a disk takes most of the time of a
    // test.
    let data = "/var/lib/strom-test";
    // The entrypoint's temporary server reports on stdout, the final one on stderr.
    let container = GenericImage::new(name, tag)
        .with_exposed_port(5432.tcp())
        .with_wait_for(WaitFor::message_on_stdout(ready))
        .with_wait_for(WaitFor::message_on_stderr(ready))
        // A password would cost each of the thousands of sessions 4096 rounds of a hash, which debug builds do not
        // optimise.
        .with_env_var("POSTGRES_HOST_AUTH_METHOD", "trust")
        .with_env_var("PGDATA", data)
        // initdb searches the time zones otherwise, for seconds.
        .with_env_var("TZ", "UTC")
        .with_mount(Mount::tmpfs_mount(data))
        .with_network("bridge")
        .with_cmd(
            "postgres -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=500".split(' '),
        )
        .start()
        .await?;
    let published = format!("127.0.0.1:{}", container.get_host_port_ipv4(5432.tcp()).await?);
    // The network of containers is reachable on Linux. It is faster than the proxy behind a published port.
    let direct = format!("{}:5432", container.get_bridge_ip_address().await?);
    let is_reachable = matches!(timeout(Duration::from_secs(1), TcpStream::connect(&direct)).await, Ok(Ok(_)));
    let started = (container.id().to_owned(), if is_reachable { direct } else { published });
    // Its destructor would remove the container now.
    std::mem::forget(container);
    Ok(started)
}

fn script(source: &str) -> Result<(String, Origin), String> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../throwaway-postgres");
    let mut script = Command::new("bash")
        .args([program, "--source", source, "sh", "-c", "echo \"$DATABASE_URL\"; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run bash: {error}"))?;
    let mut url = String::new();
    let stdout = script.stdout.take().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut url).map_err(|error| error.to_string())?;
    if url.trim().is_empty() {
        let output = script.wait_with_output().map_err(|error| error.to_string())?;
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    Ok((url.trim().to_owned(), Origin::Script { _script: script }))
}

/// Prints the version. Writes to stderr directly, because the test harness shows captured output of failed tests only.
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
