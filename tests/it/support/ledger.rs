//! What a store was asked and what it answered, and what must therefore be there, now and after every crash.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use strom::flow::Runtime;
use strom::repository::{
    Applied, Author, Change, FeedCursor, Operation, Outcome, Record, RepositoryError, Revision, Since, Stamp, Version,
};
use strom::testkit::samples::{canonical, everything, id, stamp, time};
use strom::{Flow, FlowId, FlowRepository};

/// Calls by the second of their stamp, which is one of their own. Those that concern one flow never overlap.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    calls: BTreeMap<i64, Call>,
}

#[derive(Debug)]
struct Call {
    changes: Vec<Change>,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    /// All of it is there, or nothing.
    Open,
    /// Nothing of it is there.
    Refused,
    /// All of it is there, with these revisions; `None` where there was nothing to delete.
    Made(Vec<Option<Revision>>),
}

impl Answer {
    /// An open call may be there after a restart, also one that put what a later call did not find.
    fn nothing_to_delete(&self, place: usize) -> bool {
        matches!(self, Self::Made(revisions) if revisions[place].is_none())
    }
}

impl Ledger {
    /// The next second that no call has.
    pub(crate) fn next(&self) -> i64 {
        self.calls.last_key_value().map_or(1, |(at, _)| at + 1)
    }

    /// A call that is about to be made. Until it is answered nobody knows what came of it.
    pub(crate) fn begin(&mut self, at: i64, changes: &[Change]) -> Stamp {
        let call = Call { changes: changes.to_vec(), answer: Answer::Open };
        assert!(self.calls.insert(at, call).is_none(), "two calls at {at}");
        stamp(at)
    }

    pub(crate) fn made(&mut self, at: i64, revisions: Vec<Option<Revision>>) {
        self.calls.get_mut(&at).expect("a call that was begun").answer = Answer::Made(revisions);
    }

    /// Takes down what came of a call. After all errors but those that say so nothing of it may have happened.
    pub(crate) fn end(&mut self, at: i64, result: &Result<Vec<Applied>, RepositoryError>) {
        match result {
            Ok(applied) => {
                let revision = |applied: &Applied| applied.version.as_ref().map(|version| version.revision);
                let honest = |(applied, change): (&Applied, &Change)| {
                    applied.id == change.id() && (applied.outcome == Outcome::Absent) == applied.version.is_none()
                };
                assert!(applied.iter().zip(&self.calls[&at].changes).all(honest), "call {at}: {applied:?}");
                self.made(at, applied.iter().map(revision).collect());
            }
            Err(RepositoryError::Unavailable { is_open: true, .. }) => {}
            Err(_) => self.calls.get_mut(&at).expect("a call that was begun").answer = Answer::Refused,
        }
    }

    /// Panics unless the repository has every call that was acknowledged, no half of any, and nothing else; and unless
    /// flows, histories, deletions and feed tell the same.
    pub(crate) async fn check(&self, repository: &dyn FlowRepository) {
        let feed = read(repository, Since::Oldest, 500).await.0;
        self.check_order(&feed);
        let ids: BTreeSet<u128> =
            self.calls.values().flat_map(|call| &call.changes).map(|change| change.id().as_uuid().as_u128()).collect();
        let ids = ids.into_iter().map(|id| FlowId::from(uuid::Uuid::from_u128(id)));
        let mut of_flow: HashMap<FlowId, Vec<&Record<Flow>>> = HashMap::new();
        for record in &feed {
            of_flow.entry(record.item.id()).or_default().push(record);
        }
        // How many changes of a call are there, and how many should be if it was made.
        let mut there: HashMap<i64, (usize, usize)> = HashMap::new();
        let (mut live, mut deleted) = (0, 0);
        for id in ids {
            let records = of_flow.remove(&id).unwrap_or_default();
            self.check_flow(id, &records, &mut there);
            let revisions: Vec<_> = records.iter().copied().filter(|r| r.operation != Operation::State).collect();
            check_history(repository, id, &revisions).await;
            self.check_current(repository, id, &records, &revisions).await;
            match revisions.last() {
                Some(last) if last.operation == Operation::Delete => deleted += 1,
                Some(_) => live += 1,
                None => {}
            }
        }
        assert!(of_flow.is_empty(), "flows that nobody sent: {:?}", of_flow.keys());
        assert_eq!(everything(repository).await.len(), live, "the snapshot has what single reads have");
        assert_eq!(repository.deleted().await.unwrap().len(), deleted, "the deletions are those of the histories");
        for (at, call) in &self.calls {
            let (found, whole) = there.get(at).copied().unwrap_or_default();
            let good = match call.answer {
                Answer::Open => found == 0 || found == whole,
                Answer::Refused => found == 0,
                Answer::Made(_) => found == whole,
            };
            assert!(good, "{found} of {whole} changes of call {at} are there: {call:?}");
        }
    }

