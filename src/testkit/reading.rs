//! The contract of a read-only repository. The backend's own test opens one empty store twice, for writing and for
//! reading. The reader may lag behind.

use crate::repository::FlowRepositoryExt as _;
use std::sync::Arc;

use super::samples::{change, change_all, flow, id, moment, number, retry_while_busy, stamp};
use super::{feed_reader, reopening};
use crate::Flow;
use crate::repository::{
    Change, FeedCursor, FlowRepository, Operation, Precondition, Record, RepositoryError, Revision, Since, Status,
};

/// The flow that marks the end of the feed.
const END: u32 = 4_000_000;

/// The reader sees everything that is written, in every call. It rejects changes and reports that it is read-only.
pub async fn reader_rejects_changes_and_sees_everything(
    writer: Arc<dyn FlowRepository>,
    reader: Arc<dyn FlowRepository>,
) {
    let created = reopening::fill(writer.clone()).await;
    let is_last = |record: &_| feed_reader::operations(std::slice::from_ref(record)) == [(2, Operation::Create, 3)];
    feed_reader::read_until(&*reader, Since::After(created), 10, is_last).await;
    let before = moment(&*writer).await;
    for changes in [
        vec![Change::create(flow(9, "new"))],
        vec![Change::replace(flow(1, "other"))],
        vec![Change::replace_at(flow(1, "other"), Revision::FIRST)],
        vec![Change::delete(id(1))],
        vec![Change::delete(id(9)), Change::create(flow(8, "new"))],
    ] {
        let answer = reader.apply_all(changes, stamp(7)).await;
        assert!(matches!(answer, Err(RepositoryError::ReadOnlyInstance)), "{answer:?}");
    }
    let answer = reader.restore(id(1), Revision::FIRST, Precondition::Any, stamp(7)).await;
    assert!(matches!(answer, Err(RepositoryError::ReadOnlyInstance)), "{answer:?}");
    assert_eq!(moment(&*writer).await, before);
    assert_eq!(moment(&*reader).await, before);
    reopening::verify_filled(reader.clone(), created).await;
    let (reading, writing) = (reader.health().await, writer.health().await);
    assert_eq!((reading.status, reading.read_only, writing.read_only), (Status::Ready, true, false));
}

/// Followers of the reader's feed receive each change once, in the order of the writer's feed, while writers
/// change flows. So does a follower that alternates between the two repositories with one cursor.
pub async fn reader_feed_equals_the_feed_of_the_writer(
    writer: Arc<dyn FlowRepository>,
    reader: Arc<dyn FlowRepository>,
) {
    const WRITERS: u32 = 8;
    const FLOWS: u32 = 25;
    let begin = writer.changes(Since::Now, 1).await.expect("changes work").next;
    let following = [Since::After(begin), Since::Oldest].map(|since| tokio::spawn(follow(reader.clone(), since)));
    let alternating = tokio::spawn(follow_alternately([writer.clone(), reader.clone()], begin));
    let writing = (0..WRITERS).map(|first| {
        let writer = writer.clone();
        tokio::spawn(async move {
            for number in (0..FLOWS).map(|flow| flow * WRITERS + first + 1) {
                let created = vec![Change::create(flow(number, "new")), Change::create(flow(number + 10_000, "new"))];
                change_all(&*writer, created, stamp(1)).await;
                change(&*writer, Change::replace(flow(number, "other")), stamp(2)).await;
            }
        })
    });
    for writing in writing.collect::<Vec<_>>() {
        writing.await.expect("no writer panics");
    }
    writer.apply_all(vec![Change::create(flow(END, "end"))], stamp(3)).await.expect("the last change succeeds");
    let keys = follow(writer, Since::After(begin)).await;
    assert_eq!(keys.len() as u32, WRITERS * FLOWS * 3 + 1);
    for following in following {
        assert_eq!(following.await.expect("no follower panics"), keys);
    }
    assert_eq!(alternating.await.expect("the alternating follower does not panic"), keys);
}

type ChangeKey = (FeedCursor, u32, Operation, Revision);

fn change_key(record: &Record<Flow>) -> ChangeKey {
    (record.cursor, number(record.item.id()), record.operation, record.revision)
}

async fn follow(repository: Arc<dyn FlowRepository>, since: Since) -> Vec<ChangeKey> {
    let is_end = |record: &Record<Flow>| number(record.item.id()) == END;
    feed_reader::read_until(&*repository, since, 7, is_end).await.iter().map(change_key).collect()
}

async fn follow_alternately(repositories: [Arc<dyn FlowRepository>; 2], mut cursor: FeedCursor) -> Vec<ChangeKey> {
    let mut keys: Vec<ChangeKey> = Vec::new();
    for repository in repositories.iter().cycle() {
        if keys.last().is_some_and(|(_, number, ..)| *number == END) {
            break;
        }
        let reading = retry_while_busy(|| repository.changes(Since::After(cursor), 7));
        let page = reading.await.expect("both repositories accept the cursor");
        if page.changes.is_empty() {
            repository.changed(cursor).await;
        }
        keys.extend(page.changes.iter().map(change_key));
        cursor = page.next;
    }
    keys
}
