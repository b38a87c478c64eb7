//! The order of the feed with overlapping transactions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use strom_store::Flow;
use strom_store::internals::Chance;
use strom_store::internals::feed::{self, now, read, read_until};
use strom_store::internals::history::history;
use strom_store::internals::samples::{
    canonical, change, create_all, everything, flow, flow_with, id, number, retry_while_busy, stamp,
};
use strom_store::repository::{Change, Operation, Record, Since};
use strom_test_support::clock;

use strom_test_support::blocked::Blocked;
use strom_test_support::eventually::{eventually, eventually_some};
use strom_test_support::postgres::{Database, count, run, wait_for_count};

use Operation::Update;

fn rename(number: u32, name: &str) -> String {
    format!("UPDATE flows SET name = '{name}' WHERE id = '{}'", id(number))
}

/// The transaction that writes first, and so has the lower id, may be the second to change a flow.
#[tokio::test]
async fn revisions_ascend_when_the_first_transaction_commits_last() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    create_all(&*repository, [flow(1, "a"), flow(2, "b")]).await;
    let (mut first, mut second) = (database.connect().await, database.connect().await);
    run(&mut first, &format!("BEGIN; {}", rename(1, "by the first"))).await;
    run(&mut second, &format!("BEGIN; {}; COMMIT", rename(2, "by the second"))).await;
    run(&mut first, &format!("{}; COMMIT", rename(2, "by the first"))).await;
    let changes = feed::operations(&read(&*repository, Since::Oldest).await);
    assert_eq!(changes[2..], [(2, Update, 2), (1, Update, 2), (2, Update, 3)]);
}

/// Also if a session checks its constraints immediately.
#[tokio::test]
async fn revisions_ascend_with_immediate_constraints() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    create_all(&*repository, [flow(1, "a"), flow(2, "b")]).await;
    let (mut first, mut second) = (database.connect().await, database.connect().await);
    run(&mut first, &format!("BEGIN; SET CONSTRAINTS ALL IMMEDIATE; {}", rename(1, "by the first"))).await;
    run(&mut second, &rename(2, "by the second")).await;
    run(&mut first, &format!("{}; COMMIT", rename(2, "by the first"))).await;
    let changes = feed::operations(&read(&*repository, Since::Oldest).await);
    assert_eq!(changes[2..], [(1, Update, 2), (2, Update, 2), (2, Update, 3)]);
}

/// Waits until a session has asked twice for the end of the feed. A reader that waits asks again only if the first
/// answer does not end its wait.
async fn wait_for_two_polls(database: &Database) {
    let mut observer = database.connect().await;
    let now = "SELECT clock_timestamp()::TEXT";
    let mut since: String = sqlx::query_scalar(now).fetch_one(&mut observer).await.unwrap();
    let next = "SELECT max(query_start)::TEXT FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%newest_seen%'
                    AND query_start > $1::TIMESTAMPTZ";
    for _ in 0..2 {
        since = eventually_some("a session asks for the end of the feed", async || {
            sqlx::query_scalar::<_, Option<String>>(next).bind(&since).fetch_one(&mut observer).await.unwrap()
        })
        .await;
    }
}

/// A change behind an open transaction is in the history at once, and in the feed when the transaction has ended.
#[tokio::test]
async fn feed_holds_back_changes_behind_open_transactions() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    create_all(&*repository, [flow(1, "a"), flow(2, "b")]).await;
    let begin = now(&*repository).await;
    let mut slow = database.connect().await;
    run(&mut slow, &format!("BEGIN; {}", rename(1, "by the slow"))).await;
    change(&*repository, Change::replace(flow(2, "by the fast")), stamp(1)).await;
    let held_back = repository.changes(Since::After(begin), 10).await.unwrap();
    assert_eq!(held_back.changes.len(), 0);
    assert!(held_back.next < held_back.newest, "the page reports that a change is held back");
    assert_eq!(history(&*repository, 2).await[0].revision.number(), 2);
    let mut waiting = repository.changed(begin);
    tokio::select! {
        () = &mut waiting => panic!("no change can be read"),
        () = wait_for_two_polls(&database) => {}
    }
    run(&mut slow, "COMMIT").await;
    waiting.await;
    let is_last = |record: &Record<Flow>| record.author.as_str() == "sql";
    let records = read_until(&*repository, Since::After(begin), 10, is_last).await;
    assert_eq!(feed::operations(&records), [(2, Update, 2), (1, Update, 2)]);
    assert_eq!(records[0].cursor, held_back.newest);
}

