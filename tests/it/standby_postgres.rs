//! Read-only instances on a streaming standby while its primary accepts writes.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures::TryStreamExt;
use sqlx::PgConnection;
use strom_store::internals::feed::{self, read_until};
use strom_store::internals::history::history;
use strom_store::internals::samples::{change, create_all, flow, found, id, number, stamp};
use strom_store::repository::{Change, FeedCursor, Record, RepositoryError, Since};
use strom_store::testkit::reading;
use strom_store::{Flow, FlowRepository};
use tokio::time::timeout;

use strom_test_support::eventually::{HANGS, eventually};
use strom_test_support::pair::Pair;
use strom_test_support::postgres::{count, run, wait_for_count};

/// A writer on a primary, and a reader on its standby.
struct Instances {
    pair: Pair,
    writer: Arc<dyn FlowRepository>,
    reader: Arc<dyn FlowRepository>,
}

impl Instances {
    async fn on(pair: Pair) -> Self {
        let (writer, reader) = (pair.writer().await, pair.reader().await);
        Self { pair, writer, reader }
    }

    async fn end_of_feed(&self) -> FeedCursor {
        feed::end(&*self.writer).await
    }

    /// Waits until the standby has a flow.
    async fn arrival(&self, number: u32) {
        eventually("the standby follows", async || found(&*self.reader, number).await.is_some()).await;
    }
}

