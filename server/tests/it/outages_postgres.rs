//! Outages under load: no acknowledged write is lost, no write is stored twice, and the repository recovers automatically.
//! `STROM_OUTAGE_SECONDS` extends the random test (`just torture`). `STROM_OUTAGE_SEED` repeats a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use strom_store::repository::FlowRepositoryExt as _;

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;
use strom_server::clock;
use strom_store::internals::Chance;
use strom_store::internals::samples::{id, stamp};
use strom_store::postgres::{DatabaseUrl, PostgresRepository};
use strom_store::repository::{Change, FlowRepository, RepositoryError, Status};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::http::client::{Answer, Client};
use strom_test_support::blocked::Blocked;
use strom_test_support::cluster::Cluster;
use strom_test_support::eventually::{HANGS, eventually};
use strom_test_support::load::{Load, Tally};
use strom_test_support::postgres::{Database, count, run, wait_for_count};
use strom_test_support::proxy::Proxy;

/// The pool has five connections. PostgreSQL completes a statement before it notices that the client has disconnected, so
/// abandoned sessions may exist as well.
const SESSIONS: i64 = 10;

async fn through(proxy: &Proxy) -> Arc<dyn FlowRepository> {
    Arc::new(PostgresRepository::open(&DatabaseUrl::parse(&proxy.url()).unwrap()).await.unwrap())
}

/// Samples the number of sessions that Strom has in the database.
struct Watch(JoinHandle<()>, Arc<AtomicI64>);