/// Sixty-four waiting readers occupy only the connection that listens. Changes by psql wake them as well.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_readers_share_one_connection() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let cursor = now(&*repository).await;
    let waiting = (0..64).map(|_| {
        let repository = Arc::clone(&repository);
        tokio::spawn(async move {
            while retry_while_busy(|| repository.changes(Since::After(cursor), 1)).await.unwrap().changes.is_empty() {
                repository.changed(cursor).await;
            }
        })
    });
    let waiting: Vec<_> = waiting.collect();
    let mut psql = database.connect().await;
    let measured = |name, state: Option<&str>| {
        let all = repository.measurements();
        all.iter().find(|one| one.name == name && one.label.map(|(_, value)| value) == state).unwrap().value
    };
    eventually("waiting readers release their connections", async || {
        measured("postgres_pool_waiting", None) == 0.0 && measured("postgres_pool_connections", Some("in_use")) == 1.0
    })
    .await;
    let mut blocked = Blocked::behind_a_lock(&database, &repository, 3).await;
    retry_while_busy(|| repository.history(id(1), None, 1)).await.expect("a connection is free");
    blocked.release().await;
    for call in blocked.calls {
        call.await.unwrap().unwrap();
    }
    run(&mut psql, &format!("INSERT INTO flows (id, name, data) VALUES ('{}', 'by hand', '{{}}')", id(1))).await;
    for waiter in waiting {
        waiter.await.unwrap();
    }
}

