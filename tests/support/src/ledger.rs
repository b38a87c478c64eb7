//! A record of calls and their results, which defines what a store must contain, now and after every crash.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use strom_store::flow::Runtime;
use strom_store::internals::samples::{canonical, everything, id, stamp, time};
use strom_store::repository::{
    Applied as AppliedChange, Author, Change, FeedCursor, Operation, Outcome, Record, RepositoryError, Revision, Since,
    Stamp, Version,
};
use strom_store::{Flow, FlowId, FlowRepository};

/// Calls by the second of their stamp, which is unique. Calls that change the same flow never overlap.
#[derive(Debug, Default)]
pub struct Ledger {
    calls: BTreeMap<i64, Call>,
}

#[derive(Debug)]
struct Call {
    changes: Vec<Change>,
    result: CallResult,
}

#[derive(Debug)]
enum CallResult {
    /// The outcome is unknown: the store contains all changes of the call or none.
    Unknown,
    /// The store contains no change of the call.
    Rejected,
    /// The store contains all changes of the call, with these revisions. `None` means that there was nothing to delete.
    Applied(Vec<Option<Revision>>),
}

impl CallResult {
    /// Returns true if the change at this index found nothing to delete. A call with unknown outcome may appear after a
    /// restart, even if a later call did not find its flow.
    fn nothing_to_delete(&self, index: usize) -> bool {
        matches!(self, Self::Applied(revisions) if revisions[index].is_none())
    }
}

impl Ledger {
    /// Returns the next unused second.
    pub fn next(&self) -> i64 {
        self.calls.last_key_value().map_or(1, |(at, _)| at + 1)
    }

    /// Records a call that is about to start. Its outcome is unknown until [`end`](Self::end).
    pub fn begin(&mut self, at: i64, changes: &[Change]) -> Stamp {
        let call = Call { changes: changes.to_vec(), result: CallResult::Unknown };
        assert!(self.calls.insert(at, call).is_none(), "two calls at {at}");
        stamp(at)
    }

    /// Records that a call was applied.
    pub fn applied(&mut self, at: i64, revisions: Vec<Option<Revision>>) {
        self.calls.get_mut(&at).expect("the call was recorded").result = CallResult::Applied(revisions);
    }

    /// Records the result of a call. Every error except `outcome_unknown` means that no change was applied.
    pub fn end(&mut self, at: i64, result: &Result<Vec<AppliedChange>, RepositoryError>) {
        match result {
            Ok(applied) => {
                let revision = |applied: &AppliedChange| applied.version.as_ref().map(|version| version.revision);
                let is_consistent = |(applied, change): (&AppliedChange, &Change)| {
                    applied.id == change.id() && (applied.outcome == Outcome::Absent) == applied.version.is_none()
                };
                assert!(applied.iter().zip(&self.calls[&at].changes).all(is_consistent), "call {at}: {applied:?}");
                self.applied(at, applied.iter().map(revision).collect());
            }
            Err(RepositoryError::Unavailable { outcome_unknown: true, .. }) => {}
            Err(_) => self.calls.get_mut(&at).expect("the call was recorded").result = CallResult::Rejected,
        }
    }

