//! A primary and its streaming standby, shared by the tests that neither stop nor promote them.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::clock;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use strom_store::FlowRepository;
use strom_store::postgres::{DatabaseUrl, PostgresRepository, Settings};
use tokio::sync::{OnceCell, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::cluster::Cluster;
use super::postgres::{run, wait_for_count};

/// The servers, while any test uses them. A failed test may leave changed settings behind, so later tests start new
/// servers: see [`Hold`].
static SERVERS: Mutex<Weak<Servers>> = Mutex::new(Weak::new());

#[derive(Default)]
struct Servers {
    started: OnceCell<(Cluster, Cluster)>,
    /// A test that needs the servers exclusively holds the write lock. All other tests share the servers.
    in_use: Arc<RwLock<()>>,
}

impl Servers {
    fn shared() -> Arc<Self> {
        let mut shared = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let servers = Arc::<Self>::default();
            *shared = Arc::downgrade(&servers);
            servers
        })
    }

    /// Returns true if a test with exclusive use has failed, so that these servers must not be used again.
    fn is_discarded(self: &Arc<Self>) -> bool {
        let shared = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
        !std::ptr::eq(shared.as_ptr(), Arc::as_ptr(self))
    }
}

enum Hold {
    Shared { _guard: OwnedRwLockReadGuard<()> },
    Alone { _guard: OwnedRwLockWriteGuard<()> },
}

impl Drop for Hold {
    fn drop(&mut self) {
        if matches!(self, Self::Alone { .. }) && std::thread::panicking() {
            *SERVERS.lock().unwrap_or_else(PoisonError::into_inner) = Weak::new();
        }
    }
}

/// An empty database for one test on a primary and its standby.
pub struct Pair {
    // Fields are dropped in this order. The servers stop after the last test has released them.
    _hold: Hold,
    servers: Arc<Servers>,
    database: String,
}

impl Pair {
    /// Creates the database on servers that other tests use at the same time.
    pub async fn shared() -> Self {
        loop {
            let servers = Servers::shared();
            let hold = Hold::Shared { _guard: Arc::clone(&servers.in_use).read_owned().await };
            if !servers.is_discarded() {
                return Self::on(servers, hold).await;
            }
        }
    }

    /// Creates the database on servers that no other test uses concurrently. The test must restore their settings.
    pub async fn alone() -> Self {
        loop {
            let servers = Servers::shared();
            let hold = Hold::Alone { _guard: Arc::clone(&servers.in_use).write_owned().await };
            if !servers.is_discarded() {
                return Self::on(servers, hold).await;
            }
        }
    }

    async fn on(servers: Arc<Servers>, hold: Hold) -> Self {
        let database = format!("strom_test_{}", clock::new_id().as_uuid().simple());
        let pair = Self { _hold: hold, servers, database };
        pair.servers.started.get_or_init(start).await;
        run(&mut pair.primary().connect().await, &format!("CREATE DATABASE {}", pair.database)).await;
        pair.writer().await.close().await.unwrap();
        pair.caught_up().await;
        pair
    }

    pub fn primary(&self) -> &Cluster {
        &self.servers.started.get().expect("the servers are running").0
    }

    pub fn standby(&self) -> &Cluster {
        &self.servers.started.get().expect("the servers are running").1
    }

    /// Returns the URL of the database on these hosts.
    pub fn url(&self, hosts: &str) -> String {
        format!("postgresql://postgres@{hosts}/{}", self.database)
    }

    /// Opens a session in the database on one of the servers.
    pub async fn connect(&self, cluster: &Cluster) -> PgConnection {
        self.url(&cluster.address()).parse::<PgConnectOptions>().unwrap().connect().await.unwrap()
    }

    /// Opens a repository on the primary.
    pub async fn writer(&self) -> Arc<dyn FlowRepository> {
        self.open(self.primary(), Settings::default()).await
    }

    /// Opens a read-only repository on the standby.
    pub async fn reader(&self) -> Arc<dyn FlowRepository> {
        self.open(self.standby(), Settings::default().with_read_only(true)).await
    }

    async fn open(&self, cluster: &Cluster, settings: Settings) -> Arc<dyn FlowRepository> {
        let url = DatabaseUrl::parse(&self.url(&cluster.address())).unwrap();
        Arc::new(PostgresRepository::open_with(&url, settings).await.unwrap())
    }

    /// Waits until the standby has replayed all changes of the primary.
    pub async fn caught_up(&self) {
        caught_up(&mut self.primary().connect().await, &mut self.standby().connect().await).await;
    }
}

async fn start() -> (Cluster, Cluster) {
    // VACUUM records cancel reads on a standby. Only tests that need this run VACUUM.
    let primary = Cluster::start(&["fsync = off", "autovacuum = off"]).await;
    let standby = primary.standby().await;
    (primary, standby)
}

/// Waits until the standby has replayed all changes of the primary.
pub async fn caught_up(primary: &mut PgConnection, standby: &mut PgConnection) {
    let last: String = sqlx::query_scalar("SELECT pg_current_wal_lsn()::TEXT").fetch_one(primary).await.unwrap();
    let replayed = format!("SELECT (pg_last_wal_replay_lsn() >= '{last}')::INT::BIGINT");
    wait_for_count(standby, &replayed, 1).await;
}
