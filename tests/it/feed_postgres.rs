//! The order of the feed, whatever transactions do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use strom::repository::{Change, Operation, Record, Since};
use strom::testkit::chance::Chance;
use strom::testkit::feed::{self, now, read, read_until};
use strom::testkit::history::history;
use strom::testkit::samples::{canonical, change, create_all, everything, flow, flow_with, id, number, stamp};
use strom::{Flow, clock};

use crate::support::blocked::Blocked;
use crate::support::postgres::{Database, count, run, wait_for_count};

use Operation::Update;

fn rename(number: u32, name: &str) -> String {
    format!("UPDATE flows SET name = '{name}' WHERE id = '{}'", id(number))
}

/// The first to write, and so the one with the lower transaction id, may be the second to change a flow.
#[tokio::test]
async fn revisions_ascend_when_the_first_to_begin_is_the_last_to_end() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    create_all(&*repository, [flow(1, "a"), flow(2, "b")]).await;
    let (mut first, mut second) = (database.connect().await, database.connect().await);
    run(&mut first, &format!("BEGIN; {}", rename(1, "by the first"))).await;
    run(&mut second, &format!("BEGIN; {}; COMMIT", rename(2, "by the second"))).await;
    run(&mut first, &format!("{}; COMMIT", rename(2, "by the first"))).await;
    let told = feed::told(&read(&*repository, Since::Oldest).await);
    assert_eq!(told[2..], [(2, Update, 2), (1, Update, 2), (2, Update, 3)]);
}

/// Also where somebody has his constraints checked at once.
#[tokio::test]
async fn revisions_ascend_when_records_are_made_early() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    create_all(&*repository, [flow(1, "a"), flow(2, "b")]).await;
    let (mut first, mut second) = (database.connect().await, database.connect().await);
    run(&mut first, &format!("BEGIN; SET CONSTRAINTS ALL IMMEDIATE; {}", rename(1, "by the first"))).await;
    run(&mut second, &rename(2, "by the second")).await;
    run(&mut first, &format!("{}; COMMIT", rename(2, "by the first"))).await;
    let told = feed::told(&read(&*repository, Since::Oldest).await);
    assert_eq!(told[2..], [(1, Update, 2), (2, Update, 2), (2, Update, 3)]);
}

/// What may still be overtaken is not told yet; but it is in the history, and told when the way is free.
#[tokio::test]
async fn a_change_waits_for_the_transactions_that_could_overtake_it() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    create_all(&*repository, [flow(1, "a"), flow(2, "b")]).await;
    let begin = now(&*repository).await;
    let mut slow = database.connect().await;
    run(&mut slow, &format!("BEGIN; {}", rename(1, "by the slow"))).await;
    change(&*repository, Change::replace(flow(2, "by the fast")), stamp(1)).await;
    let held_back = repository.changes(Since::After(begin), 10).await.unwrap();
    assert_eq!(held_back.changes.len(), 0);
    assert!(held_back.next < held_back.newest, "it tells that there is something");
    assert_eq!(history(&*repository, 2).await[0].revision.number(), 2);
    let waiting = repository.changed(begin);
    tokio::pin!(waiting);
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut waiting).await.is_err(), "nothing can be read");
    run(&mut slow, "COMMIT").await;
    waiting.await;
    let is_last = |record: &Record<Flow>| record.author.as_str() == "sql";
    let records = read_until(&*repository, Since::After(begin), 10, is_last).await;
    assert_eq!(feed::told(&records), [(2, Update, 2), (1, Update, 2)]);
    assert_eq!(records[0].cursor, held_back.newest);
}

/// Sixty-four who wait hold the connection that is listened on, leave the others to those who work, and are woken by psql as
/// well.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_holds_no_connection_of_his_own() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let place = now(&*repository).await;
    let waiting = (0..64).map(|_| {
        let repository = Arc::clone(&repository);
        tokio::spawn(async move {
            while repository.changes(Since::After(place), 1).await.unwrap().changes.is_empty() {
                repository.changed(place).await;
            }
        })
    });
    let waiting: Vec<_> = waiting.collect();
    let mut psql = database.connect().await;
    // Until all look at the table only now and then, each for a moment.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut blocked = Blocked::behind_a_lock(&database, &repository, 3).await;
    repository.history(id(1), None, 1).await.expect("a connection is left");
    blocked.release().await;
    for call in blocked.calls {
        call.await.unwrap().unwrap();
    }
    run(&mut psql, &format!("INSERT INTO flows (id, name, data) VALUES ('{}', 'by hand', '{{}}')", id(1))).await;
    for waiter in waiting {
        waiter.await.unwrap();
    }
}