impl Watch {
    async fn over(database: &Database) -> Self {
        let maximum = Arc::new(AtomicI64::new(0));
        let (mut observer, seen) = (database.connect().await, Arc::clone(&maximum));
        let watching = tokio::spawn(async move {
            let sessions = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name LIKE 'strom/%'
                            AND datname = current_database()";
            let mut samples = interval(Duration::from_millis(20));
            samples.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                samples.tick().await;
                seen.fetch_max(count(&mut observer, sessions).await, Ordering::Relaxed);
            }
        });
        Self(watching, maximum)
    }

    fn maximum(&self) -> i64 {
        self.1.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn is_open(repository: &dyn FlowRepository) -> bool {
    let mut measurements = repository.measurements().into_iter();
    measurements.any(|value| value.name == "postgres_breaker_open" && value.value > 0.0)
}

/// Waits until the repository reports the outage and its circuit breaker is open.
async fn until_unavailable(repository: &dyn FlowRepository) {
    eventually("the repository notices the outage", async || {
        repository.health().await.status != Status::Ready && is_open(repository)
    })
    .await;
}

/// Asserts that reads and writes fail immediately while the circuit breaker is open.
async fn assert_calls_fail_immediately(repository: &dyn FlowRepository) {
    for _ in 0..20 {
        let refused = repository.get(id(0)).now_or_never().expect("a read fails without waiting");
        assert!(matches!(refused, Err(RepositoryError::Unavailable { .. })), "{refused:?}");
        let refused = repository.apply_all(vec![Change::delete(id(0))], stamp(0)).await;
        assert!(matches!(refused, Err(RepositoryError::Unavailable { .. })), "{refused:?}");
    }
}

/// Waits until every writer completes changes and no call fails.
async fn until_healthy(load: &Load) {
    eventually("every writer makes changes and no call fails", async || {
        let Tally { made, unavailable, busy, .. } = load.round().await;
        made > 0 && unavailable == 0 && busy == 0
    })
    .await;
}

/// A load on a repository behind a faulty network. The test starts and ends without faults.
struct Faulty {
    database: Database,
    proxy: Proxy,
    repository: Arc<dyn FlowRepository>,
    watch: Watch,
    load: Load,
}

impl Faulty {
    async fn start(seed: u64) -> Self {
        let database = Database::migrated().await;
        let proxy = Proxy::before(&database.url()).await;
        let repository = through(&proxy).await;
        let watch = Watch::over(&database).await;
        let load = Load::start(Arc::clone(&repository), seed).await;
        until_healthy(&load).await;
        Self { database, proxy, repository, watch, load }
    }

    /// Runs an outage from this fault until its repair. No call succeeds during the outage, and every call returns.
    async fn outage(&self, what: &str, begin: fn(&Proxy)) {
        begin(&self.proxy);
        until_unavailable(&*self.repository).await;
        assert_calls_fail_immediately(&*self.repository).await;
        // Calls that succeeded before the fault may be counted now.
        self.load.round().await;
        let during = self.load.round().await;
        assert_eq!(during.made, 0, "{what}: no write is acknowledged");
        assert!(during.unavailable > 0, "{what}: {during:?}");
        self.proxy.restore();
        self.load.recovery().await;
        self.load.no_abandoned_sessions(&mut self.database.connect().await).await;
        eprintln!("{what}: {during:?}");
    }

    async fn end(self) {
        let Self { database, watch, load, .. } = self;
        let sessions = watch.maximum();
        // The sampling task must end before its database is deleted.
        drop(watch);
        let tally = load.end(&database.url()).await;
        eprintln!("at most {sessions} sessions; {tally:?}");
        assert!((1..=SESSIONS).contains(&sessions), "{sessions} sessions");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_and_reset_connections_lose_no_write() {
    let faulty = Faulty::start(1).await;
    faulty.outage("cut", Proxy::cut).await;
    faulty.outage("reset", Proxy::reset).await;
    until_healthy(&faulty.load).await;
    faulty.proxy.slow(Duration::from_millis(5), 200_000);
    faulty.load.recovery().await;
    faulty.proxy.restore();
    for after in [1, 7, 40, 200, 1, 300, 12, 90] {
        faulty.proxy.reset_in_mid_answer(after).await;
    }
    faulty.load.recovery().await;
    faulty.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_discards_all_packets_loses_no_write() {
    let faulty = Faulty::start(4).await;
    faulty.outage("black hole", Proxy::black_hole).await;
    until_healthy(&faulty.load).await;
    faulty.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_delays_all_packets_loses_no_write() {
    let faulty = Faulty::start(5).await;
    faulty.outage("held back", Proxy::hold).await;
    until_healthy(&faulty.load).await;
    faulty.end().await;
}

/// Applies each kind of fault once in random order, or random faults for `STROM_OUTAGE_SECONDS`.
#[tokio::test(flavor = "multi_thread")]
async fn no_series_of_faults_loses_a_write() {
    const KINDS: u64 = 6;
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let duration = number("STROM_OUTAGE_SECONDS").map(Duration::from_secs);
    let seed = number("STROM_OUTAGE_SEED").unwrap_or_else(|| clock::now().timestamp_micros().unsigned_abs());
    eprintln!("STROM_OUTAGE_SEED={seed}");
    let mut chance = Chance::new(seed);
    let faulty = Faulty::start(seed).await;
    let Faulty { proxy, repository, load, .. } = &faulty;
    let (begin, mut left) = (Instant::now(), (0..KINDS).collect::<Vec<_>>());
    loop {
        let kind = match duration {
            Some(time) if begin.elapsed() < time => chance.below(KINDS),
            None if !left.is_empty() => left.swap_remove(chance.below(left.len() as u64) as usize),
            _ => break,
        };
        // Pauses of random length create different interleavings.
        let longest = if duration.is_some() { 700 } else { 150 };
        match kind {
            0 => proxy.cut(),
            1 => proxy.reset(),
            2 => {
                // Wait until the repository notices the fault. Until then, lost calls affect only their callers.
                proxy.black_hole();
                until_unavailable(&**repository).await;
            }
            3 => proxy.hold(),
            4 => proxy.slow(Duration::from_millis(chance.below(20)), 50_000 + chance.below(1_000_000)),
            _ => proxy.break_off_an_answer(chance.below(400) as usize),
        }
        sleep(Duration::from_millis(chance.below(longest))).await;
        if chance.below(3) > 0 {
            proxy.restore();
            if chance.below(2) == 0 {
                // The next fault happens while every writer completes changes.
                load.recovery().await;
            }
            sleep(Duration::from_millis(chance.below(longest))).await;
        }
    }
    proxy.restore();
    load.recovery().await;
    load.no_abandoned_sessions(&mut faulty.database.connect().await).await;
    let Faulty { database, watch, load, .. } = faulty;
    drop(watch);
    eprintln!("{:?}", load.end(&database.url()).await);
}

/// PostgreSQL crashes and restarts. It runs with `fsync` and the other durable settings of production.
#[tokio::test(flavor = "multi_thread")]
async fn no_restart_of_the_server_loses_a_write() {
    let cluster = Cluster::start(&[]).await;
    let repository: Arc<dyn FlowRepository> = cluster.repository().await;
    let load = Load::start(Arc::clone(&repository), 2).await;
    for _ in 0..2 {
        until_healthy(&load).await;
        cluster.crash_and_restart().await;
        load.recovery().await;
        load.no_abandoned_sessions(&mut cluster.connect().await).await;
        eprintln!("after `pg_ctl restart -m immediate`: {:?}", load.tally());
    }
    load.end(&cluster.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terminated_sessions_lose_no_write() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let load = Load::start(Arc::clone(&repository), 3).await;
    let mut administrator = database.connect().await;
    let kill = "SELECT COUNT(pg_terminate_backend(pid)) FROM (
                    SELECT pid FROM pg_stat_activity
                    WHERE application_name LIKE 'strom/%' AND datname = current_database() ORDER BY random() LIMIT 1
                ) AS one";
    let mut chance = Chance::new(3);
    let mut killed = 0;
    while killed < 20 {
        killed += count(&mut administrator, kill).await;
        // The pause creates interleavings: the next session is terminated during one of its calls.
        sleep(Duration::from_millis(chance.below(70))).await;
    }
    load.recovery().await;
    let tally = load.end(&database.url()).await;
    eprintln!("{killed} sessions terminated; {tally:?}");
}

/// The network discards the answer to the recovery's own statement, and then works again.
#[tokio::test(flavor = "multi_thread")]
async fn recovery_without_an_answer_restarts() {
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database.url()).await;
    let repository = through(&proxy).await;
    let (mut blocker, mut observer) = (database.connect().await, database.connect().await);
    proxy.cut();
    until_unavailable(&*repository).await;
    run(&mut blocker, "BEGIN; LOCK TABLE _sqlx_migrations IN ACCESS EXCLUSIVE MODE").await;
    proxy.restore();
    let sessions = "SELECT COUNT(*) FROM pg_stat_activity
                    WHERE application_name LIKE 'strom/%' AND datname = current_database()";
    wait_for_count(&mut observer, &format!("{sessions} AND wait_event_type = 'Lock'"), 1).await;
    proxy.black_hole();
    run(&mut blocker, "ROLLBACK").await;
    wait_for_count(&mut observer, &format!("{sessions} AND state = 'idle in transaction'"), 1).await;
    proxy.restore();
    eventually("the repository recovers automatically", async || repository.get(id(1)).await.is_ok()).await;
}

/// All connections wait for a lock. Then the server stops responding.
#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_pool_of_an_unresponsive_server_is_unavailable() {
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database.url()).await;
    let repository = through(&proxy).await;
    let mut blocked = Blocked::behind_a_lock(&database, &repository, 5).await;
    let error = repository.get(id(1)).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Busy(_)), "{error}");
    proxy.black_hole();
    let error = repository.get(id(1)).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Unavailable { .. }), "{error}");
    for call in std::mem::take(&mut blocked.calls) {
        let hanging = timeout(HANGS, call).await.expect("calls to an unresponsive server return").unwrap();
        assert!(matches!(hanging, Err(RepositoryError::Unavailable { .. })), "{hanging:?}");
    }
    blocked.release().await;
    proxy.restore();
    eventually("the repository recovers automatically", async || repository.get(id(1)).await.is_ok()).await;
}

