//! A pgbouncer in transaction mode in front of a server, with fewer connections than clients.
//!
//! `STROM_TEST_PGBOUNCER` names the program. Default: the installed one.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use strom_store::FlowRepository;
use strom_store::postgres::{DatabaseUrl, PostgresRepository, Settings};
use url::Url;

use super::Opened;
use super::cluster::{Programs, free_port};
use super::eventually::eventually;
use super::postgres::Database;

/// The number of connections to the server for all clients together.
pub const POOL_SIZE: u32 = 2;

/// A running pgbouncer. It stops when this value is dropped or this process ends.
pub struct PgBouncer {
    /// A shell that stops pgbouncer when its standard input ends.
    shell: Child,
    port: u16,
    configuration: PathBuf,
}

impl PgBouncer {
    /// Starts pgbouncer in front of the server of this URL, as the user of the URL, with these additional settings.
    pub async fn before(direct: &str, settings: &str) -> Self {
        let programs = tokio::task::spawn_blocking(Programs::shared).await.unwrap();
        let (port, configuration) = (free_port(), programs.new_path());
        let direct = Url::parse(direct).unwrap();
        let (host, user) = (direct.host_str().unwrap(), direct.username());
        let password = direct.password().map(|password| format!(" password={password}")).unwrap_or_default();
        let server = format!("host={host} port={} user={user}{password}", direct.port().unwrap_or(5432));
        programs.write(
            &configuration,
            &format!(
                "[databases]\n* = {server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
                 unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = {POOL_SIZE}\n\
                 {settings}\n"
            ),
        );
        let shell = start(&programs, &configuration);
        let pgbouncer = Self { shell, port, configuration };
        eventually("pgbouncer starts; is it installed?", async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await;
        pgbouncer
    }

    fn through(&self, direct: &str) -> Url {
        let mut url = Url::parse(direct).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.set_query(None);
        url
    }

    /// Returns the URL of the same database through pgbouncer, with the parameter that Strom requires.
    pub fn url(&self, direct: &str) -> String {
        format!("{}?pgbouncer=true", self.through(direct))
    }

    /// Opens a session of another client.
    pub async fn connect(&self, direct: &str) -> PgConnection {
        let options: PgConnectOptions = self.through(direct).as_str().parse().unwrap();
        // pgbouncer rejects this setting.
        options.extra_float_digits(None).connect().await.unwrap()
    }

    /// Opens a repository. Migrations use the direct URL, because they hold session locks.
    pub async fn repository(&self, direct: &str) -> Arc<dyn FlowRepository> {
        let migrations = Some(DatabaseUrl::parse(direct).unwrap());
        let url = DatabaseUrl::parse(&self.url(direct)).unwrap();
        let settings = Settings::default().with_migrations(migrations);
        Arc::new(PostgresRepository::open_with(&url, settings).await.unwrap())
    }
}

/// A database behind a pgbouncer, both for one test.
pub struct Pooled {
    pub database: Database,
    pub pgbouncer: PgBouncer,
}

impl Pooled {
    pub async fn new() -> Self {
        let database = Database::migrated().await;
        let pgbouncer = PgBouncer::before(&database.url(), "").await;
        Self { database, pgbouncer }
    }

    pub async fn repository(&self) -> Arc<dyn FlowRepository> {
        self.pgbouncer.repository(&self.database.url()).await
    }
}

/// Opens an empty repository.
pub async fn open() -> Opened<Pooled> {
    let pooled = Pooled::new().await;
    Opened { repository: pooled.repository().await, _resources: pooled }
}

fn start(programs: &Arc<Programs>, configuration: &Path) -> Child {
    let program = std::env::var("STROM_TEST_PGBOUNCER").unwrap_or_else(|_| "pgbouncer".to_owned());
    let mut shell = programs.command("sh");
    // Debian installs pgbouncer in /usr/sbin.
    let script = r#"PATH=$PATH:/usr/sbin; "$0" -q "$1" < /dev/null & cat > /dev/null; kill "$!"; wait"#;
    shell.args(["-c", script, &program]).arg(configuration);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
        let _ = std::fs::remove_file(&self.configuration);
    }
}