    /// Cursors ascend, and the changes of one call follow each other.
    fn check_order(&self, feed: &[Record<Flow>]) {
        let mut seen = HashSet::new();
        for pair in feed.windows(2) {
            assert!(pair[0].cursor < pair[1].cursor, "the feed is in order: {pair:?}");
        }
        for group in feed.chunk_by(|a, b| a.at == b.at) {
            let at = seconds(&group[0]);
            assert!(seen.insert(at), "the changes of call {at} are scattered over the feed");
            assert!(self.calls.contains_key(&at), "a change that nobody made: {:?}", group[0]);
        }
    }

    /// What the feed has of one flow is what was sent, in the order in which it was sent.
    fn check_flow(&self, id: FlowId, records: &[&Record<Flow>], there: &mut HashMap<i64, (usize, usize)>) {
        let mut records = records.iter().copied().peekable();
        let mut before: Option<&Record<Flow>> = None;
        // The document as the last report has left it.
        let mut document: Option<String> = None;
        for (at, call) in &self.calls {
            let Some(place) = call.changes.iter().position(|change| change.id() == id) else { continue };
            let change = &call.changes[place];
            let lives = before.is_some_and(|record| record.operation != Operation::Delete);
            let content = |flow: &Flow| flow.canonical(Runtime::Left).unwrap();
            let effective = match change.flow() {
                None => lives && !call.answer.nothing_to_delete(place),
                Some(flow) => !lives || before.is_none_or(|before| content(&before.item) != content(flow)),
            };
            let count = there.entry(*at).or_default();
            count.1 += usize::from(effective);
            let Some(record) = records.next_if(|record| seconds(record) == *at) else {
                // A report leaves the feed when its flow has changed again.
                let report = change.flow().filter(|_| !effective && matches!(call.answer, Answer::Made(_)));
                document = report.map(canonical).or(document);
                continue;
            };
            let operation = match change {
                _ if !effective => Operation::State,
                Change::Delete(..) => Operation::Delete,
                Change::Restore(..) => Operation::Restore,
                Change::Put(..) if lives => Operation::Update,
                Change::Put(..) | Change::Adopt(_) | Change::Inherit(_) => Operation::Create,
            };
            assert_eq!(record.operation, operation, "call {at}: {record:?}");
            assert_eq!(record.author, Author::new("tester"), "call {at}");
            let last = before.map_or(0, |before| before.revision.number());
            assert_eq!(record.revision.number(), last + u64::from(effective), "call {at}: revisions grow by one");
            if let Answer::Made(revisions) = &call.answer {
                assert_eq!(revisions[place], Some(record.revision), "call {at}: what was answered is what is there");
            }
            let found = canonical(&record.item);
            match change.flow() {
                Some(flow) => assert_eq!(found, canonical(flow), "call {at}"),
                None => assert!(self.was(id, *at, before, &document, &found), "call {at} deleted {found}"),
            }
            count.0 += usize::from(effective);
            document = Some(found);
            if effective {
                before = Some(record);
            }
        }
        assert!(records.next().is_none(), "the changes of {id} are not in the order in which they were sent");
    }

    /// Whether the flow can have been this when it was deleted: as the last revision or report, or an open report, has
    /// left it.
    fn was(&self, id: FlowId, at: i64, before: Option<&Record<Flow>>, document: &Option<String>, found: &str) -> bool {
        let open = self.open_reports(id, before.map_or(0, seconds)..at);
        document.as_deref() == Some(found) || open.contains(&found.to_owned())
    }