/// Callers leave while the server does not respond. The pool closes their connections, which may never be answered.
#[tokio::test(flavor = "multi_thread")]
async fn cancelled_calls_to_an_unresponsive_server_return_their_connections() {
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database.url()).await;
    let repository = through(&proxy).await;
    let mut blocked = Blocked::behind_a_lock(&database, &repository, 5).await;
    proxy.black_hole();
    std::mem::take(&mut blocked.calls).iter().for_each(JoinHandle::abort);
    until_unavailable(&*repository).await;
    blocked.release().await;
    proxy.restore();
    eventually("the repository recovers automatically", async || repository.get(id(1)).await.is_ok()).await;
}

/// During an outage, `/health` returns 200, `/ready` returns 503 with time and reason, and writes return 503 with
/// `Retry-After`.
#[tokio::test(flavor = "multi_thread")]
async fn ready_reports_start_and_reason_of_an_outage() {
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database.url()).await;
    let repository = through(&proxy).await;
    let client = Client::new(Arc::clone(&repository));
    let ready = async || client.send("GET /ready", &[], "").await;
    let since = |answer: &Answer| answer.json()["since"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    let before = ready().await;
    assert_eq!((before.status, &before.json()["degraded"]), (200, &false.into()));
    // The response has a resolution of milliseconds.
    let cut = clock::now() - TimeDelta::milliseconds(1);
    proxy.cut();
    eventually("the repository notices the outage", async || ready().await.status != 200 && is_open(&*repository))
        .await;
    let noticed = clock::now();
    eventually("5 ms have passed", async || clock::now() > noticed + TimeDelta::milliseconds(5)).await;
    let unready = ready().await;
    assert_eq!(unready.status, 503);
    assert!((cut..=noticed).contains(&since(&unready)), "`since` is not between {cut} and {noticed}: {unready:?}");
    assert!(!unready.json()["reason"].as_str().unwrap().is_empty());
    let refused = client.send("POST /api/flows", &[], r#"{"name": "refused"}"#).await;
    assert_eq!((refused.status, refused.headers["retry-after"].as_bytes()), (503, b"2".as_slice()));
    assert_eq!(
        client.send("GET /health", &[], "").await.status,
        200,
        "an outage must not cause a restart of the server"
    );
    proxy.restore();
    eventually("the repository recovers automatically", async || ready().await.status == 200).await;
    assert!(since(&ready().await) > since(&unready), "`since` is the time of the recovery");
}
