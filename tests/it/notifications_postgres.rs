//! Any change wakes waiting readers long before their next poll of the table.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use strom_store::FlowRepository;
use strom_store::internals::feed::now;
use strom_store::internals::samples::{change, create_all, flow, id, stamp};
use strom_store::postgres::Settings;
use strom_store::repository::{Change, FeedCursor, Since};
use tokio::task::JoinHandle;

use strom_test_support::eventually::{eventually, eventually_some};
use strom_test_support::postgres::{Database, count, run, wait_for_count};

/// The number of sessions of this database that wait for notifications. This is their last statement.
const LISTENERS: &str = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle'
                         AND query LIKE 'SELECT pg_backend_pid() AS%'";
/// The time of the last poll of an instance (`bounds` in changes.rs), in microseconds of the clock of the server.
const LAST_POLL: &str = "SELECT COALESCE((EXTRACT(EPOCH FROM MAX(query_start)) * 1000000)::BIGINT, 0)
                         FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle'
                         AND query LIKE '%newest_seen%' AND pid <> pg_backend_pid()";
const SERVER_TIME: &str = "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT";
/// Without a notification, a waiting reader polls one second after its last poll. The clock of the server may be
/// slewed.
const POLL_INTERVAL: Duration = Duration::from_millis(990);

/// Waits for the change after this cursor, and returns the next cursor.
fn follow(repository: &Arc<dyn FlowRepository>, cursor: FeedCursor) -> JoinHandle<FeedCursor> {
    let repository = Arc::clone(repository);
    tokio::spawn(async move {
        loop {
            let feed = repository.changes(Since::After(cursor), 10).await.unwrap();
            if !feed.changes.is_empty() {
                return feed.next;
            }
            repository.changed(cursor).await;
        }
    })
}

/// A waiting reader, with a session that observes its polls.
struct Waiter {
    repository: Arc<dyn FlowRepository>,
    observer: PgConnection,
    cursor: FeedCursor,
}

impl Waiter {
    /// Makes one change while the reader waits. Returns the time from the last poll before the change to the poll that
    /// finds it.
    async fn time_between_polls(&mut self, make: impl AsyncFnOnce()) -> Duration {
        let begin = count(&mut self.observer, SERVER_TIME).await;
        let waiting = tokio::spawn({
            let (repository, cursor) = (Arc::clone(&self.repository), self.cursor);
            async move { repository.changed(cursor).await }
        });
        let early = eventually_some("the reader polls before the change", async || {
            let poll = count(&mut self.observer, LAST_POLL).await;
            (poll > begin).then_some(poll)
        })
        .await;
        assert!(!waiting.is_finished(), "the reader waits");
        make().await;
        waiting.await.unwrap();
        let found = count(&mut self.observer, LAST_POLL).await;
        self.cursor = follow(&self.repository, self.cursor).await.unwrap();
        Duration::from_micros((found - early).try_into().unwrap())
    }

    /// Makes changes until the reader has found two of them before its next poll was due. A slow machine may need more
    /// than two, and transactions of other tests may hold some back. Without notifications, no change is found early.
    async fn check_notifications(&mut self, mut make: impl AsyncFnMut(u32)) {
        let (mut made, mut woken) = (0, 0);
        eventually("changes wake the reader", async || {
            made += 1;
            woken += u32::from(self.time_between_polls(async || make(made).await).await < POLL_INTERVAL);
            woken == 2
        })
        .await;
    }
}

fn insert(number: u32) -> String {
    format!("INSERT INTO flows (id, name, data) VALUES ('{}', 'by hand', '{{}}')", id(number))
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_by_psql_and_other_instances_wake_a_waiting_reader() {
    let database = Database::migrated().await;
    let (repository, other) = (database.repository().await, database.repository().await);
    let mut psql = database.connect().await;
    let mut observer = database.connect().await;
    let cursor = now(&*repository).await;
    let waiter = follow(&repository, cursor);
    wait_for_count(&mut observer, LISTENERS, 1).await;

    run(&mut psql, &insert(1_000)).await;
    let cursor = waiter.await.unwrap();
    let mut waiter = Waiter { repository, observer, cursor };
    waiter.check_notifications(async |number| run(&mut psql, &insert(number)).await).await;
    waiter
        .check_notifications(async |number| {
            create_all(&*other, [flow(2_000 + number, "by another")]).await;
        })
        .await;
}

/// Listening ends some time after the last reader, and releases its connection.
#[tokio::test(flavor = "multi_thread")]
async fn listening_ends_after_the_last_reader_and_at_the_close() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let mut observer = database.connect().await;
    let cursor = now(&*repository).await;
    let waiter = follow(&repository, cursor);
    wait_for_count(&mut observer, LISTENERS, 1).await;
    waiter.abort();
    wait_for_count(&mut observer, LISTENERS, 0).await;
    let waiter = follow(&repository, cursor);
    wait_for_count(&mut observer, LISTENERS, 1).await;
    repository.close().await.unwrap();
    waiter.abort();
    let sessions = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()
                    AND application_name LIKE 'strom/%' AND pid <> pg_backend_pid()";
    wait_for_count(&mut observer, sessions, 0).await;
}