    /// Panics unless the repository contains every acknowledged call, each call entirely or not at all, and nothing
    /// else. Also panics unless flows, histories, deletions and feed agree.
    pub async fn check(&self, repository: &dyn FlowRepository) {
        let feed = read(repository, Since::Oldest, 500).await.0;
        self.check_order(&feed);
        let ids: BTreeSet<u128> =
            self.calls.values().flat_map(|call| &call.changes).map(|change| change.id().as_uuid().as_u128()).collect();
        let ids = ids.into_iter().map(|id| FlowId::from(uuid::Uuid::from_u128(id)));
        let mut of_flow: HashMap<FlowId, Vec<&Record<Flow>>> = HashMap::new();
        for record in &feed {
            of_flow.entry(record.item.id()).or_default().push(record);
        }
        // Per call: the number of changes in the feed, and the number that an applied call has.
        let mut counts: HashMap<i64, (usize, usize)> = HashMap::new();
        let (mut live, mut deleted) = (0, 0);
        for id in ids {
            let records = of_flow.remove(&id).unwrap_or_default();
            self.check_flow(id, &records, &mut counts);
            let revisions: Vec<_> = records.iter().copied().filter(|r| r.operation != Operation::State).collect();
            check_history(repository, id, &revisions).await;
            self.check_current(repository, id, &records, &revisions).await;
            match revisions.last() {
                Some(last) if last.operation == Operation::Delete => deleted += 1,
                Some(_) => live += 1,
                None => {}
            }
        }
        assert!(of_flow.is_empty(), "flows that no call wrote: {:?}", of_flow.keys());
        assert_eq!(everything(repository).await.len(), live, "the snapshot agrees with single reads");
        assert_eq!(repository.deleted().await.unwrap().len(), deleted, "the deleted flows agree with the histories");
        for (at, call) in &self.calls {
            let (found, expected) = counts.get(at).copied().unwrap_or_default();
            let is_valid = match call.result {
                CallResult::Unknown => found == 0 || found == expected,
                CallResult::Rejected => found == 0,
                CallResult::Applied(_) => found == expected,
            };
            assert!(is_valid, "the feed has {found} of {expected} changes of call {at}: {call:?}");
        }
    }

    /// Checks that cursors ascend and that the changes of one call are adjacent.
    fn check_order(&self, feed: &[Record<Flow>]) {
        let mut seen = HashSet::new();
        for pair in feed.windows(2) {
            assert!(pair[0].cursor < pair[1].cursor, "cursors ascend: {pair:?}");
        }
        for group in feed.chunk_by(|a, b| a.at == b.at) {
            let at = seconds(&group[0]);
            assert!(seen.insert(at), "the changes of call {at} are scattered over the feed");
            assert!(self.calls.contains_key(&at), "a change of no call: {:?}", group[0]);
        }
    }

    /// Checks that the feed contains the changes of one flow as written, in the order of the calls.
    fn check_flow(&self, id: FlowId, records: &[&Record<Flow>], counts: &mut HashMap<i64, (usize, usize)>) {
        let mut records = records.iter().copied().peekable();
        let mut before: Option<&Record<Flow>> = None;
        // The document after the last report.
        let mut document: Option<String> = None;
        for (at, call) in &self.calls {
            let Some(index) = call.changes.iter().position(|change| change.id() == id) else { continue };
            let change = &call.changes[index];
            let exists = before.is_some_and(|record| record.operation != Operation::Delete);
            let content = |flow: &Flow| flow.canonical(Runtime::Exclude).unwrap();
            let effective = match change.flow() {
                None => exists && !call.result.nothing_to_delete(index),
                Some(flow) => !exists || before.is_none_or(|before| content(&before.item) != content(flow)),
            };
            let count = counts.entry(*at).or_default();
            count.1 += usize::from(effective);
            let Some(record) = records.next_if(|record| seconds(record) == *at) else {
                // A report leaves the feed when its flow has changed again.
                let report = change.flow().filter(|_| !effective && matches!(call.result, CallResult::Applied(_)));
                document = report.map(canonical).or(document);
                continue;
            };
            let operation = match change {
                _ if !effective => Operation::State,
                Change::Delete(..) => Operation::Delete,
                Change::Restore(..) => Operation::Restore,
                Change::Put(..) if exists => Operation::Update,
                Change::Put(..) | Change::Adopt(_) | Change::Inherit(_) => Operation::Create,
            };
            assert_eq!(record.operation, operation, "call {at}: {record:?}");
            assert_eq!(record.author, Author::new("tester"), "call {at}");
            let last = before.map_or(0, |before| before.revision.number());
            let skipped = before
                .filter(|before| effective && before.cursor.log() < record.cursor.log())
                .map_or(0, |_| Revision::SKIPPED);
            let revision = last + u64::from(effective) + skipped;
            assert_eq!(record.revision.number(), revision, "call {at}: revisions increase by one");
            if let CallResult::Applied(revisions) = &call.result {
                assert_eq!(revisions[index], Some(record.revision), "call {at}: the result agrees with the feed");
            }
            let found = canonical(&record.item);
            match change.flow() {
                Some(flow) => assert_eq!(found, canonical(flow), "call {at}"),
                None => assert!(self.could_be(id, *at, before, &document, &found), "call {at} deleted {found}"),
            }
            count.0 += usize::from(effective);
            document = Some(found);
            if effective {
                before = Some(record);
            }
        }
        assert!(records.next().is_none(), "the changes of {id} are not in the order in which they were sent");
    }

