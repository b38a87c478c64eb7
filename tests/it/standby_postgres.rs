//! Instances that read a streaming standby while its primary is written to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures::TryStreamExt;
use strom::postgres::{DatabaseUrl, PostgresRepository, Settings};
use strom::repository::{Change, FeedCursor, Record, RepositoryError, Since};
use strom::testkit::feed::{self, read_until};
use strom::testkit::history::history;
use strom::testkit::reading;
use strom::testkit::samples::{change, create_all, flow, flow_with, found, id, number, stamp};
use strom::{Flow, FlowRepository};
use tokio::time::{sleep, timeout};

use crate::support::cluster::Cluster;
use crate::support::postgres::{run, wait_for_count};

/// A primary with a writer, and its standby with a reader.
struct Pair {
    primary: Cluster,
    standby: Cluster,
    writer: Arc<dyn FlowRepository>,
    reader: Arc<dyn FlowRepository>,
}

impl Pair {
    async fn start() -> Self {
        let primary = Cluster::start(&["fsync = off"]).await;
        let writer = primary.repository().await;
        let standby = primary.standby().await;
        let reader = open(&standby.url()).await;
        Self { primary, standby, writer, reader }
    }

    async fn end_of_feed(&self) -> FeedCursor {
        feed::end(&*self.writer).await
    }

    /// Waits until the standby has a flow.
    async fn arrival(&self, number: u32) {
        let arriving = async {
            while found(&*self.reader, number).await.is_none() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(30), arriving).await.expect("the standby follows");
    }
}

async fn open(url: &str) -> Arc<dyn FlowRepository> {
    let settings = Settings { read_only: true, ..Settings::default() };
    Arc::new(PostgresRepository::open_with(&DatabaseUrl::parse(url).unwrap(), settings).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_read_as_ever() {
    let pair = Pair::start().await;
    reading::a_reader_refuses_changes_and_reads_as_ever(pair.writer.clone(), pair.reader.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_tells_each_change_once_and_in_order() {
    let pair = Pair::start().await;
    reading::a_reader_tells_what_the_writer_does(pair.writer.clone(), pair.reader.clone()).await;
}

/// Also one that has an id and has written nothing yet, of which the standby has not heard.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_waits_for_the_transactions_that_could_overtake() {
    let pair = Pair::start().await;
    create_all(&*pair.writer, [flow(1, "a"), flow(2, "b")]).await;
    let begin = pair.end_of_feed().await;
    let mut slow = pair.primary.connect().await;
    run(&mut slow, "BEGIN; SELECT pg_current_xact_id()").await;
    change(&*pair.writer, Change::replace(flow(2, "by the fast")), stamp(1)).await;
    create_all(&*pair.writer, [flow(3, "c")]).await;
    pair.arrival(3).await;
    assert_eq!(history(&*pair.reader, 2).await[0].revision.number(), 2, "it is there");
    assert_eq!(pair.reader.changes(Since::After(begin), 10).await.unwrap().changes.len(), 0, "and not told yet");
    let waiting = pair.reader.changed(begin);
    tokio::pin!(waiting);
    assert!(timeout(Duration::from_millis(300), &mut waiting).await.is_err(), "nothing can be read");
    run(&mut slow, &format!("UPDATE flows SET name = 'by the slow' WHERE id = '{}'; COMMIT", id(1))).await;
    waiting.await;
    let is_last = |record: &Record<Flow>| record.author.as_str() == "sql";
    let on_standby = read_until(&*pair.reader, Since::After(begin), 10, is_last).await;
    let on_primary = read_until(&*pair.writer, Since::After(begin), 10, is_last).await;
    assert_eq!(feed::told(&on_standby), feed::told(&on_primary));
    assert_eq!(on_standby.len(), 3);
}

/// The primary has given a place that the standby has not come to: whoever brings it waits, and misses nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_still_to_come_is_waited_for() {
    let pair = Pair::start().await;
    create_all(&*pair.writer, [flow(1, "a")]).await;
    pair.arrival(1).await;
    let mut standby = pair.standby.connect().await;
    run(&mut standby, "SELECT pg_wal_replay_pause()").await;
    create_all(&*pair.writer, [flow(2, "b")]).await;
    let place = pair.end_of_feed().await;
    create_all(&*pair.writer, [flow(3, "c")]).await;

    let feed = pair.reader.changes(Since::After(place), 10).await.unwrap();
    assert_eq!((feed.changes.len(), feed.next), (0, place));
    let waiting = pair.reader.changed(place);
    tokio::pin!(waiting);
    assert!(timeout(Duration::from_millis(300), &mut waiting).await.is_err(), "nothing is behind it yet");
    run(&mut standby, "SELECT pg_wal_replay_resume()").await;
    timeout(Duration::from_secs(30), waiting).await.expect("it comes");
    let told = read_until(&*pair.reader, Since::After(place), 10, |_| true).await;
    assert_eq!(feed::told(&told), [(3, strom::repository::Operation::Create, 1)]);

    // What will never come is not waited for: it is behind what has ended, and nothing stands there.
    let text = place.to_string();
    let (log_and_transaction, number) = text.rsplit_once('.').unwrap();
    let (log, transaction) = log_and_transaction.split_once('.').unwrap();
    let elsewhere = format!("{}.{transaction}.{number}", log.parse::<u64>().unwrap() + 1).parse().unwrap();
    let error = pair.reader.changes(Since::After(elsewhere), 10).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Gone), "{error:?}");
}