/// Administrators, restarts and networks end sessions. The repository then listens on another one.
#[tokio::test(flavor = "multi_thread")]
async fn terminated_listener_is_replaced() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let (mut psql, mut observer) = (database.connect().await, database.connect().await);
    let cursor = now(&*repository).await;
    let waiter = follow(&repository, cursor);
    wait_for_count(&mut observer, LISTENERS, 1).await;
    let first = count(&mut observer, &LISTENERS.replace("COUNT(*)", "MAX(pid)::BIGINT")).await;
    run(&mut observer, &format!("SELECT pg_terminate_backend({first})")).await;
    let others = format!("{LISTENERS} AND pid <> {first}");
    wait_for_count(&mut observer, &others, 1).await;
    run(&mut psql, &insert(1_000)).await;
    let cursor = waiter.await.unwrap();
    let mut waiter = Waiter { repository, observer, cursor };
    waiter.check_notifications(async |number| run(&mut psql, &insert(number)).await).await;
}

/// Sixteen writers, sixteen waiting readers and the listener share five connections.
#[tokio::test(flavor = "multi_thread")]
async fn listener_uses_one_of_the_five_connections() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let mut observer = database.connect().await;
    let sessions = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()
                    AND application_name LIKE 'strom/%' AND pid <> pg_backend_pid()";
    // The server notices with a delay that the start has closed its connection.
    wait_for_count(&mut observer, sessions, 0).await;
    let cursor = now(&*repository).await;
    let first = follow(&repository, cursor);
    wait_for_count(&mut observer, LISTENERS, 1).await;
    let followers = (0..16).map(|_| {
        let repository = Arc::clone(&repository);
        tokio::spawn(async move {
            let mut cursor = cursor;
            let mut seen = 0;
            while seen < 16 * 10 {
                let feed = repository.change_summaries(Since::After(cursor), 20).await.unwrap();
                seen += feed.changes.len();
                cursor = feed.next;
                if feed.changes.is_empty() {
                    repository.changed(cursor).await;
                }
            }
        })
    });
    let savers = (0..16).map(|saver| {
        let repository = Arc::clone(&repository);
        tokio::spawn(async move {
            for save in 0..10 {
                change(&*repository, Change::create(flow(saver * 100 + save, "busy")), stamp(0)).await;
            }
        })
    });
    let mut tasks: Vec<_> = followers.chain([]).collect();
    tasks.extend(savers);
    let mut highest = 0;
    eventually("all writers and readers finish", async || {
        highest = highest.max(count(&mut observer, sessions).await);
        tasks.iter().all(JoinHandle::is_finished)
    })
    .await;
    futures::future::join_all(tasks).await.into_iter().for_each(|result| result.unwrap());
    first.await.unwrap();
    assert!((2..=5).contains(&highest), "{highest} connections");
}

/// A read-only repository, for example on a standby, only polls the table.
#[tokio::test(flavor = "multi_thread")]
async fn read_only_repository_does_not_listen() {
    let database = Database::migrated().await;
    let writing = database.repository().await;
    let settings = Settings::default().with_read_only(true);
    let repository: Arc<dyn FlowRepository> = Arc::new(database.open_with(settings).await);
    let mut observer = database.connect().await;
    create_all(&*writing, [flow(1, "a")]).await;
    let cursor = now(&*writing).await;
    let mut waiter = Waiter { repository, observer: database.connect().await, cursor };
    // A reader polls earlier while a transaction of another test holds back changes. A notification would always wake it.
    let mut made = 100;
    eventually("the reader polls", async || {
        made += 1;
        let make = async || create_all(&*writing, [flow(made, "b")]).await;
        waiter.time_between_polls(make).await >= POLL_INTERVAL
    })
    .await;
    // The read-only repository does not use the listener of another repository, which is the only one.
    let waiting = follow(&waiter.repository, waiter.cursor);
    let listening = follow(&writing, waiter.cursor);
    wait_for_count(&mut observer, LISTENERS, 1).await;
    create_all(&*writing, [flow(3, "c")]).await;
    waiting.await.unwrap();
    listening.await.unwrap();
    assert_eq!(count(&mut observer, LISTENERS).await, 1);
}
