//! Reads the change feed for tests.

use super::samples::{change, flow_with, found, number, stamp};
use super::waiting::{eventually_some, in_time};
use crate::flow::Flow;
use crate::repository::{Change, FeedCursor, FlowRepository, Operation, Precondition, Record, Since};

/// The flow that marks the end of the feed.
pub(super) const END: u32 = 4_000_000;

/// Reads pages of this size until `last` accepts a change.
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
            assert!(feed.changes.len() <= limit as usize, "a page has at most `limit` changes");
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
    in_time("the feed contains the expected change", reading).await
}

/// Reads all changes after a cursor until now. Makes a change that marks the end.
pub async fn read(repository: &dyn FlowRepository, since: Since) -> Vec<Record<Flow>> {
    read_in_pages(repository, since, 100).await
}

/// Like [`read`], in pages of this size.
pub async fn read_in_pages(repository: &dyn FlowRepository, since: Since, limit: u32) -> Vec<Record<Flow>> {
    let edit = found(repository, END).await.map_or(0, |end| end.version.revision.number());
    let end = flow_with(END, "end", &format!(r#""edit":{edit}"#));
    let version = change(repository, Change::Put(end, Precondition::Any), stamp(0)).await.version;
    let revision = version.expect("a flow has a version").revision;
    let is_end = |record: &Record<Flow>| number(record.item.id()) == END && record.revision == revision;
    let mut records = read_until(repository, since, limit, is_end).await;
    records.retain(|record| number(record.item.id()) != END);
    records
}

/// Returns flow, operation and revision of each change.
pub fn operations(records: &[Record<Flow>]) -> Vec<(u32, Operation, u64)> {
    let summary = |record: &Record<Flow>| (number(record.item.id()), record.operation, record.revision.number());
    records.iter().map(summary).collect()
}

/// Returns the cursor after everything that has happened. Makes a change.
pub async fn now(repository: &dyn FlowRepository) -> FeedCursor {
    read(repository, Since::Oldest).await;
    let feed = repository.changes(Since::Now, 10).await.expect("changes work");
    assert!(feed.changes.is_empty(), "`Since::Now` returns no past change");
    feed.next
}

/// Like [`now`], without a change: waits until no change is held back.
pub async fn end(repository: &dyn FlowRepository) -> FeedCursor {
    eventually_some("no change is held back", async || {
        let feed = repository.changes(Since::Now, 0).await.expect("changes work");
        (feed.next == feed.newest).then_some(feed.next)
    })
    .await
}