/// Holds for a long table. Summaries, empty pages and histories do not read documents.
#[tokio::test]
async fn feeds_and_histories_use_an_index_and_read_no_documents() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    // Too long for a page of the table, and incompressible.
    let text: String = (0..80).map(|_| clock::new_id().to_string()).collect();
    let flows = (0..1_500).map(|number| flow_with(number, "long", &format!(r#""text":"{text}""#)));
    create_all(&*repository, flows).await;
    change(&*repository, Change::delete(id(7)), stamp(1)).await;
    let cursor = now(&*repository).await;
    repository.close().await.unwrap();
    let repository = database.repository().await;
    // A session reports its statistics when it ends at the latest. This one must end before the reset.
    let mut analyst = database.connect().await;
    run(&mut analyst, "VACUUM ANALYZE flow_changes").await;
    analyst.close().await.unwrap();
    let mut psql = database.connect().await;
    let sessions =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    wait_for_count(&mut psql, sessions, 0).await;
    run(&mut psql, "SELECT pg_stat_reset()").await;
    let mut since = Since::Oldest;
    for _ in 0..5 {
        since = Since::After(repository.change_summaries(since, 10).await.unwrap().next);
    }
    let Since::After(passed) = since else { panic!("the feed has pages") };
    repository.changed(passed).await;
    assert_eq!(repository.changes(Since::After(cursor), 10).await.unwrap().changes.len(), 0);
    assert_eq!(history(&*repository, 7).await.len(), 2);
    repository.close().await.unwrap();
    let reported = "SELECT (idx_scan + seq_scan >= 20)::INT::BIGINT FROM pg_stat_user_tables
                    WHERE relname = 'flow_changes'";
    wait_for_count(&mut psql, reported, 1).await;
    let scans = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'flow_changes'";
    assert_eq!(count(&mut psql, scans).await, 0, "no sequential scan");
    let documents = "SELECT toast_blks_hit + toast_blks_read FROM pg_statio_user_tables
                     WHERE relname = 'flow_changes'";
    assert_eq!(count(&mut psql, documents).await, 0, "no document was read");
}

const WRITERS: u32 = 16;
const TRANSACTIONS: u32 = 12;
/// The flow that ends the test.
const END: u32 = 999;

#[derive(Default)]
struct Committed {
    edits: BTreeSet<String>,
    /// Edits deleted by the same transaction. They are not recorded if the transaction creates the flow again.
    possible: BTreeSet<String>,
}

/// Runs transactions of one to five statements with pauses. Returns the committed edits.
async fn write_at_random(mut psql: PgConnection, writer: u32) -> Committed {
    let mut chance = Chance::new(u64::from(writer));
    let mut committed = Committed::default();
    for transaction in 0..TRANSACTIONS {
        let (mut edits, mut possible) = (Vec::new(), Vec::new());
        // Ascending, so that transactions do not deadlock.
        let mut shared = chance.below(3);
        let mut done = sqlx::raw_sql("BEGIN").execute(&mut psql).await.map(drop);
        for statement in 0..=chance.below(5) {
            let edit = format!("{writer}/{transaction}/{statement}");
            // Usually its own flow first, so that the transaction has its id before it waits for another one.
            let own = statement == 0 && chance.below(4) > 0;
            let flow = if own { 100 + writer } else { shared as u32 };
            shared += chance.below(3);
            let data = format!(r#"{{"edit": "{edit}"}}"#);
            let sql = match chance.below(10) {
                0 => {
                    possible.extend(edits.extract_if(.., |(edited, _)| *edited == flow));
                    format!("DELETE FROM flows WHERE id = '{}'", id(flow))
                }
                // Creates interleavings.
                1 => format!("SELECT pg_sleep({})", chance.below(15) as f64 / 1_000.0),
                _ => {
                    edits.push((flow, edit));
                    format!(
                        "INSERT INTO flows (id, name, data) VALUES ('{}', 'at random', '{data}')
                         ON CONFLICT (id) DO UPDATE SET data = EXCLUDED.data",
                        id(flow)
                    )
                }
            };
            if done.is_ok() {
                done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut psql).await.map(drop);
            }
            // Creates interleavings.
            tokio::time::sleep(Duration::from_millis(chance.below(6))).await;
        }
        let end = if done.is_ok() && chance.below(8) > 0 { "COMMIT" } else { "ROLLBACK" };
        let ended = sqlx::raw_sql(end).execute(&mut psql).await;
        if end == "COMMIT" && ended.is_ok() {
            committed.edits.extend(edits.into_iter().map(|(_, edit)| edit));
            committed.possible.extend(possible.into_iter().map(|(_, edit)| edit));
        }
    }
    committed
}

/// Reads to the end in pages of random size. Sometimes closes the repository and continues with a new one from its last
/// cursor.
async fn read_at_random(database: Arc<Database>, reader: u32) -> Vec<Record<Flow>> {
    let mut chance = Chance::new(u64::from(1_000 + reader));
    let mut repository = database.repository().await;
    let mut cursor = "0.0.0".to_owned();
    let mut records = Vec::new();
    loop {
        let limit = 1 + chance.below(9) as u32;
        let feed = repository.changes(Since::After(cursor.parse().unwrap()), limit).await.unwrap();
        let is_empty = feed.changes.is_empty();
        cursor = feed.next.to_string();
        let end = feed.changes.iter().any(|record| number(record.item.id()) == END);
        records.extend(feed.changes);
        if end {
            repository.close().await.unwrap();
            return records;
        }
        if chance.below(20) == 0 {
            repository.close().await.unwrap();
            // Creates interleavings.
            tokio::time::sleep(Duration::from_millis(chance.below(50))).await;
            repository = database.repository().await;
        } else if is_empty {
            repository.changed(feed.next).await;
        }
    }
}

fn edit_of(flow: &Flow) -> Option<String> {
    let (_, edit) = flow.document().get().split_once(r#""edit": ""#)?;
    edit.split_once('"').map(|(edit, _)| edit.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn overlapping_transactions_reach_every_reader_once_and_in_one_order() {
    let database = Arc::new(Database::migrated().await);
    let repository = database.repository().await;
    let readers: Vec<_> = (0..4).map(|reader| tokio::spawn(read_at_random(Arc::clone(&database), reader))).collect();
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        writers.push(tokio::spawn(write_at_random(database.connect().await, writer)));
    }
    let mut committed = Committed::default();
    for writer in join_all(writers).await {
        let Committed { edits, possible } = writer.unwrap();
        committed.edits.extend(edits);
        committed.possible.extend(possible);
    }
    create_all(&*repository, [flow(END, "end")]).await;
    let feeds: Vec<_> = join_all(readers).await.into_iter().map(Result::unwrap).collect();
    let cursors = |feed: &[Record<Flow>]| feed.iter().map(|record| record.cursor).collect::<Vec<_>>();
    for feed in &feeds {
        assert_eq!(cursors(feed), cursors(&feeds[0]), "all readers see one order");
    }
    let mut copy = BTreeMap::new();
    let mut revisions = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for record in &feeds[0] {
        let flow = record.item.id();
        let last = revisions.insert(flow, record.revision.number()).unwrap_or(0);
        assert_eq!(record.revision.number(), last + 1, "of {flow}");
        match record.operation {
            Operation::Delete => drop(copy.remove(&flow)),
            _ => {
                copy.insert(flow, canonical(&record.item));
                assert!(edit_of(&record.item).is_none_or(|edit| seen.insert(edit)), "each change is received once");
            }
        }
    }
    assert!(committed.edits.len() > 100, "most transactions succeed: {}", committed.edits.len());
    seen.retain(|edit| !committed.possible.contains(edit));
    assert_eq!(seen, committed.edits);
    let current = everything(&*repository).await.into_iter().map(|stored| (stored.item.id(), canonical(&stored.item)));
    assert_eq!(copy, current.collect());
}

/// A restored dump has another log. A reader at the end of the old log is at the start of the new one, and waits.
#[tokio::test(flavor = "multi_thread")]
async fn reader_at_the_end_before_a_dump_waits_for_the_next_change_after_it() {
    let database = Database::migrated().await;
    let original = database.repository().await;
    create_all(&*original, [flow(1, "a")]).await;
    let cursor = feed::end(&*original).await;
    original.close().await.unwrap();
    let copied = database.copied().await;
    let copy = copied.repository().await;
    let feed = copy.changes(Since::After(cursor), 10).await.unwrap();
    assert_eq!((feed.changes.len(), feed.next), (0, feed.newest));
    tokio::select! {
        () = copy.changed(feed.next) => panic!("no change can be read"),
        () = wait_for_two_polls(&copied) => {}
    }
    change(&*copy, Change::replace(flow(1, "b")), stamp(1)).await;
    let is_last = |record: &Record<Flow>| record.revision.number() == 1002;
    assert_eq!(feed::operations(&read_until(&*copy, Since::After(feed.next), 10, is_last).await), [(1, Update, 1002)]);
}
