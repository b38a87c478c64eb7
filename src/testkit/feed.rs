//! The feed contains each change once and in order, from any cursor on.

use crate::repository::FlowRepositoryExt as _;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::chance::Chance;
use super::feed_reader::{END, now, operations, read, read_in_pages, read_until};
use super::samples::{
    canonical, change, change_all, create_all, everything, flow, flow_with, id, number, parse, retry_while_busy,
    revision, stamp, time,
};
use super::waiting::in_time;
use crate::flow::Flow;
use crate::repository::{
    Author, Change, FeedCursor, FlowRepository, Operation, Precondition, Record, RepositoryError, Since, Stamp,
};

async fn five_changes(repository: &dyn FlowRepository) {
    create_all(repository, [flow(1, "a")]).await;
    create_all(repository, [flow(2, "b")]).await;
    change(repository, Change::replace(flow_with(1, "aa", r#""n":1.10"#)), stamp(1)).await;
    change(repository, Change::delete(id(2)), stamp(2)).await;
    let deleted = revision(repository, 2, 2).await.expect("the revision is retained").item;
    change(repository, Change::Restore(deleted, Precondition::Any), stamp(3)).await;
}

const FIVE: [(u32, Operation, u64); 5] = [
    (1, Operation::Create, 1),
    (2, Operation::Create, 1),
    (1, Operation::Update, 2),
    (2, Operation::Delete, 2),
    (2, Operation::Restore, 3),
];

/// Changes come in the order of the histories.
pub async fn feed_has_the_order_of_the_histories(repository: Arc<dyn FlowRepository>) {
    five_changes(&*repository).await;
    let records = read(&*repository, Since::Oldest).await;
    assert_eq!(operations(&records), FIVE);
    assert!(records.is_sorted_by(|a, b| a.cursor < b.cursor), "cursors increase in the order of the changes");
    for record in records {
        let flow = number(record.item.id());
        let recorded =
            revision(&*repository, flow, record.revision.number()).await.expect("the history contains the revision");
        assert_eq!((recorded.cursor, recorded.operation, recorded.at), (record.cursor, record.operation, record.at));
        assert_eq!((&recorded.author, canonical(&recorded.item)), (&record.author, canonical(&record.item)));
    }
}

/// Pages of any size make up the feed. An empty page ends at its start.
pub async fn pages_add_up_to_the_feed(repository: Arc<dyn FlowRepository>) {
    five_changes(&*repository).await;
    for limit in [1, 2, 3, 7] {
        assert_eq!(operations(&read_in_pages(&*repository, Since::Oldest, limit).await), FIVE, "pages of {limit}");
    }
    let end = now(&*repository).await;
    for limit in [0, 5] {
        let empty = repository.changes(Since::After(end), limit).await.expect("changes work");
        assert_eq!((empty.changes.len(), empty.next), (0, end));
    }
}

/// A reader that continues after a change receives exactly the changes after it.
pub async fn feed_continues_after_every_cursor(repository: Arc<dyn FlowRepository>) {
    five_changes(&*repository).await;
    for (index, record) in read(&*repository, Since::Oldest).await.iter().enumerate() {
        let cursor: FeedCursor = record.cursor.to_string().parse().expect("a cursor can be parsed");
        assert_eq!(operations(&read(&*repository, Since::After(cursor)).await), FIVE[index + 1..]);
    }
}

/// `Since::Now` excludes everything that has happened.
pub async fn since_now_excludes_past_changes(repository: Arc<dyn FlowRepository>) {
    five_changes(&*repository).await;
    let now = now(&*repository).await;
    assert_eq!(operations(&read(&*repository, Since::After(now)).await), []);
    change(&*repository, Change::delete(id(1)), stamp(4)).await;
    assert_eq!(operations(&read(&*repository, Since::After(now)).await), [(1, Operation::Delete, 3)]);
}

/// The feed contains the newest report of a flow, with the unchanged revision and its own time and author, until the flow
/// changes again. A reader that has read an earlier report continues from there.
pub async fn feed_contains_the_newest_report(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "a"), flow(2, "b")]).await;
    let mut begin = now(&*repository).await;
    let mut cursors = vec![begin];
    for (seconds, state) in [(1, "Ready"), (2, "Playing"), (3, "Paused")] {
        let report = flow_with(1, "a", &format!(r#""gst_state":"{state}""#));
        change(&*repository, Change::replace(report.clone()), Stamp::new(time(seconds), Author::new("engine"))).await;
        let records = read(&*repository, Since::After(begin)).await;
        let [record] = &records[..] else { panic!("one report: {:?}", operations(&records)) };
        assert_eq!((operations(&records), record.at), (vec![(1, Operation::State, 1)], time(seconds)));
        assert_eq!((record.author.as_str(), canonical(&record.item)), ("engine", canonical(&report)));
        begin = record.cursor;
        cursors.push(begin);
        let all = operations(&read(&*repository, Since::Oldest).await);
        assert_eq!(all, [(1, Operation::Create, 1), (2, Operation::Create, 1), (1, Operation::State, 1)]);
    }
    change(&*repository, Change::replace(flow_with(1, "c", r#""gst_state":"Paused""#)), stamp(4)).await;
    let report = flow_with(2, "b", r#""gst_state":"Ready""#);
    change(&*repository, Change::replace(report), stamp(5)).await;
    for cursor in cursors {
        let rest = operations(&read(&*repository, Since::After(cursor)).await);
        assert_eq!(rest, [(1, Operation::Update, 2), (2, Operation::State, 1)]);
    }
    change(&*repository, Change::delete(id(2)), stamp(6)).await;
    let rest = operations(&read(&*repository, Since::After(begin)).await);
    assert_eq!(rest, [(1, Operation::Update, 2), (2, Operation::Delete, 2)]);
    assert_eq!(repository.history(id(1), None, 10).await.expect("history works").len(), 2, "reports are no history");
}

/// The same document with another spelling is not a change.
pub async fn other_spellings_are_not_in_the_feed(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow_with(1, "a", r#""x":1.10,"y":2,"running":true"#)]).await;
    let spelled = parse(&format!(r#"{{"y":2.0,"running":true,"x":11e-1,"name":"a","id":"{}"}}"#, id(1)));
    change(&*repository, Change::replace(spelled.clone()), stamp(1)).await;
    change(&*repository, Change::Restore(spelled, Precondition::Any), stamp(2)).await;
    assert_eq!(operations(&read(&*repository, Since::Oldest).await), [(1, Operation::Create, 1)]);
}

/// A call that fails or has no effect is not in the feed.
pub async fn calls_without_effect_are_not_in_the_feed(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "a")]).await;
    let changes = vec![Change::replace(flow(1, "aa")), Change::create(flow(2, "b")), Change::delete(id(3))];
    repository.apply_all(changes, stamp(1)).await.expect_err("the third flow does not exist");
    change(&*repository, Change::Delete(id(3), Precondition::Any), stamp(2)).await;
    change(&*repository, Change::replace(flow(1, "a")), stamp(3)).await;
    assert_eq!(operations(&read(&*repository, Since::Oldest).await), [(1, Operation::Create, 1)]);
}

/// A cursor of another store, or one ahead of the feed, is rejected.
pub async fn unknown_cursor_returns_gone(repository: Arc<dyn FlowRepository>) {
    five_changes(&*repository).await;
    let end = now(&*repository).await;
    let unknown = [
        FeedCursor { log: end.log + 1, ..end },
        FeedCursor { transaction: end.transaction + 1_000_000_000, ..end },
        FeedCursor { number: end.number + 1_000_000_000, ..end },
        FeedCursor { log: i64::MAX as u64, transaction: 0, number: 0 },
    ];
    for cursor in unknown {
        let documents = repository.changes(Since::After(cursor), 1).await.err();
        let summaries = repository.change_summaries(Since::After(cursor), 1).await.err();
        assert!(matches!(documents, Some(RepositoryError::Gone)), "{cursor}: {documents:?}");
        assert!(matches!(summaries, Some(RepositoryError::Gone)), "{cursor}: {summaries:?}");
        let waiting = repository.changed(cursor);
        in_time("a reader at an unknown cursor does not wait", waiting).await;
    }
}

/// The next change wakes a reader that waits at the end. A reader at an earlier cursor does not wait.
pub async fn change_wakes_a_waiting_reader(repository: Arc<dyn FlowRepository>) {
    let cursor = now(&*repository).await;
    let waiter = tokio::spawn({
        let repository = Arc::clone(&repository);
        async move {
            // The wait may return without a change.
            while repository.changes(Since::After(cursor), 1).await.expect("changes work").changes.is_empty() {
                repository.changed(cursor).await;
            }
        }
    });
    tokio::task::yield_now().await;
    create_all(&*repository, [flow(1, "a")]).await;
    in_time("the change wakes the reader", waiter).await.expect("the reader does not panic");
    in_time("a reader before the change does not wait", repository.changed(cursor)).await;
}

/// Summaries agree with documents.
pub async fn change_summaries_agree_with_changes(repository: Arc<dyn FlowRepository>) {
    five_changes(&*repository).await;
    now(&*repository).await;
    let documents = repository.changes(Since::Oldest, 4).await.expect("changes work");
    let summaries = repository.change_summaries(Since::Oldest, 4).await.expect("summaries work");
    assert_eq!((documents.changes.len(), summaries.changes.len(), summaries.next), (4, 4, documents.next));
    for (flow, head) in documents.changes.iter().zip(&summaries.changes) {
        assert_eq!((head.cursor, head.operation, &head.item), (flow.cursor, flow.operation, flow.item.head()));
        assert_eq!((head.revision, head.at, &head.author), (flow.revision, flow.at, &flow.author));
    }
    let end = repository.change_summaries(Since::Now, 4).await.expect("summaries work");
    assert_eq!((end.changes.len(), end.next), (0, now(&*repository).await.min(end.next)));
}

/// While sixteen writers make calls of any length and four readers disconnect at random, each reader receives each
/// change once, all in the same order. The changes of one call follow each other, and those of one flow ascend.
pub async fn concurrent_readers_receive_every_change_once(repository: Arc<dyn FlowRepository>) {
    const WRITERS: u32 = 16;
    let begin = now(&*repository).await;
    create_all(&*repository, (0..=4).map(|number| flow(number, "shared"))).await;
    let writers: Vec<_> =
        (0..WRITERS).map(|writer| tokio::spawn(write_at_random(repository.clone(), writer))).collect();
    let readers: Vec<_> =
        (0..4).map(|reader| tokio::spawn(read_at_random(repository.clone(), begin.to_string(), reader))).collect();
    let mut own = Vec::new();
    for writer in join_all(writers).await {
        own.extend(writer.expect("no writer panics"));
    }
    create_all(&*repository, [flow(LAST, "end")]).await;
    let feeds = join_all(readers).await;
    let feeds: Vec<Vec<Record<Flow>>> = feeds.into_iter().map(|feed| feed.expect("no reader panics")).collect();
    for feed in &feeds {
        let cursors = |feed: &[Record<Flow>]| feed.iter().map(|record| record.cursor).collect::<Vec<_>>();
        assert!(cursors(feed).is_sorted_by(|a, b| a < b), "each cursor once");
        assert_eq!(cursors(feed), cursors(&feeds[0]), "all readers see one order");
        assert_eq!(operations(feed), operations(&feeds[0]));
    }
    check_feed(&feeds[0]);
    let mut created: Vec<u32> =
        operations(&feeds[0]).into_iter().map(|(flow, ..)| flow).filter(|flow| *flow >= OWN).collect();
    created.sort_unstable();
    own.sort_unstable();
    assert_eq!(created, own, "the feed contains every change of every call");
}

/// The flow that ends the reading.
const LAST: u32 = 99;
/// From this number on, each flow has one writer, which creates it.
const OWN: u32 = 1_000;

/// Makes calls of up to 24 changes, some to five flows that all writers change. Returns the writer's own flows.
async fn write_at_random(repository: Arc<dyn FlowRepository>, writer: u32) -> Vec<u32> {
    const CALLS: u32 = 10;
    let mut chance = Chance::new(u64::from(writer));
    let mut own = Vec::new();
    for call in 0..CALLS {
        let edit = format!(r#""by":"{writer} {call}""#);
        let first = OWN + (writer * CALLS + call) * 100;
        let new = first..first + chance.below(20) as u32;
        let mut changes: Vec<Change> = new.clone().map(|number| Change::create(flow(number, "own"))).collect();
        match chance.below(5) {
            0 => changes.push(Change::Delete(id(4), Precondition::Any)),
            _ => {
                let shared = (0..=4).filter(|_| chance.below(2) == 0);
                changes.extend(shared.map(|number| Change::Put(flow_with(number, "shared", &edit), Precondition::Any)));
            }
        }
        change_all(&*repository, changes, Stamp::new(time(0), Author::new(&format!("{writer} {call}")))).await;
        own.extend(new);
        if chance.below(3) == 0 {
            // Creates interleavings.
            tokio::time::sleep(Duration::from_millis(chance.below(15))).await;
        }
    }
    own
}

/// Reads to the end in pages of any size. Sometimes pauses and continues from its last cursor.
async fn read_at_random(repository: Arc<dyn FlowRepository>, begin: String, reader: u64) -> Vec<Record<Flow>> {
    let mut chance = Chance::new(1_000 + reader);
    let mut records = Vec::new();
    let mut cursor_text = begin;
    let reading = async {
        loop {
            let since = Since::After(cursor_text.parse().expect("a cursor can be parsed"));
            let limit = 1 + chance.below(40) as u32;
            let feed = retry_while_busy(|| repository.changes(since, limit)).await;
            let feed = feed.unwrap_or_else(|error| panic!("changes failed: {error:?}"));
            cursor_text = feed.next.to_string();
            let is_waiting = feed.changes.is_empty();
            let is_end = feed.changes.iter().any(|record| number(record.item.id()) == LAST);
            records.extend(feed.changes.into_iter().filter(|record| number(record.item.id()) != LAST));
            if is_end {
                return records;
            } else if chance.below(8) == 0 {
                // Creates interleavings.
                tokio::time::sleep(Duration::from_millis(chance.below(30))).await;
            } else if is_waiting {
                repository.changed(feed.next).await;
            }
        }
    };
    in_time("the feed ends with the last flow", reading).await
}

/// Checks that revisions of a flow ascend by one, and that the changes of one author are adjacent.
fn check_feed(feed: &[Record<Flow>]) {
    let mut revisions = HashMap::new();
    let mut authors = HashSet::new();
    let mut author = None;
    for record in feed {
        let last = revisions.insert(record.item.id(), record.revision.number()).unwrap_or(0);
        assert_eq!(record.revision.number(), last + 1, "of {}", record.item.id());
        if author != Some(&record.author) {
            author = Some(&record.author);
            assert!(authors.insert(&record.author), "the changes of {} are not adjacent", record.author.as_str());
        }
    }
}

/// Each page of the feed contains the newest cursor, which includes changes that an open transaction holds back.
pub async fn feed_page_reports_the_newest_cursor(repository: Arc<dyn FlowRepository>) {
    let begin = now(&*repository).await;
    create_all(&*repository, [flow(1, "a"), flow(2, "b")]).await;
    let newest = repository.changes(Since::Now, 0).await.unwrap().newest;
    for limit in [0, 1] {
        let page = repository.changes(Since::After(begin), limit).await.unwrap();
        assert!(page.next < page.newest && page.newest == newest, "more changes follow after {limit} of 2");
    }
    let summaries = repository.change_summaries(Since::After(begin), 10).await.unwrap();
    assert_eq!(summaries.newest, newest);
    let last = read_until(&*repository, Since::After(begin), 1, |record| record.cursor == newest).await;
    assert_eq!(last.len(), 2);
    let end = repository.changes(Since::After(newest), 10).await.unwrap();
    assert_eq!((end.changes.len(), end.next, end.newest), (0, newest, newest));
}

/// Applying every change of the feed produces a copy of the store.
pub async fn applying_the_feed_produces_a_copy(repository: Arc<dyn FlowRepository>) {
    five_changes(&*repository).await;
    let report = flow_with(1, "aa", r#""n":1.10,"gst_state":"Playing""#);
    change(&*repository, Change::replace(report), stamp(5)).await;
    let all = (10..60).map(|number| Change::create(flow(number, "many")));
    change_all(&*repository, all.chain([Change::delete(id(2))]).collect(), stamp(6)).await;
    let mut copy = BTreeMap::new();
    for record in read(&*repository, Since::Oldest).await {
        let flow = number(record.item.id());
        match record.operation {
            Operation::Delete => copy.remove(&flow),
            _ => copy.insert(flow, (canonical(&record.item), record.revision)),
        };
    }
    let current = everything(&*repository).await.into_iter().filter(|stored| number(stored.item.id()) != END);
    let current: BTreeMap<_, _> =
        current.map(|stored| (number(stored.item.id()), (canonical(&stored.item), stored.version.revision))).collect();
    assert_eq!(copy, current);
}