/// However long the table is, and whoever shows heads alone.
#[tokio::test]
async fn feeds_and_histories_use_an_index_and_leave_documents_alone() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    // Too long for a page, and not to be compressed.
    let text: String = (0..80).map(|_| clock::new_id().to_string()).collect();
    let flows = (0..1_500).map(|number| flow_with(number, "long", &format!(r#""text":"{text}""#)));
    create_all(&*repository, flows).await;
    change(&*repository, Change::delete(id(7)), stamp(1)).await;
    let place = now(&*repository).await;
    repository.close().await;
    let repository = database.repository().await;
    // Sessions report what they have done when they end, at the latest: this one must not do so later.
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
    let Since::After(passed) = since else { panic!("there are pages") };
    repository.changed(passed).await;
    assert_eq!(repository.changes(Since::After(place), 10).await.unwrap().changes.len(), 0);
    assert_eq!(history(&*repository, 7).await.len(), 2);
    repository.close().await;
    let reported = "SELECT (idx_scan + seq_scan >= 20)::INT::BIGINT FROM pg_stat_user_tables
                    WHERE relname = 'flow_changes'";
    wait_for_count(&mut psql, reported, 1).await;
    let scans = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'flow_changes'";
    assert_eq!(count(&mut psql, scans).await, 0, "nothing read the whole table");
    let documents = "SELECT toast_blks_hit + toast_blks_read FROM pg_statio_user_tables
                     WHERE relname = 'flow_changes'";
    assert_eq!(count(&mut psql, documents).await, 0, "nothing read a document");
}

const WRITERS: u32 = 16;
const TRANSACTIONS: u32 = 12;
/// The flow that ends the test.
const END: u32 = 999;

#[derive(Default)]
struct Committed {
    edits: BTreeSet<String>,
    /// Deleted by the same transaction: if the flow then came back, they never were.
    perhaps: BTreeSet<String>,
}

/// Transactions of one to five statements with pauses between them; gives the edits that were committed.
async fn write_at_random(mut psql: PgConnection, writer: u32) -> Committed {
    let mut chance = Chance::new(u64::from(writer));
    let mut committed = Committed::default();
    for transaction in 0..TRANSACTIONS {
        let (mut edits, mut perhaps) = (Vec::new(), Vec::new());
        // Ascending, so that nobody waits in a circle.
        let mut shared = chance.below(3);
        let mut done = sqlx::raw_sql("BEGIN").execute(&mut psql).await.map(drop);
        for statement in 0..=chance.below(5) {
            let edit = format!("{writer}/{transaction}/{statement}");
            // Its own first, mostly: then the transaction has its id before it waits for anybody.
            let own = statement == 0 && chance.below(4) > 0;
            let flow = if own { 100 + writer } else { shared as u32 };
            shared += chance.below(3);
            let data = format!(r#"{{"edit": "{edit}"}}"#);
            let sql = match chance.below(10) {
                0 => {
                    perhaps.extend(edits.extract_if(.., |(edited, _)| *edited == flow));
                    format!("DELETE FROM flows WHERE id = '{}'", id(flow))
                }
                1 => format!("SELECT pg_sleep({})", chance.below(30) as f64 / 1_000.0),
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
            tokio::time::sleep(Duration::from_millis(chance.below(12))).await;
        }
        let end = if done.is_ok() && chance.below(8) > 0 { "COMMIT" } else { "ROLLBACK" };
        let ended = sqlx::raw_sql(end).execute(&mut psql).await;
        if end == "COMMIT" && ended.is_ok() {
            committed.edits.extend(edits.into_iter().map(|(_, edit)| edit));
            committed.perhaps.extend(perhaps.into_iter().map(|(_, edit)| edit));
        }
    }
    committed
}

/// Reads in pages of its own size to the end; now and then goes away, and goes on later by another connection from the
/// place that it has written down.
async fn read_at_random(database: Arc<Database>, reader: u32) -> Vec<Record<Flow>> {
    let mut chance = Chance::new(u64::from(1_000 + reader));
    let mut repository = database.repository().await;
    let mut place = "0.0.0".to_owned();
    let mut records = Vec::new();
    loop {
        let limit = 1 + chance.below(9) as u32;
        let feed = repository.changes(Since::After(place.parse().unwrap()), limit).await.unwrap();
        let nothing = feed.changes.is_empty();
        place = feed.next.to_string();
        let end = feed.changes.iter().any(|record| number(record.item.id()) == END);
        records.extend(feed.changes);
        if end {
            repository.close().await;
            return records;
        }
        if chance.below(20) == 0 {
            repository.close().await;
            tokio::time::sleep(Duration::from_millis(chance.below(200))).await;
            repository = database.repository().await;
        } else if nothing {
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
        let Committed { edits, perhaps } = writer.unwrap();
        committed.edits.extend(edits);
        committed.perhaps.extend(perhaps);
    }
    create_all(&*repository, [flow(END, "end")]).await;
    let feeds: Vec<_> = join_all(readers).await.into_iter().map(Result::unwrap).collect();
    let cursors = |feed: &[Record<Flow>]| feed.iter().map(|record| record.cursor).collect::<Vec<_>>();
    for feed in &feeds {
        assert_eq!(cursors(feed), cursors(&feeds[0]), "one order for all");
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
                assert!(edit_of(&record.item).is_none_or(|edit| seen.insert(edit)), "each change once");
            }
        }
    }
    assert!(committed.edits.len() > 100, "most transactions succeed: {}", committed.edits.len());
    seen.retain(|edit| !committed.perhaps.contains(edit));
    assert_eq!(seen, committed.edits);
    let there = everything(&*repository).await.into_iter().map(|stored| (stored.item.id(), canonical(&stored.item)));
    assert_eq!(copy, there.collect());
}

/// A restored dump begins another log. Who had read all of the old one is at its beginning, and waits there.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_read_everything_before_a_dump_waits_for_the_next_change_after_it() {
    let database = Database::migrated().await;
    let original = database.repository().await;
    create_all(&*original, [flow(1, "a")]).await;
    let read = feed::end(&*original).await;
    original.close().await;
    let copied = database.copied().await;
    let copy = copied.repository().await;
    let feed = copy.changes(Since::After(read), 10).await.unwrap();
    assert_eq!((feed.changes.len(), feed.next), (0, feed.newest));
    let waiting = copy.changed(feed.next);
    assert!(tokio::time::timeout(Duration::from_millis(500), waiting).await.is_err(), "there is nothing new");
    change(&*copy, Change::replace(flow(1, "b")), stamp(1)).await;
    let is_last = |record: &Record<Flow>| record.revision.number() == 2;
    assert_eq!(feed::told(&read_until(&*copy, Since::After(feed.next), 10, is_last).await), [(1, Update, 2)]);
}