/// Panics if this wait ends before its second poll. A second poll shows that the result of the first did not end the
/// wait. The activity view contains the start of the last statement of each session.
async fn assert_keeps_waiting(mut waiting: Pin<&mut impl Future<Output = ()>>, observer: &mut PgConnection) {
    let polls = "SELECT pid::TEXT || ' ' || query_start::TEXT FROM pg_stat_activity
                 WHERE application_name LIKE 'strom/%' AND datname = current_database() AND query LIKE '%AS newest_seen%'";
    let mut polls_so_far = async || -> BTreeSet<String> {
        let polls = sqlx::query_scalar::<_, String>(polls).fetch_all(&mut *observer).await.unwrap();
        polls.into_iter().collect()
    };
    let mut seen = polls_so_far().await;
    let before = seen.len();
    tokio::select! {
        () = &mut waiting => panic!("no change can be read yet"),
        () = eventually("the reader polls", async || {
            seen.extend(polls_so_far().await);
            seen.len() >= before + 2
        }) => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn standby_shows_everything_and_rejects_changes() {
    let Instances { pair: _pair, writer, reader } = Instances::on(Pair::shared().await).await;
    reading::reader_rejects_changes_and_sees_everything(writer, reader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn standby_feed_equals_the_feed_of_the_primary() {
    let Instances { pair: _pair, writer, reader } = Instances::on(Pair::shared().await).await;
    reading::reader_feed_equals_the_feed_of_the_writer(writer, reader).await;
}

/// The transaction has an id but has written nothing yet, so that the standby does not know it.
#[tokio::test(flavor = "multi_thread")]
async fn standby_feed_holds_back_changes_behind_open_transactions() {
    let instances = Instances::on(Pair::alone().await).await;
    create_all(&*instances.writer, [flow(1, "a"), flow(2, "b")]).await;
    let begin = instances.end_of_feed().await;
    let mut slow = instances.pair.connect(instances.pair.primary()).await;
    run(&mut slow, "BEGIN; SELECT pg_current_xact_id()").await;
    change(&*instances.writer, Change::replace(flow(2, "by the fast")), stamp(1)).await;
    create_all(&*instances.writer, [flow(3, "c")]).await;
    instances.arrival(3).await;
    assert_eq!(history(&*instances.reader, 2).await[0].revision.number(), 2, "the standby has the change");
    assert_eq!(
        instances.reader.changes(Since::After(begin), 10).await.unwrap().changes.len(),
        0,
        "the feed holds it back"
    );
    let waiting = instances.reader.changed(begin);
    tokio::pin!(waiting);
    let mut observer = instances.pair.connect(instances.pair.standby()).await;
    assert_keeps_waiting(waiting.as_mut(), &mut observer).await;
    run(&mut slow, &format!("UPDATE flows SET name = 'by the slow' WHERE id = '{}'; COMMIT", id(1))).await;
    waiting.await;
    let is_last = |record: &Record<Flow>| record.author.as_str() == "sql";
    let on_standby = read_until(&*instances.reader, Since::After(begin), 10, is_last).await;
    let on_primary = read_until(&*instances.writer, Since::After(begin), 10, is_last).await;
    assert_eq!(feed::operations(&on_standby), feed::operations(&on_primary));
    assert_eq!(on_standby.len(), 3);
}

/// The standby has not replayed the cursor of a reader. The reader waits and misses no change.
#[tokio::test(flavor = "multi_thread")]
async fn standby_waits_for_a_cursor_of_the_primary() {
    let instances = Instances::on(Pair::alone().await).await;
    create_all(&*instances.writer, [flow(1, "a")]).await;
    instances.arrival(1).await;
    let mut standby = instances.pair.connect(instances.pair.standby()).await;
    run(&mut standby, "SELECT pg_wal_replay_pause()").await;
    create_all(&*instances.writer, [flow(2, "b")]).await;
    let cursor = instances.end_of_feed().await;
    create_all(&*instances.writer, [flow(3, "c")]).await;

    let feed = instances.reader.changes(Since::After(cursor), 10).await.unwrap();
    assert_eq!((feed.changes.len(), feed.next), (0, cursor));
    let waiting = instances.reader.changed(cursor);
    tokio::pin!(waiting);
    assert_keeps_waiting(waiting.as_mut(), &mut standby).await;
    run(&mut standby, "SELECT pg_wal_replay_resume()").await;
    timeout(HANGS, waiting).await.expect("the change arrives");
    let changes = read_until(&*instances.reader, Since::After(cursor), 10, |_| true).await;
    assert_eq!(feed::operations(&changes), [(3, strom_store::repository::Operation::Create, 1)]);

    // A cursor of another log returns an error.
    let text = cursor.to_string();
    let (log_and_transaction, number) = text.rsplit_once('.').unwrap();
    let (log, transaction) = log_and_transaction.split_once('.').unwrap();
    let of_another_log = format!("{}.{transaction}.{number}", log.parse::<u64>().unwrap() + 1).parse().unwrap();
    let error = instances.reader.changes(Since::After(of_another_log), 10).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Gone), "{error:?}");
}

/// The standby shows a commit before the primary does, because the primary waits for another standby. A reader that
/// brings the cursor from the standby to the primary waits and misses no change.
#[tokio::test(flavor = "multi_thread")]
async fn primary_waits_for_a_cursor_of_the_standby() {
    let instances = Instances::on(Pair::alone().await).await;
    create_all(&*instances.writer, [flow(1, "a")]).await;
    let begin = instances.end_of_feed().await;
    let mut psql = instances.pair.connect(instances.pair.primary()).await;
    run(&mut psql, "ALTER SYSTEM SET synchronous_standby_names = 'absent'").await;
    run(&mut psql, "SELECT pg_reload_conf()").await;
    // The server reloads the setting with a delay, so some calls may still succeed.
    let (last, is_enough) = (Arc::new(AtomicU32::new(1)), Arc::new(AtomicBool::new(false)));
    let writing = tokio::spawn({
        let (writer, last, is_enough) = (instances.writer.clone(), Arc::clone(&last), Arc::clone(&is_enough));
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
    let cursor = read_until(&*instances.reader, Since::After(begin), 10, is_last).await.last().unwrap().cursor;
    assert!(found(&*instances.writer, last).await.is_none(), "the primary does not show the flow");

    // Also after other transactions with higher ids have ended.
    for _ in 0..2 {
        let feed = instances.writer.changes(Since::After(cursor), 10).await.unwrap();
        assert_eq!((feed.changes.len(), feed.next), (0, cursor));
        run(&mut psql, "BEGIN; SELECT pg_current_xact_id(); ROLLBACK").await;
    }
    let waiting = instances.writer.changed(cursor);
    tokio::pin!(waiting);
    assert_keeps_waiting(waiting.as_mut(), &mut psql).await;
    run(&mut psql, "ALTER SYSTEM RESET synchronous_standby_names").await;
    run(&mut psql, "SELECT pg_reload_conf()").await;
    writing.await.unwrap();
    create_all(&*instances.writer, [flow(last + 1, "c")]).await;
    timeout(HANGS, waiting).await.expect("the change arrives");
    let changes = read_until(&*instances.writer, Since::After(cursor), 10, |_| true).await;
    assert_eq!(feed::operations(&changes), [(last + 1, strom_store::repository::Operation::Create, 1)]);

    // A cursor with a transaction that does not exist is from a timeline that was discarded.
    let text = cursor.to_string();
    let [log, transaction, number] = text.split('.').collect::<Vec<_>>()[..] else { panic!("{text}") };
    let discarded = format!("{log}.{}.{number}", transaction.parse::<u64>().unwrap() + 1_000).parse().unwrap();
    let error = instances.writer.changes(Since::After(discarded), 10).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Gone), "{error:?}");
}

/// The standby cancels reads of rows that VACUUM on the primary has removed. This is not an error of Strom.
#[tokio::test(flavor = "multi_thread")]
async fn read_cancelled_by_the_standby_is_retryable() {
    let Instances { pair, reader, .. } = Instances::on(Pair::alone().await).await;
    let (mut psql, mut standby) = (pair.connect(pair.primary()).await, pair.connect(pair.standby()).await);
    // More data than fits into the buffers of a connection that is not read. The log of the server shows the conflict.
    let large = "INSERT INTO flows (id, name, data)
                 SELECT gen_random_uuid(), 'large', jsonb_build_object('n', repeat('x', 400000)) FROM generate_series(1, 120)";
    run(&mut psql, large).await;
    let settings =
        [("max_standby_streaming_delay", "0"), ("log_recovery_conflict_waits", "on"), ("deadlock_timeout", "1")];
    for (name, value) in settings {
        run(&mut standby, &format!("ALTER SYSTEM SET {name} = {value}")).await;
    }
    run(&mut standby, "SELECT pg_reload_conf()").await;
    pair.caught_up().await;
    let conflicts =
        "SELECT (length(log) - length(replace(log, 'recovery conflict', '')))::BIGINT FROM pg_read_file('log') AS log";
    let before = count(&mut standby, conflicts).await;

    let mut unread = reader.snapshot();
    unread.try_next().await.unwrap().expect("the first flow");
    let sending = "SELECT COUNT(*) FROM pg_stat_activity
                   WHERE application_name LIKE 'strom/%' AND datname = current_database() AND wait_event = 'ClientWrite'";
    wait_for_count(&mut standby, sending, 1).await;
    run(&mut psql, "DELETE FROM flows").await;
    run(&mut psql, "VACUUM flows").await;
    eventually("the standby waits for the reader", async || count(&mut standby, conflicts).await > before).await;
    let error = unread.try_collect::<Vec<_>>().await.expect_err("the standby cancels the read");
    assert!(matches!(error, RepositoryError::Busy(_)) && error.is_retryable(), "{error:?}");
    eventually("a retry succeeds", async || match reader.snapshot().try_collect::<Vec<_>>().await {
        Ok(flows) => flows.is_empty(),
        // Between two statements of a read the server ends the session instead.
        Err(error) if error.is_retryable() => false,
        Err(error) => panic!("{error:?}"),
    })
    .await;
    for (name, _) in settings {
        run(&mut standby, &format!("ALTER SYSTEM RESET {name}")).await;
    }
    run(&mut standby, "SELECT pg_reload_conf()").await;
}
