//! Whoever waits for changes is woken by whoever makes them, long before the next look at the table.

use std::sync::Arc;
use std::time::{Duration, Instant};

use strom::FlowRepository;
use strom::postgres::Settings;
use strom::repository::{Change, FeedCursor, Since};
use strom::testkit::feed::now;
use strom::testkit::samples::{change, create_all, flow, id, stamp};
use tokio::task::JoinHandle;

use crate::support::postgres::{Database, count, run, wait_for_count};

/// The sessions of this database that wait for notifications, which is the last that they were told to do but once.
const LISTENERS: &str = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle'
                         AND query LIKE 'SELECT pg_backend_pid() AS%'";
/// Waiting is over long before the next look, which comes a second after the last one.
const SOON: Duration = Duration::from_millis(500);

/// Waits for the change behind this place, and tells when it was seen.
fn follow(repository: &Arc<dyn FlowRepository>, place: FeedCursor) -> JoinHandle<(Instant, FeedCursor)> {
    let repository = Arc::clone(repository);
    tokio::spawn(async move {
        loop {
            let feed = repository.changes(Since::After(place), 10).await.unwrap();
            if !feed.changes.is_empty() {
                return (Instant::now(), feed.next);
            }
            repository.changed(place).await;
        }
    })
}

/// Has the same done several times while somebody waits, and gives the place behind it and how long it took to be seen:
/// the median, since another test's transaction may hold back a single change.
async fn seen_after(
    repository: &Arc<dyn FlowRepository>,
    mut place: FeedCursor,
    mut make: impl AsyncFnMut(i64),
) -> (FeedCursor, Duration) {
    let mut times = Vec::new();
    for round in 0..7 {
        let waiter = follow(repository, place);
        // Until it waits, at another moment between two looks each time.
        tokio::time::sleep(Duration::from_millis(60 + 40 * round)).await;
        let made = Instant::now();
        make(round as i64).await;
        let (seen, next) = waiter.await.unwrap();
        times.push(seen - made);
        place = next;
    }
    times.sort();
    // Who looks once a second would be late every time, a slow machine some of them.
    (place, times[2])
}

fn insert(number: u32) -> String {
    format!("INSERT INTO flows (id, name, data) VALUES ('{}', 'by hand', '{{}}')", id(number))
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_and_other_instances_wake_who_waits() {
    let database = Database::migrated().await;
    let (repository, other) = (database.repository().await, database.repository().await);
    let mut psql = database.connect().await;
    let mut observer = database.connect().await;
    let place = now(&*repository).await;
    let waiter = follow(&repository, place);
    wait_for_count(&mut observer, LISTENERS, 1).await;

    run(&mut psql, &insert(1_000)).await;
    let (_, place) = waiter.await.unwrap();
    let (place, psql_took) =
        seen_after(&repository, place, async |round| run(&mut psql, &insert(round as u32)).await).await;
    assert!(psql_took < SOON, "psql: {psql_took:?}");
    let save = async |round| {
        create_all(&*other, [flow(100 + round as u32, "by another")]).await;
    };
    let (_, other_took) = seen_after(&repository, place, save).await;
    assert!(other_took < SOON, "another instance: {other_took:?}");
}

/// Listening ends a while after the last one has left, and holds no connection then.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens_for_nobody() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let mut observer = database.connect().await;
    let place = now(&*repository).await;
    // That waited for the first change; nobody waits now.
    wait_for_count(&mut observer, LISTENERS, 0).await;
    let waiter = follow(&repository, place);
    wait_for_count(&mut observer, LISTENERS, 1).await;
    waiter.abort();
    wait_for_count(&mut observer, LISTENERS, 0).await;
    let waiter = follow(&repository, place);
    wait_for_count(&mut observer, LISTENERS, 1).await;
    repository.close().await;
    waiter.abort();
    let sessions = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()
                    AND application_name LIKE 'strom/%' AND pid <> pg_backend_pid()";
    wait_for_count(&mut observer, sessions, 0).await;
}

/// An administrator, a restart or a network ends sessions; notifications come again on another.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_listener_is_replaced() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let (mut psql, mut observer) = (database.connect().await, database.connect().await);
    let place = now(&*repository).await;
    let waiter = follow(&repository, place);
    wait_for_count(&mut observer, LISTENERS, 1).await;
    let first = count(&mut observer, &LISTENERS.replace("COUNT(*)", "MAX(pid)::BIGINT")).await;
    run(&mut observer, &format!("SELECT pg_terminate_backend({first})")).await;
    let others = format!("{LISTENERS} AND pid <> {first}");
    wait_for_count(&mut observer, &others, 1).await;
    run(&mut psql, &insert(1_000)).await;
    let (_, place) = waiter.await.unwrap();
    let (_, took) = seen_after(&repository, place, async |round| run(&mut psql, &insert(round as u32)).await).await;
    assert!(took < SOON, "{took:?}");
}

/// Sixteen who save, sixteen who wait and one who listens share the five connections.
#[tokio::test(flavor = "multi_thread")]
async fn who_listens_does_so_on_one_of_the_five_connections() {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    let mut observer = database.connect().await;
    let sessions = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()
                    AND application_name LIKE 'strom/%' AND pid <> pg_backend_pid()";
    // The server takes a moment to notice that the start has closed its connection.
    wait_for_count(&mut observer, sessions, 0).await;
    let place = now(&*repository).await;
    let first = follow(&repository, place);
    wait_for_count(&mut observer, LISTENERS, 1).await;
    let followers = (0..16).map(|_| {
        let repository = Arc::clone(&repository);
        tokio::spawn(async move {
            let mut place = place;
            let mut seen = 0;
            while seen < 16 * 10 {
                let feed = repository.change_summaries(Since::After(place), 20).await.unwrap();
                seen += feed.changes.len();
                place = feed.next;
                if feed.changes.is_empty() {
                    repository.changed(place).await;
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
    let all = futures::future::join_all(tasks);
    tokio::pin!(all);
    let mut most = 0;
    loop {
        tokio::select! {
            results = &mut all => break results.into_iter().for_each(|result| result.unwrap()),
            () = tokio::time::sleep(Duration::from_millis(5)) => {
                most = most.max(count(&mut observer, sessions).await);
            }
        }
    }
    first.await.unwrap();
    assert!((2..=5).contains(&most), "{most} connections");
}

/// What only reads, as on a standby, looks at the table alone.
#[tokio::test(flavor = "multi_thread")]
async fn who_only_reads_does_not_listen() {
    let database = Database::migrated().await;
    let writing = database.repository().await;
    let settings = Settings { read_only: true, ..Settings::default() };
    let repository: Arc<dyn FlowRepository> = Arc::new(database.open_with(settings).await);
    let mut observer = database.connect().await;
    create_all(&*writing, [flow(1, "a")]).await;
    let place = repository.changes(Since::Now, 1).await.unwrap().next;
    let waiter = follow(&repository, place);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(count(&mut observer, LISTENERS).await, 0);
    create_all(&*writing, [flow(2, "b")]).await;
    tokio::time::timeout(Duration::from_secs(20), waiter).await.expect("it looks by itself").unwrap();
}