/// The standby has a commit before the primary shows it; here for as long as the primary waits for another standby. Whoever
/// brings a place from there to the primary waits, and misses nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_the_standby_knows_first_is_waited_for() {
    let pair = Pair::start().await;
    create_all(&*pair.writer, [flow(1, "a")]).await;
    let begin = pair.end_of_feed().await;
    let mut psql = pair.primary.connect().await;
    run(&mut psql, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await;
    run(&mut psql, "SELECT pg_reload_conf()").await;
    // The server takes a moment to know, so some may still be made.
    let (last, is_enough) = (Arc::new(AtomicU32::new(1)), Arc::new(AtomicBool::new(false)));
    let writing = tokio::spawn({
        let (writer, last, is_enough) = (pair.writer.clone(), Arc::clone(&last), Arc::clone(&is_enough));
        async move {
            while !is_enough.load(Ordering::SeqCst) {
                create_all(&*writer, [flow(last.fetch_add(1, Ordering::SeqCst) + 1, "b")]).await;
            }
        }
    });
    let waits =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%INSERT INTO flows%'";
    wait_for_count(&mut psql, waits, 1).await;
    is_enough.store(true, Ordering::SeqCst);
    let last = last.load(Ordering::SeqCst);
    let is_last = |record: &Record<Flow>| number(record.item.id()) == last;
    let place = read_until(&*pair.reader, Since::After(begin), 10, is_last).await.last().unwrap().cursor;
    assert!(found(&*pair.writer, last).await.is_none(), "the primary does not show it");

    // Also behind the ids of others, which have ended.
    for _ in 0..2 {
        let feed = pair.writer.changes(Since::After(place), 10).await.unwrap();
        assert_eq!((feed.changes.len(), feed.next), (0, place));
        run(&mut psql, "BEGIN; SELECT pg_current_xact_id(); ROLLBACK").await;
    }
    let waiting = pair.writer.changed(place);
    tokio::pin!(waiting);
    assert!(timeout(Duration::from_millis(300), &mut waiting).await.is_err(), "nothing is behind it yet");
    run(&mut psql, "ALTER SYSTEM RESET synchronous_standby_names").await;
    run(&mut psql, "SELECT pg_reload_conf()").await;
    writing.await.unwrap();
    create_all(&*pair.writer, [flow(last + 1, "c")]).await;
    timeout(Duration::from_secs(30), waiting).await.expect("it comes");
    let told = read_until(&*pair.writer, Since::After(place), 10, |_| true).await;
    assert_eq!(feed::told(&told), [(last + 1, strom::repository::Operation::Create, 1)]);

    // A transaction that nobody has begun is of a past that was taken back.
    let text = place.to_string();
    let [log, transaction, number] = text.split('.').collect::<Vec<_>>()[..] else { panic!("{text}") };
    let taken_back = format!("{log}.{}.{number}", transaction.parse::<u64>().unwrap() + 1_000).parse().unwrap();
    let error = pair.writer.changes(Since::After(taken_back), 10).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Gone), "{error:?}");
}

/// What the primary has cleaned away the standby has to take from those who still read it. It is no failure of ours.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_the_standby_cancels_can_be_tried_again() {
    let primary = Cluster::start(&["fsync = off", "autovacuum = off", "max_standby_streaming_delay = 0"]).await;
    let writer = primary.repository().await;
    let large = format!(r#""properties":{{"description":"{}"}}"#, "x".repeat(400_000));
    for number in 1..=120 {
        create_all(&*writer, [flow_with(number, "large", &large)]).await;
    }
    let standby = primary.standby().await;
    let reader = open(&standby.url()).await;
    let mut slowly = reader.snapshot();
    slowly.try_next().await.unwrap().expect("the first");
    let mut psql = primary.connect().await;
    run(&mut psql, "DELETE FROM flows").await;
    run(&mut psql, "VACUUM flows").await;
    let gone = async {
        // This read may be the one that is cancelled, too.
        loop {
            match reader.get(id(1)).await {
                Ok(None) => break,
                Ok(Some(_)) | Err(RepositoryError::Busy(_)) => sleep(Duration::from_millis(20)).await,
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    let (read, _) = tokio::join!(
        async {
            sleep(Duration::from_secs(1)).await;
            slowly.try_collect::<Vec<_>>().await
        },
        timeout(Duration::from_secs(30), gone),
    );
    let error = read.expect_err("it was cancelled");
    assert!(matches!(error, RepositoryError::Busy(_)) && error.is_retryable(), "{error:?}");
}
