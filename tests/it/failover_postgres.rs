//! Several hosts, of which one accepts writes. The repository finds it, leaves it when it becomes read-only, and finds
//! the next one.

use std::sync::Arc;
use strom_store::repository::FlowRepositoryExt as _;

use strom_store::internals::samples::{change, flow, found, id, stamp};
use strom_store::postgres::{DatabaseUrl, PostgresRepository};
use strom_store::repository::{Change, FlowRepository, RepositoryError};

use strom_test_support::cluster::Cluster;
use strom_test_support::eventually::eventually;
use strom_test_support::load::Load;
use strom_test_support::pair::{Pair, caught_up};
use strom_test_support::postgres::{count, run, wait_for_count};

const SESSIONS: &str = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name LIKE 'strom/%'";

/// Opens a repository on the server that accepts writes.
async fn open_writable(a: &Cluster, b: &Cluster) -> Arc<dyn FlowRepository> {
    let hosts = format!("{},{}", a.address(), b.address());
    open(&format!("postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write")).await
}

async fn open(url: &str) -> Arc<dyn FlowRepository> {
    Arc::new(PostgresRepository::open(&DatabaseUrl::parse(url).unwrap()).await.unwrap())
}

async fn set_read_only(cluster: &Cluster, on: bool) {
    let mut administrator = cluster.connect().await;
    run(&mut administrator, &format!("ALTER SYSTEM SET default_transaction_read_only = {on}")).await;
    run(&mut administrator, "SELECT pg_reload_conf()").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_continue_on_the_promoted_standby() {
    let (mut primary, mut standby) = {
        let primary = Cluster::start(&[]).await;
        let standby = primary.standby().await;
        (primary, standby)
    };
    // The standby comes first. It answers, but does not accept writes.
    let repository = open_writable(&standby, &primary).await;
    let load = Load::start(Arc::clone(&repository), 11).await;
    for is_last in [false, true] {
        load.recovery().await;
        // The primary sends all changes to the standby before it stops.
        primary.stop().await;
        standby.promote().await;
        load.recovery().await;
        eprintln!("after the promotion: {:?}", load.tally());
        if !is_last {
            primary.follow(&standby).await;
            load.recovery().await;
            assert_eq!(
                count(&mut primary.connect().await, SESSIONS).await,
                0,
                "the repository does not return to the old primary"
            );
        }
        std::mem::swap(&mut primary, &mut standby);
    }
    load.end(&primary.url()).await;
}

/// A planned switchover. Sessions stay open, and the old primary rejects writes.
#[tokio::test(flavor = "multi_thread")]
async fn repository_leaves_a_server_that_becomes_read_only() {
    let old = Cluster::start(&[]).await;
    let new = old.standby().await;
    let repository = open_writable(&old, &new).await;
    let load = Load::start(Arc::clone(&repository), 12).await;
    load.recovery().await;
    set_read_only(&old, true).await;
    // Each session reloads the setting at its own time.
    eventually("no server accepts writes", async || load.round().await.made == 0).await;
    assert_eq!(load.round().await.made, 0, "no server accepts writes");
    caught_up(&mut old.connect().await, &mut new.connect().await).await;
    new.promote().await;
    load.recovery().await;
    eprintln!("after the promotion: {:?}", load.tally());
    wait_for_count(&mut old.connect().await, SESSIONS, 0).await;
    load.end(&new.url()).await;
}

/// With one server, reads continue, and writes resume when the server accepts them again.
#[tokio::test(flavor = "multi_thread")]
async fn writes_resume_after_the_only_server_was_read_only() {
    let pair = Pair::alone().await;
    let url = pair.url(&pair.primary().address());
    for url in [url.clone(), format!("{url}?target_session_attrs=read-write")] {
        let repository = open(&url).await;
        change(&*repository, Change::Put(flow(1, "a"), strom_store::repository::Precondition::Any), stamp(1)).await;
        set_read_only(pair.primary(), true).await;
        let save = async || repository.apply_all(vec![Change::replace(flow(1, "b"))], stamp(2)).await;
        eventually("the server rejects writes", async || save().await.is_err()).await;
        let rejected = save().await;
        let is_expected = matches!(rejected, Err(RepositoryError::ReadOnly(_) | RepositoryError::Unavailable { .. }));
        assert!(is_expected, "{url}: {rejected:?}");
        if !url.contains("target_session_attrs") {
            assert!(found(&*repository, 1).await.is_some(), "reads continue");
        }
        set_read_only(pair.primary(), false).await;
        eventually("writes resume", async || save().await.is_ok()).await;
        change(&*repository, Change::delete(id(1)), stamp(3)).await;
        repository.close().await.unwrap();
    }
}

/// Each host is tried, whatever the failures of the hosts before it.
#[tokio::test(flavor = "multi_thread")]
async fn open_finds_the_host_that_accepts_writes() {
    let pair = Pair::shared().await;
    let (primary, standby) = (pair.primary().address(), pair.standby().address());
    let dead = format!("127.0.0.1:{}", strom_test_support::cluster::free_port());
    // Accepts connections and never answers.
    let unresponsive = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let unresponsive = unresponsive.local_addr().unwrap();
    let hosts = format!("{dead},{unresponsive},{standby},{primary}");
    // The unresponsive host costs this time.
    let parameters = "target_session_attrs=read-write&connect_timeout=3";
    let repository = open(&format!("{}?{parameters}", pair.url(&hosts))).await;
    change(&*repository, Change::create(flow(1, "a")), stamp(1)).await;
    repository.close().await.unwrap();

    let no_primary = format!("{}?target_session_attrs=read-write", pair.url(&format!("{dead},{standby}")));
    let error = PostgresRepository::open(&DatabaseUrl::parse(&no_primary).unwrap()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&dead) && text.contains(&standby), "the error names each host: {text}");
}