    /// Returns true if the flow could have this content when it was deleted: that of the last revision or report, or of
    /// a report with unknown outcome.
    fn could_be(
        &self,
        id: FlowId,
        at: i64,
        before: Option<&Record<Flow>>,
        document: &Option<String>,
        found: &str,
    ) -> bool {
        let possible = self.possible_reports(id, before.map_or(0, seconds)..at);
        document.as_deref() == Some(found) || possible.contains(&found.to_owned())
    }

    fn possible_reports(&self, id: FlowId, between: std::ops::Range<i64>) -> Vec<String> {
        let calls = self.calls.range(between.start + 1..between.end.max(between.start + 1));
        let mut documents = Vec::new();
        for (_, call) in calls {
            let change = call.changes.iter().find(|change| change.id() == id);
            let Some(flow) = change.and_then(Change::flow) else { continue };
            match call.result {
                CallResult::Unknown => documents.push(canonical(flow)),
                CallResult::Applied(_) => documents = vec![canonical(flow)],
                CallResult::Rejected => {}
            }
        }
        documents
    }

    async fn check_current(
        &self,
        repository: &dyn FlowRepository,
        id: FlowId,
        records: &[&Record<Flow>],
        revisions: &[&Record<Flow>],
    ) {
        let current = repository.get(id).await.unwrap();
        let Some(last) = revisions.last().filter(|last| last.operation != Operation::Delete) else {
            assert!(current.is_none(), "{id} must not exist: {current:?}");
            return;
        };
        let current = current.unwrap_or_else(|| panic!("{id} must exist: {last:?}"));
        let deletion = revisions.iter().rposition(|record| record.operation == Operation::Delete);
        let version = Version {
            revision: last.revision,
            created_at: revisions[deletion.map_or(0, |deletion| deletion + 1)].at,
            updated_at: last.at,
            author: last.author.clone(),
        };
        assert_eq!(current.version, version, "{id}");
        let newest = records.last().expect("at least the last revision");
        assert_eq!(canonical(&current.item), canonical(&newest.item), "{id}: the feed produces the same copy");
        let mut reports = self.calls.range(seconds(last) + 1..).filter(|(_, call)| {
            let index = call.changes.iter().position(|change| change.id() == id);
            let is_applied = matches!(call.result, CallResult::Applied(_));
            is_applied && index.is_some_and(|index| !call.result.nothing_to_delete(index))
        });
        // A report of the current content leaves no record.
        let reported =
            |call: &Call| call.changes.iter().find(|change| change.id() == id).and_then(Change::flow).map(canonical);
        if let Some((at, call)) = reports.next_back() {
            let is_recorded = seconds(newest) >= *at || reported(call) == Some(canonical(&newest.item));
            assert!(is_recorded, "{id}: the report of call {at} is missing");
        }
    }
}

