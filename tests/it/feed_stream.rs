//! The change feed as a stream, over both backends.

use std::time::Duration;

use futures::{FutureExt, StreamExt, TryStreamExt};
use strom_store::FlowRepository;
use strom_store::internals::feed::{end, operations};
use strom_store::internals::samples::{change, create_all, flow, id, stamp};
use strom_store::repository::{Change, FeedCursor, FlowRepositoryExt, Operation, RepositoryError, Since};
use strom_test_support::{json, postgres};

use Operation::{Create, Delete, Update};

#[tokio::test(flavor = "multi_thread")]
async fn json_stream_waits_and_resumes_after_each_record() {
    waits_and_resumes_after_each_record(&**json::open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_stream_waits_and_resumes_after_each_record() {
    waits_and_resumes_after_each_record(&**postgres::open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_stream_ends_with_the_first_error() {
    ends_with_the_first_error(&**json::open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_stream_ends_with_the_first_error() {
    ends_with_the_first_error(&**postgres::open().await).await;
}

async fn waits_and_resumes_after_each_record(repository: &dyn FlowRepository) {
    let position = end(repository).await;
    let mut feed = repository.follow(Since::After(position));
    // More changes than the stream reads at once.
    create_all(repository, (0..150).map(|number| flow(number, "a"))).await;
    let created: Vec<_> = within_time(feed.by_ref().take(150).try_collect()).await.expect("the feed works");
    assert_eq!(operations(&created), (0..150).map(|number| (number, Create, 1)).collect::<Vec<_>>());

    let last = feed.next();
    tokio::pin!(last);
    assert!(last.as_mut().now_or_never().is_none(), "the stream waits for the next change");
    change(repository, Change::replace(flow(3, "b")), stamp(1)).await;
    let updated = within_time(last).await.expect("the stream does not end").expect("the feed works");
    assert_eq!(operations(&[updated]), [(3, Update, 2)]);

    change(repository, Change::delete(id(3)), stamp(2)).await;
    let cursor: FeedCursor = created[148].cursor.to_string().parse().expect("a cursor parses from its text");
    let resumed = repository.follow(Since::After(cursor)).take(3).try_collect::<Vec<_>>();
    let resumed = within_time(resumed).await.expect("the feed works");
    assert_eq!(operations(&resumed), [(149, Create, 1), (3, Update, 2), (3, Delete, 3)]);
}

async fn ends_with_the_first_error(repository: &dyn FlowRepository) {
    let unknown = FeedCursor::new(1, 2, 3);
    let records: Vec<_> = within_time(repository.follow(Since::After(unknown)).collect()).await;
    assert!(matches!(records[..], [Err(RepositoryError::Gone)]), "{records:?}");

    let mut feed = repository.follow(Since::Now);
    let next = feed.next();
    tokio::pin!(next);
    assert!(next.as_mut().now_or_never().is_none(), "the feed is empty");
    repository.close().await.unwrap();
    let closed = within_time(next).await;
    assert!(matches!(closed, Some(Err(RepositoryError::Unavailable { .. }))), "{closed:?}");
    assert!(within_time(feed.next()).await.is_none(), "no item follows an error");
}

async fn within_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("the stream does not hang")
}
