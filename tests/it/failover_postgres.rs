//! Several hosts, of which one takes writes: Strom finds it, leaves it when it takes them no more, and finds the next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::PgConnection;
use strom::postgres::{DatabaseUrl, PostgresRepository};
use strom::repository::{Change, FlowRepository, RepositoryError};
use strom::testkit::samples::{change, flow, found, id, stamp};
use tokio::time::sleep;

use crate::support::cluster::Cluster;
use crate::support::load::Load;
use crate::support::postgres::{count, run, wait_for_count};

/// Promised are 2 s after the return of a server that takes writes.
const RECOVERY: Duration = Duration::from_secs(8);
const SESSIONS: &str = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name LIKE 'strom/%'";

/// A repository on the one of two servers that takes writes.
async fn at_either(a: &Cluster, b: &Cluster) -> Arc<dyn FlowRepository> {
    let hosts = format!("{},{}", a.address(), b.address());
    open(&format!("postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write")).await
}

async fn open(url: &str) -> Arc<dyn FlowRepository> {
    Arc::new(PostgresRepository::open(&DatabaseUrl::parse(url).unwrap()).await.unwrap())
}

/// Waits until the standby has all that the primary has.
async fn caught_up(primary: &mut PgConnection, standby: &mut PgConnection) {
    let last: String = sqlx::query_scalar("SELECT pg_current_wal_lsn()::TEXT").fetch_one(primary).await.unwrap();
    let there = format!("SELECT (pg_last_wal_replay_lsn() >= '{last}')::INT::BIGINT");
    wait_for_count(standby, &there, 1).await;
}

async fn set_read_only(cluster: &Cluster, on: bool) {
    let mut administrator = cluster.connect().await;
    run(&mut administrator, &format!("ALTER SYSTEM SET default_transaction_read_only = {on}")).await;
    run(&mut administrator, "SELECT pg_reload_conf()").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_go_on_at_the_standby_that_is_promoted() {
    let (mut primary, mut standby) = {
        let primary = Cluster::start(&[]).await;
        let standby = primary.standby().await;
        (primary, standby)
    };
    // The standby first: it answers, and is not the one.
    let repository = at_either(&standby, &primary).await;
    let load = Load::start(Arc::clone(&repository), 11).await;
    for _ in 0..2 {
        assert!(load.run(Duration::from_millis(700)).await.made > 0);
        let left = Instant::now();
        // Sends everything to the standby before it ends.
        primary.stop().await;
        let stopped = left.elapsed();
        standby.promote().await;
        let promoted = Instant::now();
        let recovered = load.recovery(promoted).await;
        eprintln!("stopped in {stopped:?}; writes go on {recovered:?} after the promotion; {:?}", load.tally());
        assert!(recovered < RECOVERY);
        primary.follow(&standby).await;
        assert!(load.run(Duration::from_millis(700)).await.made > 0, "it does not go back");
        assert_eq!(count(&mut primary.connect().await, SESSIONS).await, 0, "nobody stays at the standby");
        std::mem::swap(&mut primary, &mut standby);
    }
    load.end(&*primary.repository().await).await;
}

/// A planned change of places: nobody ends a session, the old one just takes no more writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_turns_read_only_is_left() {
    let old = Cluster::start(&[]).await;
    let new = old.standby().await;
    let repository = at_either(&old, &new).await;
    let load = Load::start(Arc::clone(&repository), 12).await;
    assert!(load.run(Duration::from_millis(500)).await.made > 0);
    set_read_only(&old, true).await;
    sleep(Duration::from_millis(500)).await;
    assert_eq!(load.run(Duration::from_millis(300)).await.made, 0, "nobody takes writes now");
    caught_up(&mut old.connect().await, &mut new.connect().await).await;
    new.promote().await;
    let recovered = load.recovery(Instant::now()).await;
    eprintln!("writes go on {recovered:?} after the promotion; {:?}", load.tally());
    assert!(recovered < RECOVERY);
    wait_for_count(&mut old.connect().await, SESSIONS, 0).await;
    load.end(&*new.repository().await).await;
}

/// Where there is only one, reads go on, and writes do when it takes them again.
#[tokio::test(flavor = "multi_thread")]
async fn the_only_server_may_turn_read_only_for_a_while() {
    let cluster = Cluster::start(&["fsync = off"]).await;
    for url in [cluster.url(), format!("{}?target_session_attrs=read-write", cluster.url())] {
        let repository = open(&url).await;
        change(&*repository, Change::Put(flow(1, "a"), strom::repository::Precondition::Any), stamp(1)).await;
        set_read_only(&cluster, true).await;
        let save = async || repository.apply(vec![Change::replace(flow(1, "b"))], stamp(2)).await;
        let begin = Instant::now();
        while save().await.is_ok() {
            assert!(begin.elapsed() < RECOVERY, "the reload is noticed");
        }
        let refused = save().await;
        let told = matches!(refused, Err(RepositoryError::ReadOnly(_) | RepositoryError::Unavailable { .. }));
        assert!(told, "{url}: {refused:?}");
        if !url.contains("target_session_attrs") {
            assert!(found(&*repository, 1).await.is_some(), "reads go on");
        }
        set_read_only(&cluster, false).await;
        let back = Instant::now();
        while save().await.is_err() {
            assert!(back.elapsed() < RECOVERY, "{url}: writes go on by themselves");
            sleep(Duration::from_millis(20)).await;
        }
        eprintln!("{url}: writes go on after {:?}", back.elapsed());
        change(&*repository, Change::delete(id(1)), stamp(3)).await;
        repository.close().await;
    }
}

/// Each host is tried, whatever is the matter with the ones before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_finds_the_server_that_takes_writes() {
    let cluster = Cluster::start(&["fsync = off"]).await;
    cluster.repository().await.close().await;
    let standby = cluster.standby().await;
    let dead = format!("127.0.0.1:{}", crate::support::cluster::free_port());
    // Takes connections and says nothing.
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mute = mute.local_addr().unwrap();
    let hosts = format!("{dead},{mute},{},{}", standby.address(), cluster.address());
    let repository = open(&format!("postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write")).await;
    change(&*repository, Change::create(flow(1, "a")), stamp(1)).await;
    repository.close().await;

    let nobody = format!("postgresql://postgres@{dead},{}/postgres?target_session_attrs=read-write", standby.address());
    let error = PostgresRepository::open(&DatabaseUrl::parse(&nobody).unwrap()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&dead) && text.contains(&standby.address()), "each host has its reason: {text}");
}