/// Checks that the history is the feed of one flow without its reports, in reverse order.
async fn check_history(repository: &dyn FlowRepository, id: FlowId, revisions: &[&Record<Flow>]) {
    let mut found = Vec::new();
    let mut before = None;
    loop {
        let page = repository.history(id, before, 40).await.unwrap();
        before = page.last().map(|record| record.revision);
        let full = page.len() == 40;
        found.extend(page.into_iter().map(|r| (r.cursor, r.operation, r.revision, r.at, r.author, r.item)));
        if !full {
            break;
        }
    }
    let expected = revisions.iter().rev().map(|record| {
        let Record { cursor, operation, item, revision, at, author, .. } = (*record).clone();
        (cursor, operation, revision, at, author, item.head().clone())
    });
    assert_eq!(found, expected.collect::<Vec<_>>(), "the history of {id}");
    for record in revisions.iter().take(2).chain(revisions.last()) {
        let found = repository.revision(id, record.revision).await.unwrap().expect("a revision of the history");
        assert_eq!((found.at, canonical(&found.item)), (record.at, canonical(&record.item)), "{id}");
    }
}

/// A reader that follows the feed through every crash. It must not receive a change twice, or a change that a crash
/// undoes.
#[derive(Debug)]
pub struct Follower {
    cursor: FeedCursor,
    seen: Vec<(FlowId, Revision)>,
}

impl Follower {
    /// Starts at the current end of the feed. The store must not contain changes yet.
    pub async fn begin(repository: &dyn FlowRepository) -> Self {
        let feed = repository.change_summaries(Since::Now, 1).await.unwrap();
        Self { cursor: feed.next, seen: Vec::new() }
    }

    pub async fn follow(&mut self, repository: &dyn FlowRepository) {
        let (records, next) = read(repository, Since::After(self.cursor), 5).await;
        self.seen.extend(revisions(&records));
        self.cursor = next;
    }

    /// Panics unless this reader has received the same changes as a reader from the oldest change on.
    pub async fn check(&mut self, repository: &dyn FlowRepository) {
        self.follow(repository).await;
        let all: Vec<_> = revisions(&read(repository, Since::Oldest, 500).await.0).collect();
        assert_eq!(self.seen, all, "each change once, in one order");
    }
}

fn revisions(records: &[Record<Flow>]) -> impl Iterator<Item = (FlowId, Revision)> {
    let revisions = records.iter().filter(|record| record.operation != Operation::State);
    revisions.map(|record| (record.item.id(), record.revision))
}

/// Returns all changes after a cursor, read page by page, and the last cursor.
pub async fn read(repository: &dyn FlowRepository, mut since: Since, limit: u32) -> (Vec<Record<Flow>>, FeedCursor) {
    let mut records = Vec::new();
    loop {
        let feed = repository.changes(since, limit).await.unwrap_or_else(|error| panic!("{since:?}: {error:?}"));
        if feed.changes.is_empty() {
            return (records, feed.next);
        }
        assert!(feed.changes.len() <= limit as usize);
        records.extend(feed.changes);
        since = Since::After(feed.next);
    }
}

fn seconds(record: &Record<Flow>) -> i64 {
    (record.at - time(0)).num_seconds()
}

/// Returns the content that a call gives a flow. It is unique, has one of many lengths, and shows whether it is
/// complete.
pub fn content(number: u32, at: i64) -> Flow {
    let padding = "0123456789abcdef".repeat((at % 37) as usize);
    strom_store::internals::samples::parse(&format!(
        r#"{{"id":"{}","name":"call {at}","call":{at},"padding":"{padding}","end":{at}}}"#,
        id(number)
    ))
}

/// Returns the same content with runtime members.
pub fn report(flow: &Flow, at: i64) -> Flow {
    let mut members: BTreeMap<String, serde_json::Value> = flow.decode().unwrap();
    members.insert("gst_state".into(), "Playing".into());
    members.insert("block_health".into(), serde_json::json!([at]));
    strom_store::internals::samples::parse(&serde_json::to_string(&members).unwrap())
}
