//! The feed has each change once and in order, for whoever goes on from where he was.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::chance::Chance;
use super::samples::{
    canonical, change, change_all, create_all, everything, flow, flow_with, found, id, insist, number, parse, revision,
    stamp, time,
};
use crate::flow::Flow;
use crate::repository::{
    Author, Change, FeedCursor, FlowRepository, Operation, Precondition, Record, RepositoryError, Since, Stamp,
};

/// After which a change will not come any more. Somebody else's transaction may hold the feed back for a while.
const PATIENCE: Duration = Duration::from_secs(60);
/// The flow that marks the end of what is read.
const END: u32 = 4_000_000;

/// Reads on until a change is the last that is wanted, in pages of this size.
pub async fn read_until(
    repository: &dyn FlowRepository,
    mut since: Since,
    limit: u32,
    mut last: impl FnMut(&Record<Flow>) -> bool,
) -> Vec<Record<Flow>> {
    let reading = async {
        let mut read = Vec::new();
        loop {
            let feed =
                repository.changes(since, limit).await.unwrap_or_else(|error| panic!("changes failed: {error:?}"));
            assert!(feed.changes.len() <= limit as usize, "a page has no more than was asked for");
            let waiting = feed.changes.is_empty();
            for record in feed.changes {
                let end = last(&record);
                read.push(record);
                if end {
                    return read;
                }
            }
            since = Since::After(feed.next);
            if waiting {
                repository.changed(feed.next).await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the feed goes on")
}

/// All changes from a place to this moment: those before one that is made to mark the end.
pub async fn read(repository: &dyn FlowRepository, since: Since) -> Vec<Record<Flow>> {
    read_in_pages(repository, since, 100).await
}

async fn read_in_pages(repository: &dyn FlowRepository, since: Since, limit: u32) -> Vec<Record<Flow>> {
    let edit = found(repository, END).await.map_or(0, |end| end.version.revision.number());
    let end = flow_with(END, "end", &format!(r#""edit":{edit}"#));
    let made = change(repository, Change::Put(end, Precondition::Any), stamp(0)).await.version;
    let made = made.expect("a flow has a version").revision;
    let is_end = |record: &Record<Flow>| number(record.item.id()) == END && record.revision == made;
    let mut records = read_until(repository, since, limit, is_end).await;
    records.retain(|record| number(record.item.id()) != END);
    records
}

/// Flow, operation and revision of each.
pub fn told(records: &[Record<Flow>]) -> Vec<(u32, Operation, u64)> {
    let told = |record: &Record<Flow>| (number(record.item.id()), record.operation, record.revision.number());
    records.iter().map(told).collect()
}

/// The place behind all that has happened so far.
pub async fn now(repository: &dyn FlowRepository) -> FeedCursor {
    read(repository, Since::Oldest).await;
    let feed = repository.changes(Since::Now, 10).await.expect("changes work");
    assert!(feed.changes.is_empty(), "nothing is to come yet");
    feed.next
}

/// As [`now`], without a change of its own: waits until nothing is held back any more.
pub async fn end(repository: &dyn FlowRepository) -> FeedCursor {
    let waiting = async {
        loop {
            let feed = repository.changes(Since::Now, 0).await.expect("changes work");
            if feed.next == feed.newest {
                return feed.next;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the feed goes on")
}

async fn five_changes(repository: &dyn FlowRepository) {
    create_all(repository, [flow(1, "a")]).await;
    create_all(repository, [flow(2, "b")]).await;
    change(repository, Change::replace(flow_with(1, "aa", r#""n":1.10"#)), stamp(1)).await;
    change(repository, Change::delete(id(2)), stamp(2)).await;
    let deleted = revision(repository, 2, 2).await.expect("it is kept").item;
    change(repository, Change::Restore(deleted, Precondition::Any), stamp(3)).await;
}

const FIVE: [(u32, Operation, u64); 5] = [
    (1, Operation::Create, 1),
    (2, Operation::Create, 1),
    (1, Operation::Update, 2),
    (2, Operation::Delete, 2),
    (2, Operation::Restore, 3),
];

/// Changes come in the order in which they were made, as they are in the histories.
pub async fn changes_come_in_order(repository: Arc<dyn FlowRepository>) {
    five_changes(&*repository).await;
    let records = read(&*repository, Since::Oldest).await;
    assert_eq!(told(&records), FIVE);
    assert!(records.is_sorted_by(|a, b| a.cursor < b.cursor), "places compare as changes follow each other");
    for record in records {
        let flow = number(record.item.id());
        let kept = revision(&*repository, flow, record.revision.number()).await.expect("it is in the history");
        assert_eq!((kept.cursor, kept.operation, kept.at), (record.cursor, record.operation, record.at));
        assert_eq!((&kept.author, canonical(&kept.item)), (&record.author, canonical(&record.item)));
    }
}

/// Pages of any size make up the feed, and an empty one ends where it began.
pub async fn feeds_come_in_pages(repository: Arc<dyn FlowRepository>) {
    five_changes(&*repository).await;
    for limit in [1, 2, 3, 7] {
        assert_eq!(told(&read_in_pages(&*repository, Since::Oldest, limit).await), FIVE, "pages of {limit}");
    }
    let end = now(&*repository).await;
    for limit in [0, 5] {
        let empty = repository.changes(Since::After(end), limit).await.expect("changes work");
        assert_eq!((empty.changes.len(), empty.next), (0, end));
    }
}

/// Whoever goes on behind a change gets all that follow it, and no other.
pub async fn every_change_is_a_place_to_go_on_from(repository: Arc<dyn FlowRepository>) {
    five_changes(&*repository).await;
    for (place, record) in read(&*repository, Since::Oldest).await.iter().enumerate() {
        let cursor: FeedCursor = record.cursor.to_string().parse().expect("a place is what it prints");
        assert_eq!(told(&read(&*repository, Since::After(cursor)).await), FIVE[place + 1..]);
    }
}

/// From now on there is nothing of what was.
pub async fn now_is_behind_everything(repository: Arc<dyn FlowRepository>) {
    five_changes(&*repository).await;
    let now = now(&*repository).await;
    assert_eq!(told(&read(&*repository, Since::After(now)).await), []);
    change(&*repository, Change::delete(id(1)), stamp(4)).await;
    assert_eq!(told(&read(&*repository, Since::After(now)).await), [(1, Operation::Delete, 3)]);
}

/// A report of the engine is in the feed with the revision that stays, its own time and its own author, as long as
/// nothing newer has happened to the flow; earlier ones may have been dropped.
pub async fn reports_are_in_the_feed(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "a")]).await;
    for (seconds, state) in [(1, "Ready"), (2, "Playing")] {
        let report = flow_with(1, "a", &format!(r#""gst_state":"{state}""#));
        change(&*repository, Change::replace(report), Stamp::new(time(seconds), Author::new("engine"))).await;
    }
    let mut records = read(&*repository, Since::Oldest).await;
    let last = records.pop().expect("it is there");
    assert_eq!(told(std::slice::from_ref(&last)), [(1, Operation::State, 1)]);
    assert_eq!((last.at, last.author.as_str()), (time(2), "engine"));
    assert_eq!(canonical(&last.item), canonical(&flow_with(1, "a", r#""gst_state":"Playing""#)));
    records.retain(|record| record.operation != Operation::State);
    assert_eq!(told(&records), [(1, Operation::Create, 1)]);
}

/// The same document written in another way is no change.
pub async fn spellings_are_not_in_the_feed(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow_with(1, "a", r#""x":1.10,"y":2,"running":true"#)]).await;
    let spelled = parse(&format!(r#"{{"y":2.0,"running":true,"x":11e-1,"name":"a","id":"{}"}}"#, id(1)));
    change(&*repository, Change::replace(spelled.clone()), stamp(1)).await;
    change(&*repository, Change::Restore(spelled, Precondition::Any), stamp(2)).await;
    assert_eq!(told(&read(&*repository, Since::Oldest).await), [(1, Operation::Create, 1)]);
}

/// A call that fails, or has no effect, is not in the feed.
pub async fn what_changed_nothing_is_not_in_the_feed(repository: Arc<dyn FlowRepository>) {
    create_all(&*repository, [flow(1, "a")]).await;
    let changes = vec![Change::replace(flow(1, "aa")), Change::create(flow(2, "b")), Change::delete(id(3))];
    repository.apply(changes, stamp(1)).await.expect_err("the third flow is not there");
    change(&*repository, Change::Delete(id(3), Precondition::Any), stamp(2)).await;
    change(&*repository, Change::replace(flow(1, "a")), stamp(3)).await;
    assert_eq!(told(&read(&*repository, Since::Oldest).await), [(1, Operation::Create, 1)]);
}

/// A place of another store, or one that is still to come, is refused.
pub async fn unknown_places_are_gone(repository: Arc<dyn FlowRepository>) {
    five_changes(&*repository).await;
    let place = now(&*repository).await;
    let unknown = [
        FeedCursor { log: place.log + 1, ..place },
        FeedCursor { transaction: place.transaction + 1_000_000_000, ..place },
        FeedCursor { number: place.number + 1_000_000_000, ..place },
        FeedCursor { log: i64::MAX as u64, transaction: 0, number: 0 },
    ];
    for cursor in unknown {
        let documents = repository.changes(Since::After(cursor), 1).await.err();
        let summaries = repository.change_summaries(Since::After(cursor), 1).await.err();
        assert!(matches!(documents, Some(RepositoryError::Gone)), "{cursor}: {documents:?}");
        assert!(matches!(summaries, Some(RepositoryError::Gone)), "{cursor}: {summaries:?}");
        let waiting = repository.changed(cursor);
        tokio::time::timeout(PATIENCE, waiting).await.expect("who waits there is told by asking again");
    }
}

/// Who waits behind the last change is woken by the next, and who waits behind an earlier one need not wait.
pub async fn a_change_wakes_who_waits(repository: Arc<dyn FlowRepository>) {
    let place = now(&*repository).await;
    let waiter = tokio::spawn({
        let repository = Arc::clone(&repository);
        async move {
            // It may return without a reason.
            while repository.changes(Since::After(place), 1).await.expect("changes work").changes.is_empty() {
                repository.changed(place).await;
            }
        }
    });
    tokio::task::yield_now().await;
    create_all(&*repository, [flow(1, "a")]).await;
    tokio::time::timeout(PATIENCE, waiter).await.expect("it is woken").expect("it ends well");
    tokio::time::timeout(PATIENCE, repository.changed(place)).await.expect("it does not wait");
}

/// Summaries tell the same as documents do.
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

/// While sixteen write calls of any length and four come and go to read, each reader gets each change once, all in one order;
/// those of one call follow each other, and those of one flow ascend.
pub async fn writers_and_readers_at_once(repository: Arc<dyn FlowRepository>) {
    const WRITERS: u32 = 16;
    let begin = now(&*repository).await;
    create_all(&*repository, (0..=4).map(|number| flow(number, "shared"))).await;
    let writers: Vec<_> =
        (0..WRITERS).map(|writer| tokio::spawn(write_at_random(repository.clone(), writer))).collect();
    let readers: Vec<_> =
        (0..4).map(|reader| tokio::spawn(read_at_random(repository.clone(), begin.to_string(), reader))).collect();
    let mut own = Vec::new();
    for writer in join_all(writers).await {
        own.extend(writer.expect("no writer fails"));
    }
    create_all(&*repository, [flow(LAST, "end")]).await;
    let feeds = join_all(readers).await;
    let feeds: Vec<Vec<Record<Flow>>> = feeds.into_iter().map(|feed| feed.expect("no reader fails")).collect();
    for feed in &feeds {
        let cursors = |feed: &[Record<Flow>]| feed.iter().map(|record| record.cursor).collect::<Vec<_>>();
        assert!(cursors(feed).is_sorted_by(|a, b| a < b), "each place once");
        assert_eq!(cursors(feed), cursors(&feeds[0]), "one order for all");
        assert_eq!(told(feed), told(&feeds[0]));
    }
    check_feed(&feeds[0]);
    let mut created: Vec<u32> =
        told(&feeds[0]).into_iter().map(|(flow, ..)| flow).filter(|flow| *flow >= OWN).collect();
    created.sort_unstable();
    own.sort_unstable();
    assert_eq!(created, own, "all of every call");
}

/// The flow that ends the reading.
const LAST: u32 = 99;
/// From here on each flow has one writer, who creates it.
const OWN: u32 = 1_000;

/// Calls of up to 24 changes, some of the five flows that all writers change. Gives the flows of its own.
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
            tokio::time::sleep(Duration::from_millis(chance.below(15))).await;
        }
    }
    own
}

/// Reads to the end in pages of any size; now and then goes away, and goes on later from the place that it wrote down.
async fn read_at_random(repository: Arc<dyn FlowRepository>, begin: String, reader: u64) -> Vec<Record<Flow>> {
    let mut chance = Chance::new(1_000 + reader);
    let mut records = Vec::new();
    let mut written_down = begin;
    let reading = async {
        loop {
            let place = Since::After(written_down.parse().expect("a place is what it prints"));
            let limit = 1 + chance.below(40) as u32;
            let feed = insist(|| repository.changes(place, limit)).await;
            let feed = feed.unwrap_or_else(|error| panic!("changes failed: {error:?}"));
            written_down = feed.next.to_string();
            let is_waiting = feed.changes.is_empty();
            let is_end = feed.changes.iter().any(|record| number(record.item.id()) == LAST);
            records.extend(feed.changes.into_iter().filter(|record| number(record.item.id()) != LAST));
            if is_end {
                return records;
            } else if chance.below(8) == 0 {
                tokio::time::sleep(Duration::from_millis(chance.below(80))).await;
            } else if is_waiting {
                repository.changed(feed.next).await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the feed goes on")
}

/// Revisions of a flow ascend by one, and the changes of one author are next to each other.
fn check_feed(feed: &[Record<Flow>]) {
    let mut revisions = HashMap::new();
    let mut authors = HashSet::new();
    let mut author = None;
    for record in feed {
        let last = revisions.insert(record.item.id(), record.revision.number()).unwrap_or(0);
        assert_eq!(record.revision.number(), last + 1, "of {}", record.item.id());
        if author != Some(&record.author) {
            author = Some(&record.author);
            assert!(authors.insert(&record.author), "the changes of {} are torn apart", record.author.as_str());
        }
    }
}

/// Also of what somebody else's transaction may hold back for a while.
pub async fn a_feed_says_how_far_it_is_behind(repository: Arc<dyn FlowRepository>) {
    let begin = now(&*repository).await;
    create_all(&*repository, [flow(1, "a"), flow(2, "b")]).await;
    let newest = repository.changes(Since::Now, 0).await.unwrap().newest;
    for limit in [0, 1] {
        let page = repository.changes(Since::After(begin), limit).await.unwrap();
        assert!(page.next < page.newest && page.newest == newest, "there is more behind {limit} of 2");
    }
    let summaries = repository.change_summaries(Since::After(begin), 10).await.unwrap();
    assert_eq!(summaries.newest, newest);
    let last = read_until(&*repository, Since::After(begin), 1, |record| record.cursor == newest).await;
    assert_eq!(last.len(), 2);
    let end = repository.changes(Since::After(newest), 10).await.unwrap();
    assert_eq!((end.changes.len(), end.next, end.newest), (0, newest, newest));
}

/// Who makes every change of the feed ends with what is there.
pub async fn the_feed_makes_a_copy(repository: Arc<dyn FlowRepository>) {
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
    let there = everything(&*repository).await.into_iter().filter(|stored| number(stored.item.id()) != END);
    let there: BTreeMap<_, _> =
        there.map(|stored| (number(stored.item.id()), (canonical(&stored.item), stored.version.revision))).collect();
    assert_eq!(copy, there);
}
