//! Stores that are opened to read only. The backend's own test opens one empty place twice: to write and to read. The
//! reader may be behind.

use std::sync::Arc;

use super::samples::{change, change_all, flow, id, insist, moment, number, stamp};
use super::{feed, reopening};
use crate::Flow;
use crate::repository::{
    Change, FeedCursor, FlowRepository, Operation, Precondition, Record, RepositoryError, Revision, Since, Status,
};

/// The flow that marks the end of what is read.
const END: u32 = 4_000_000;

/// What is written is read, in every way there is; changes are refused, and the store says that it only reads.
pub async fn a_reader_refuses_changes_and_reads_as_ever(
    writer: Arc<dyn FlowRepository>,
    reader: Arc<dyn FlowRepository>,
) {
    let created = reopening::fill(writer.clone()).await;
    let is_last = |record: &_| feed::told(std::slice::from_ref(record)) == [(2, Operation::Create, 3)];
    feed::read_until(&*reader, Since::After(created), 10, is_last).await;
    let before = moment(&*writer).await;
    for changes in [
        vec![Change::create(flow(9, "new"))],
        vec![Change::replace(flow(1, "other"))],
        vec![Change::replace_at(flow(1, "other"), Revision::FIRST)],
        vec![Change::delete(id(1))],
        vec![Change::delete(id(9)), Change::create(flow(8, "new"))],
    ] {
        let refused = reader.apply(changes, stamp(7)).await;
        assert!(matches!(refused, Err(RepositoryError::ReadOnlyInstance)), "{refused:?}");
    }
    let refused = reader.restore(id(1), Revision::FIRST, Precondition::Any, stamp(7)).await;
    assert!(matches!(refused, Err(RepositoryError::ReadOnlyInstance)), "{refused:?}");
    assert_eq!(moment(&*writer).await, before);
    assert_eq!(moment(&*reader).await, before);
    reopening::verify_filled(reader.clone(), created).await;
    let (reading, writing) = (reader.health().await, writer.health().await);
    assert_eq!((reading.status, reading.read_only, writing.read_only), (Status::Ready, true, false));
}

/// Whoever follows the reader's feed while others write gets each change once, in the order of the writer's feed; also who
/// goes back and forth between the two with one place.
pub async fn a_reader_tells_what_the_writer_does(writer: Arc<dyn FlowRepository>, reader: Arc<dyn FlowRepository>) {
    const WRITERS: u32 = 8;
    const FLOWS: u32 = 25;
    let begin = writer.changes(Since::Now, 1).await.expect("changes work").next;
    let following = [Since::After(begin), Since::Oldest].map(|since| tokio::spawn(follow(reader.clone(), since)));
    let wandering = tokio::spawn(wander([writer.clone(), reader.clone()], begin));
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
        writing.await.expect("the writers write");
    }
    writer.apply(vec![Change::create(flow(END, "end"))], stamp(3)).await.expect("it is the last");
    let told = follow(writer, Since::After(begin)).await;
    assert_eq!(told.len() as u32, WRITERS * FLOWS * 3 + 1);
    for following in following {
        assert_eq!(following.await.expect("the follower follows"), told);
    }
    assert_eq!(wandering.await.expect("the wanderer wanders"), told);
}

type Told = (FeedCursor, u32, Operation, Revision);

fn tell(record: &Record<Flow>) -> Told {
    (record.cursor, number(record.item.id()), record.operation, record.revision)
}

async fn follow(repository: Arc<dyn FlowRepository>, since: Since) -> Vec<Told> {
    let is_end = |record: &Record<Flow>| number(record.item.id()) == END;
    feed::read_until(&*repository, since, 7, is_end).await.iter().map(tell).collect()
}

async fn wander(repositories: [Arc<dyn FlowRepository>; 2], mut place: FeedCursor) -> Vec<Told> {
    let mut told: Vec<Told> = Vec::new();
    for repository in repositories.iter().cycle() {
        if told.last().is_some_and(|(_, number, ..)| *number == END) {
            break;
        }
        let reading = insist(|| repository.changes(Since::After(place), 7));
        let page = reading.await.expect("the place is known to both");
        if page.changes.is_empty() {
            repository.changed(place).await;
        }
        told.extend(page.changes.iter().map(tell));
        place = page.next;
    }
    told
}