    fn open_reports(&self, id: FlowId, between: std::ops::Range<i64>) -> Vec<String> {
        let calls = self.calls.range(between.start + 1..between.end.max(between.start + 1));
        let mut documents = Vec::new();
        for (_, call) in calls {
            let change = call.changes.iter().find(|change| change.id() == id);
            let Some(flow) = change.and_then(Change::flow) else { continue };
            match call.answer {
                Answer::Open => documents.push(canonical(flow)),
                Answer::Made(_) => documents = vec![canonical(flow)],
                Answer::Refused => {}
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
            assert!(current.is_none(), "{id} should not be there: {current:?}");
            return;
        };
        let current = current.unwrap_or_else(|| panic!("{id} should be there: {last:?}"));
        let gone = revisions.iter().rposition(|record| record.operation == Operation::Delete);
        let version = Version {
            revision: last.revision,
            created_at: revisions[gone.map_or(0, |gone| gone + 1)].at,
            updated_at: last.at,
            author: last.author.clone(),
        };
        assert_eq!(current.version, version, "{id}");
        let newest = records.last().expect("at least the last revision");
        assert_eq!(canonical(&current.item), canonical(&newest.item), "{id}: who follows the feed has the same copy");
        let mut reports = self.calls.range(seconds(last) + 1..).filter(|(_, call)| {
            let place = call.changes.iter().position(|change| change.id() == id);
            let made = matches!(call.answer, Answer::Made(_));
            made && place.is_some_and(|place| !call.answer.nothing_to_delete(place))
        });
        // One that says what is there already leaves nothing.
        let says =
            |call: &Call| call.changes.iter().find(|change| change.id() == id).and_then(Change::flow).map(canonical);
        if let Some((at, call)) = reports.next_back() {
            let is_there = seconds(newest) >= *at || says(call) == Some(canonical(&newest.item));
            assert!(is_there, "{id}: the report of call {at} is not there");
        }
    }
}

/// The history is the feed of one flow without its reports, turned round.
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
        let Record { cursor, operation, item, revision, at, author } = (*record).clone();
        (cursor, operation, revision, at, author, item.head().clone())
    });
    assert_eq!(found, expected.collect::<Vec<_>>(), "the history of {id}");
    for record in revisions.iter().take(2).chain(revisions.last()) {
        let found = repository.revision(id, record.revision).await.unwrap().expect("a revision of the history");
        assert_eq!((found.at, canonical(&found.item)), (record.at, canonical(&record.item)), "{id}");
    }
}

/// Somebody who follows the feed, through every crash. He may never see a change twice, or one that is gone later.
#[derive(Debug)]
pub(crate) struct Follower {
    cursor: FeedCursor,
    seen: Vec<(FlowId, Revision)>,
}

impl Follower {
    /// From now on; for a store in which nothing was changed yet.
    pub(crate) async fn begin(repository: &dyn FlowRepository) -> Self {
        let feed = repository.change_summaries(Since::Now, 1).await.unwrap();
        Self { cursor: feed.next, seen: Vec::new() }
    }

    pub(crate) async fn follow(&mut self, repository: &dyn FlowRepository) {
        let (records, next) = read(repository, Since::After(self.cursor), 5).await;
        self.seen.extend(revisions(&records));
        self.cursor = next;
    }

    /// Panics unless he has now seen just what somebody who begins anew sees.
    pub(crate) async fn check(&mut self, repository: &dyn FlowRepository) {
        self.follow(repository).await;
        let all: Vec<_> = revisions(&read(repository, Since::Oldest, 500).await.0).collect();
        assert_eq!(self.seen, all, "each change once, in one order");
    }
}

fn revisions(records: &[Record<Flow>]) -> impl Iterator<Item = (FlowId, Revision)> {
    let revisions = records.iter().filter(|record| record.operation != Operation::State);
    revisions.map(|record| (record.item.id(), record.revision))
}

/// All changes from a place on, page by page.
pub(crate) async fn read(
    repository: &dyn FlowRepository,
    mut since: Since,
    limit: u32,
) -> (Vec<Record<Flow>>, FeedCursor) {
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

/// The content that a call gives a flow: told from all others, of one of many lengths, whole or visibly not.
pub(crate) fn content(number: u32, at: i64) -> Flow {
    let padding = "0123456789abcdef".repeat((at % 37) as usize);
    strom::testkit::samples::parse(&format!(
        r#"{{"id":"{}","name":"call {at}","call":{at},"padding":"{padding}","end":{at}}}"#,
        id(number)
    ))
}

/// The same content with what an engine reports.
pub(crate) fn report(flow: &Flow, at: i64) -> Flow {
    let mut members: BTreeMap<String, serde_json::Value> = flow.decode().unwrap();
    members.insert("gst_state".into(), "Playing".into());
    members.insert("block_health".into(), serde_json::json!([at]));
    strom::testkit::samples::parse(&serde_json::to_string(&members).unwrap())
}
