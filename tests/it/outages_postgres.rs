//! Outages in the middle of a load: nothing that was acknowledged is lost, nothing is done twice, and everything goes on
//! by itself. `STROM_OUTAGE_SECONDS` makes the random part longer (`just torture`), `STROM_OUTAGE_SEED` repeats one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use strom::clock;
use strom::postgres::{DatabaseUrl, PostgresRepository};
use strom::repository::{Change, FlowRepository, RepositoryError, Status};
use strom::testkit::chance::Chance;
use strom::testkit::samples::{id, stamp};
use tokio::time::{sleep, timeout};

use crate::http::client::{Answer, Client};
use crate::support::blocked::Blocked;
use crate::support::cluster::Cluster;
use crate::support::load::{Load, Tally};
use crate::support::postgres::{Database, count};
use crate::support::proxy::Proxy;

/// What the machine of a test may need beyond what is promised.
const RECOVERY: Duration = Duration::from_secs(15);
/// Five, and those that they have taken the place of: a server learns late that nobody is there any more, and goes on with
/// what it was told.
const SESSIONS: i64 = 10;
/// A call in the hole; promised are a few seconds.
const LONGEST_CALL: Duration = Duration::from_secs(12);
/// A call while the database is known to be away; promised are 100 ms.
const REFUSAL: Duration = Duration::from_millis(500);

async fn through(proxy: &Proxy) -> Arc<dyn FlowRepository> {
    Arc::new(PostgresRepository::open(&DatabaseUrl::parse(&proxy.url()).unwrap()).await.unwrap())
}

/// Sessions of Strom in the database, at any moment while this is watched.
struct Watch(tokio::task::JoinHandle<()>, Arc<std::sync::atomic::AtomicI64>);

impl Watch {
    async fn over(database: &Database) -> Self {
        use std::sync::atomic::{AtomicI64, Ordering};
        let most = Arc::new(AtomicI64::new(0));
        let (mut observer, seen) = (database.connect().await, Arc::clone(&most));
        Self(
            tokio::spawn(async move {
                let sessions = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name LIKE 'strom/%'
                                AND datname = current_database()";
                loop {
                    seen.fetch_max(count(&mut observer, sessions).await, Ordering::Relaxed);
                    sleep(Duration::from_millis(20)).await;
                }
            }),
            most,
        )
    }

