//! A pgbouncer in transaction mode before a server, with fewer connections than its clients have.
//!
//! The program is the one in `STROM_TEST_PGBOUNCER`, or the installed one.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use strom::FlowRepository;
use strom::postgres::{DatabaseUrl, PostgresRepository, Settings};
use url::Url;

use super::Opened;
use super::cluster::{Programs, free_port};
use super::postgres::Database;

/// Connections to the server, for all clients together.
pub(crate) const POOL_SIZE: u32 = 2;

/// Stopped when it is dropped, or when this process dies.
pub(crate) struct PgBouncer {
    /// A shell that waits for the end of its standard input, and then ends pgbouncer.
    shell: Child,
    port: u16,
    configuration: PathBuf,
}

impl PgBouncer {
    /// Before the server of this URL, as the user there; with these further settings.
    pub(crate) async fn before(direct: &str, settings: &str) -> Self {
        let programs = tokio::task::spawn_blocking(Programs::shared).await.unwrap();
        let (port, configuration) = (free_port(), programs.place());
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
        let begin = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(begin.elapsed() < Duration::from_secs(10), "pgbouncer does not start; is it installed?");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        pgbouncer
    }

    fn through(&self, direct: &str) -> Url {
        let mut url = Url::parse(direct).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.set_query(None);
        url
    }

    /// The address of the same database through it, as Strom wants to be told.
    pub(crate) fn url(&self, direct: &str) -> String {
        format!("{}?pgbouncer=true", self.through(direct))
    }

    /// A session of somebody else.
    pub(crate) async fn connect(&self, direct: &str) -> PgConnection {
        let options: PgConnectOptions = self.through(direct).as_str().parse().unwrap();
        // Poolers do not know this setting.
        options.extra_float_digits(None).connect().await.unwrap()
    }

    /// A repository that is migrated at the direct address: the locks of a migration are those of a session.
    pub(crate) async fn repository(&self, direct: &str) -> Arc<dyn FlowRepository> {
        let migrations = Some(DatabaseUrl::parse(direct).unwrap());
        let url = DatabaseUrl::parse(&self.url(direct)).unwrap();
        let settings = Settings { migrations, ..Settings::default() };
        Arc::new(PostgresRepository::open_with(&url, settings).await.unwrap())
    }
}

/// A database behind a pgbouncer, both of a test's own.
pub(crate) struct Pooled {
    pub(crate) database: Database,
    pub(crate) pgbouncer: PgBouncer,
}

impl Pooled {
    pub(crate) async fn new() -> Self {
        let database = Database::migrated().await;
        let pgbouncer = PgBouncer::before(&database.url(), "").await;
        Self { database, pgbouncer }
    }

    pub(crate) async fn repository(&self) -> Arc<dyn FlowRepository> {
        self.pgbouncer.repository(&self.database.url()).await
    }
}

/// An empty repository.
pub(crate) async fn open() -> Opened<Pooled> {
    let place = Pooled::new().await;
    Opened { repository: place.repository().await, _place: place }
}

fn start(programs: &Arc<Programs>, configuration: &Path) -> Child {
    let program = std::env::var("STROM_TEST_PGBOUNCER").unwrap_or_else(|_| "pgbouncer".to_owned());
    let mut shell = programs.command("sh");
    // Debian has it where only administrators look.
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