    fn most(&self) -> i64 {
        self.1.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits until the repository has noticed that its database is away.
async fn until_away(repository: &dyn FlowRepository) -> Duration {
    let begin = Instant::now();
    while repository.health().await.status == Status::Ready {
        assert!(begin.elapsed() < LONGEST_CALL, "nobody notices the outage");
        sleep(Duration::from_millis(20)).await;
    }
    begin.elapsed()
}

/// The longest of some writes that are refused.
async fn slowest_refusal(repository: &dyn FlowRepository) -> Duration {
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let begin = Instant::now();
        let refused = repository.apply(vec![Change::delete(id(0))], stamp(0)).await;
        assert!(matches!(refused, Err(RepositoryError::Unavailable { .. })), "{refused:?}");
        slowest = slowest.max(begin.elapsed());
    }
    slowest
}

fn assert_clean(what: &str, tally: &Tally) {
    assert!(tally.made > 0 && tally.unavailable == 0 && tally.busy == 0, "{what}: {tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_of_the_network_loses_a_write() {
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database.url()).await;
    let repository = through(&proxy).await;
    let watch = Watch::over(&database).await;
    let load = Load::start(Arc::clone(&repository), 1).await;
    assert_clean("before", &load.run(Duration::from_millis(500)).await);

    type Fault = fn(&Proxy);
    let away: [(&str, Fault); 4] =
        [("cut", Proxy::cut), ("reset", Proxy::reset), ("black hole", Proxy::black_hole), ("held back", Proxy::hold)];
    for (what, begin) in away {
        begin(&proxy);
        let noticed = until_away(&*repository).await;
        let refused = slowest_refusal(&*repository).await;
        // Who was answered before the fault may come to count it only now.
        load.run(Duration::from_millis(100)).await;
        let during = load.run(Duration::from_millis(500)).await;
        proxy.restore();
        let recovered = load.recovery(Instant::now()).await;
        eprintln!("{what}: noticed in {noticed:?}, refused within {refused:?}, back in {recovered:?}; {during:?}");
        assert_eq!(during.made, 0, "{what}: nothing can be acknowledged");
        assert!(refused < REFUSAL && recovered < RECOVERY && load.tally().longest < LONGEST_CALL, "{what}");
    }
    // The connections that died in the hole are gone by now.
    sleep(Duration::from_secs(1)).await;
    assert_clean("in between", &load.run(Duration::from_millis(500)).await);
    proxy.slow(Duration::from_millis(5), 200_000);
    let slow = load.run(Duration::from_secs(1)).await;
    eprintln!("slow: {slow:?}");
    assert!(slow.made > 0, "slow is not away: {slow:?}");
    proxy.restore();
    for after in [1, 7, 40, 200, 1, 300, 12, 90] {
        proxy.reset_in_mid_answer(after);
        sleep(Duration::from_millis(150)).await;
    }
    proxy.restore();
    let recovered = load.recovery(Instant::now()).await;
    eprintln!("reset in the middle of answers: back in {recovered:?}");
    assert!(recovered < RECOVERY);

    let sessions = watch.most();
    let tally = load.end(&*database.repository().await).await;
    eprintln!("{sessions} sessions at most; {tally:?}");
    assert!((1..=SESSIONS).contains(&sessions), "{sessions} sessions");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_series_of_faults_loses_a_write() {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seconds = number("STROM_OUTAGE_SECONDS").unwrap_or(6);
    let seed = number("STROM_OUTAGE_SEED").unwrap_or_else(|| clock::now().timestamp_micros().unsigned_abs());
    eprintln!("STROM_OUTAGE_SEED={seed}");
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database.url()).await;
    let repository = through(&proxy).await;
    let watch = Watch::over(&database).await;
    let load = Load::start(Arc::clone(&repository), seed).await;
    let mut chance = Chance::new(seed);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(seconds) {
        match chance.below(6) {
            0 => proxy.cut(),
            1 => proxy.reset(),
            2 => {
                // Until it is noticed: what was swallowed before that, nobody but its caller can miss.
                proxy.black_hole();
                until_away(&*repository).await;
            }
            3 => proxy.hold(),
            4 => proxy.slow(Duration::from_millis(chance.below(20)), 50_000 + chance.below(1_000_000)),
            _ => proxy.reset_in_mid_answer(chance.below(400) as usize),
        }
        sleep(Duration::from_millis(chance.below(700))).await;
        if chance.below(3) > 0 {
            proxy.restore();
            sleep(Duration::from_millis(chance.below(700))).await;
        }
    }
    proxy.restore();
    let recovered = load.recovery(Instant::now()).await;
    let sessions = watch.most();
    let tally = load.end(&*database.repository().await).await;
    eprintln!("back in {recovered:?}, {sessions} sessions at most; {tally:?}");
    assert!(recovered < RECOVERY);
    assert!((1..=SESSIONS).contains(&sessions), "{sessions} sessions");
}

/// As a crash of the server, with everything synced as in production.
#[tokio::test(flavor = "multi_thread")]
async fn no_restart_of_the_server_loses_a_write() {
    let cluster = Cluster::start(&[]).await;
    let repository: Arc<dyn FlowRepository> = cluster.repository().await;
    let load = Load::start(Arc::clone(&repository), 2).await;
    for _ in 0..2 {
        assert_clean("before", &load.run(Duration::from_millis(700)).await);
        cluster.crash_and_restart().await;
        let recovered = load.recovery(Instant::now()).await;
        eprintln!("after `pg_ctl restart -m immediate`: back in {recovered:?}; {:?}", load.tally());
        assert!(recovered < RECOVERY);
        sleep(Duration::from_millis(500)).await;
    }
    load.end(&*cluster.repository().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_that_is_ended_loses_a_write() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let load = Load::start(Arc::clone(&repository), 3).await;
    let mut administrator = database.connect().await;
    let kill = "SELECT COUNT(pg_terminate_backend(pid)) FROM (
                    SELECT pid FROM pg_stat_activity
                    WHERE application_name LIKE 'strom/%' AND datname = current_database() ORDER BY random() LIMIT 1
                ) AS one";
    let (mut killed, begin) = (0, Instant::now());
    while begin.elapsed() < Duration::from_secs(2) {
        killed += count(&mut administrator, kill).await;
        sleep(Duration::from_millis(70)).await;
    }
    let recovered = load.recovery(Instant::now()).await;
    let tally = load.end(&*repository).await;
    eprintln!("{killed} sessions ended: back in {recovered:?}; {tally:?}");
    assert!(killed >= 5 && recovered < RECOVERY);
}

/// All connections are in use by calls that wait for a lock; then nobody answers any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_pool_in_a_black_hole_is_away_and_not_busy() {
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database.url()).await;
    let repository = through(&proxy).await;
    let mut blocked = Blocked::behind_a_lock(&database, &repository, 5).await;
    let error = repository.get(id(1)).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Busy(_)), "{error}");
    proxy.black_hole();
    let begin = Instant::now();
    let error = repository.get(id(1)).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Unavailable { .. }), "{error}");
    eprintln!("away after {:?}", begin.elapsed());
    for call in std::mem::take(&mut blocked.calls) {
        let hanging = timeout(LONGEST_CALL, call).await.expect("calls in the hole come back").unwrap();
        assert!(matches!(hanging, Err(RepositoryError::Unavailable { .. })), "{hanging:?}");
    }
    eprintln!("all calls are back after {:?}", begin.elapsed());
    blocked.release().await;
    proxy.restore();
    let restored = Instant::now();
    while repository.get(id(1)).await.is_err() {
        assert!(restored.elapsed() < RECOVERY, "it comes back by itself");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The server is alive all the time, says when it is not ready, since when and why, and refuses writes with a time to
/// come back.
#[tokio::test(flavor = "multi_thread")]
async fn readiness_says_since_when_and_why() {
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database.url()).await;
    let client = Client::new(through(&proxy).await);
    let ready = async || client.send("GET /ready", &[], "").await;
    let since = |answer: &Answer| answer.json()["since"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    let before = ready().await;
    assert_eq!((before.status, &before.json()["degraded"]), (200, &false.into()));
    // It is told in whole milliseconds.
    let cut = clock::now() - TimeDelta::milliseconds(1);
    proxy.cut();
    let begin = Instant::now();
    while ready().await.status == 200 {
        assert!(begin.elapsed() < LONGEST_CALL, "nobody notices the outage");
    }
    sleep(Duration::from_millis(600)).await;
    let (away, later) = (ready().await, clock::now());
    assert_eq!(away.status, 503);
    assert!(
        since(&away) >= cut && later - since(&away) >= TimeDelta::milliseconds(500),
        "since it was noticed: {away:?}"
    );
    assert!(!away.json()["reason"].as_str().unwrap().is_empty());
    let refused = client.send("POST /api/flows", &[], r#"{"name": "refused"}"#).await;
    assert_eq!((refused.status, refused.headers["retry-after"].as_bytes()), (503, b"2".as_slice()));
    assert_eq!(client.send("GET /health", &[], "").await.status, 200, "nobody kills it");
    proxy.restore();
    let restored = Instant::now();
    while ready().await.status != 200 {
        assert!(restored.elapsed() < RECOVERY, "it comes back by itself");
        sleep(Duration::from_millis(20)).await;
    }
    assert!(since(&ready().await) > since(&away), "ready since the database is back");
}
