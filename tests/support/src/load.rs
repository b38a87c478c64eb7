//! Writers and a feed reader that continue through every outage, and a check of the result.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use strom_store::repository::FlowRepositoryExt as _;

use futures::future::join_all;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use strom_store::FlowRepository;
use strom_store::internals::Chance;
use strom_store::internals::samples::{id, moment};
use strom_store::postgres::{DatabaseUrl, PostgresRepository};
use strom_store::repository::{Change, FeedCursor, Precondition, RepositoryError, Revision, Since};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::eventually::{HANGS, eventually};
use super::ledger::{Ledger, content, read};
use super::postgres::count;

const WRITERS: u32 = 16;
const FLOWS_EACH: u32 = 4;

/// A load on one repository, from [`start`](Self::start) to [`end`](Self::end).
pub struct Load {
    repository: Arc<dyn FlowRepository>,
    shared: Arc<Shared>,
    writers: Vec<JoinHandle<()>>,
    reader: JoinHandle<Vec<FeedCursor>>,
}

#[derive(Default)]
struct Shared {
    ledger: Mutex<Ledger>,
    tally: Mutex<Tally>,
    progress: [Progress; WRITERS as usize],
    /// The writers must stop.
    is_over: AtomicBool,
    /// The writers have stopped, and no statement of theirs is in progress.
    settled: watch::Sender<bool>,
}

/// The calls of one writer.
#[derive(Default)]
struct Progress {
    /// The number of calls that returned, with any result.
    answered: AtomicU64,
    /// The number of acknowledged calls.
    made: AtomicU64,
}

/// The results of the calls so far.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    pub made: usize,
    pub conflicts: usize,
    pub unavailable: usize,
    pub busy: usize,
    pub read_only: usize,
}

impl Load {
    pub async fn start(repository: Arc<dyn FlowRepository>, seed: u64) -> Self {
        let shared = Arc::new(Shared::default());
        let begin = repository.change_summaries(Since::Now, 1).await.unwrap().next;
        let writers = (0..WRITERS).map(|writer| {
            let chance = Chance::new(seed.wrapping_mul(1_000).wrapping_add(u64::from(writer)));
            tokio::spawn(write(Arc::clone(&repository), Arc::clone(&shared), writer, chance))
        });
        let writers = writers.collect();
        let reader = tokio::spawn(follow(Arc::clone(&repository), Arc::clone(&shared), begin));
        Self { repository, shared, writers, reader }
    }

    pub fn tally(&self) -> Tally {
        self.shared.tally.lock().unwrap().clone()
    }

    /// Waits until every writer has received the answer to a call that it began after this one. Returns the results of
    /// all calls that were answered in the meantime.
    pub async fn round(&self) -> Tally {
        let before = self.tally();
        self.each("every writer receives an answer", |writer| &writer.answered).await;
        let after = self.tally();
        Tally {
            made: after.made - before.made,
            conflicts: after.conflicts - before.conflicts,
            unavailable: after.unavailable - before.unavailable,
            busy: after.busy - before.busy,
            read_only: after.read_only - before.read_only,
        }
    }

    /// Waits until every writer has made a change by a call that it began after this one.
    pub async fn recovery(&self) {
        self.each("every writer makes changes again", |writer| &writer.made).await;
    }

    async fn each(&self, what: &str, counter: fn(&Progress) -> &AtomicU64) {
        let now = || self.shared.progress.each_ref().map(|writer| counter(writer).load(Ordering::SeqCst));
        let before = now();
        // The first call may have started before this function.
        eventually(what, async || now().iter().zip(before).all(|(now, before)| *now >= before + 2)).await;
    }

    /// Waits until the server has no session but those of the repository's pool. Statements of an abandoned session may
    /// still be executed.
    pub async fn no_abandoned_sessions(&self, observer: &mut PgConnection) {
        let sessions = "SELECT COUNT(*) FROM pg_stat_activity
                        WHERE application_name LIKE 'strom/%' AND datname = current_database()";
        eventually("the server ends abandoned sessions", async || {
            let (pool, sessions) = (self.connections(), count(observer, sessions).await);
            sessions <= pool && pool == self.connections()
        })
        .await;
    }

    /// Returns the number of connections in the pool of the repository.
    fn connections(&self) -> i64 {
        let pool = self.repository.measurements().into_iter().filter(|value| value.name == "postgres_pool_connections");
        pool.map(|value| value.value as i64).sum()
    }

    /// Stops all writers. Panics unless every acknowledged change exists once, both for the repository and for a new
    /// repository at this URL.
    pub async fn end(mut self, url: &str) -> Tally {
        self.end_writers().await;
        self.no_abandoned_sessions(&mut observer(url).await).await;
        self.check(url).await
    }

    /// Like [`end`](Self::end), for a repository behind a pooler, which has sessions of its own.
    pub async fn end_behind_pooler(mut self, url: &str) -> Tally {
        self.end_writers().await;
        let active = "SELECT COUNT(*) FROM pg_stat_activity
                       WHERE application_name LIKE 'strom/%' AND datname = current_database() AND state <> 'idle'";
        let mut observer = observer(url).await;
        eventually("no statement is executed", async || count(&mut observer, active).await == 0).await;
        self.check(url).await
    }

    async fn end_writers(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for writer in join_all(self.writers.drain(..).map(|writer| timeout(HANGS, writer))).await {
            writer.expect("every call returns").expect("no writer panics");
        }
    }

    async fn check(self, url: &str) -> Tally {
        self.shared.settled.send_replace(true);
        let seen = timeout(HANGS, self.reader).await.expect("the reader reaches the end of the feed").unwrap();
        let ledger = std::mem::take(&mut *self.shared.ledger.lock().unwrap());
        ledger.check(&*self.repository).await;
        let second = PostgresRepository::open(&DatabaseUrl::parse(url).unwrap()).await.unwrap();
        assert_eq!(moment(&*self.repository).await, moment(&second).await, "every reader sees the same flows");
        let (feed, _) = read(&second, Since::Oldest, 500).await;
        let cursors = feed.into_iter().map(|record| record.cursor).collect::<Vec<_>>();
        assert_eq!(seen, cursors, "the reader has received each change once");
        second.close().await.unwrap();
        self.shared.tally.lock().unwrap().clone()
    }
}

async fn observer(url: &str) -> PgConnection {
    url.parse::<PgConnectOptions>().unwrap().connect().await.unwrap()
}

/// The state of a flow as its writer knows it.
#[derive(Clone, Copy)]
enum Known {
    Absent,
    At(Revision),
    /// The outcome of the last change is unknown.
    Unknown,
}

async fn write(repository: Arc<dyn FlowRepository>, shared: Arc<Shared>, writer: u32, mut chance: Chance) {
    let mut known = [Known::Absent; FLOWS_EACH as usize];
    while !shared.is_over.load(Ordering::Relaxed) {
        // Creates interleavings, and leaves processor time to other tests.
        sleep(Duration::from_millis(chance.below(10))).await;
        let index = chance.below(FLOWS_EACH.into()) as usize;
        // Two changes use a transaction, one change uses a single statement.
        let mut indexes = vec![index];
        indexes.extend((chance.below(4) == 0).then_some((index + 1) % FLOWS_EACH as usize));
        refresh(&*repository, &shared, writer, &indexes, &mut known).await;
        if indexes.iter().any(|index| matches!(known[*index], Known::Unknown)) {
            continue;
        }
        let deletes = chance.below(8) == 0;
        let (at, changes, stamp) = {
            let mut ledger = shared.ledger.lock().unwrap();
            let at = ledger.next();
            let number = |index: usize| writer * FLOWS_EACH + index as u32 + 1;
            let change = |index: &usize| match known[*index] {
                Known::Absent => Change::create(content(number(*index), at)),
                Known::At(revision) if deletes => Change::Delete(id(number(*index)), Precondition::At(revision)),
                Known::At(revision) => Change::replace_at(content(number(*index), at), revision),
                Known::Unknown => unreachable!("`refresh` has read the flow"),
            };
            let changes: Vec<_> = indexes.iter().map(change).collect();
            let stamp = ledger.begin(at, &changes);
            (at, changes, stamp)
        };
        let result = repository.apply_all(changes.clone(), stamp).await;
        tally(&shared, writer, result.as_ref().err());
        shared.ledger.lock().unwrap().end(at, &result);
        for (position, index) in indexes.into_iter().enumerate() {
            known[index] = match &result {
                Ok(_) if changes[position].flow().is_none() => Known::Absent,
                Ok(applied) => {
                    Known::At(applied[position].version.as_ref().expect("a stored flow has a version").revision)
                }
                Err(_) => Known::Unknown,
            };
        }
    }
}

/// Reads the flows whose state is unknown.
async fn refresh(
    repository: &dyn FlowRepository,
    shared: &Shared,
    writer: u32,
    indexes: &[usize],
    known: &mut [Known],
) {
    for index in indexes {
        if matches!(known[*index], Known::Unknown) {
            match repository.get(id(writer * FLOWS_EACH + *index as u32 + 1)).await {
                Ok(found) => {
                    known[*index] = found.as_ref().map_or(Known::Absent, |found| Known::At(found.version.revision));
                }
                Err(error) => tally(shared, writer, Some(&error)),
            }
        }
    }
}

fn tally(shared: &Shared, writer: u32, error: Option<&RepositoryError>) {
    let mut tally = shared.tally.lock().unwrap();
    let progress = &shared.progress[writer as usize];
    match error {
        None => {
            tally.made += 1;
            progress.made.fetch_add(1, Ordering::SeqCst);
        }
        Some(RepositoryError::Conflict(_)) => tally.conflicts += 1,
        Some(RepositoryError::Unavailable { .. }) => tally.unavailable += 1,
        Some(RepositoryError::Busy(_)) => tally.busy += 1,
        Some(RepositoryError::ReadOnly(_)) => tally.read_only += 1,
        Some(error) => panic!("an error that no outage causes: {error:?}"),
    }
    progress.answered.fetch_add(1, Ordering::SeqCst);
}

/// Follows the feed to its end. Continues from its last cursor after every error.
async fn follow(repository: Arc<dyn FlowRepository>, shared: Arc<Shared>, begin: FeedCursor) -> Vec<FeedCursor> {
    let (mut seen, mut cursor) = (Vec::new(), begin);
    let mut end = shared.settled.subscribe();
    loop {
        let settled = *end.borrow_and_update();
        let feed = match repository.change_summaries(Since::After(cursor), 50).await {
            Ok(feed) => feed,
            Err(error) if error.is_retryable() => {
                // During an outage, `changed` returns after a while.
                repository.changed(cursor).await;
                continue;
            }
            Err(error) => panic!("the feed fails: {error:?}"),
        };
        // Other transactions, even in other databases, may hold back committed changes.
        if settled && feed.changes.is_empty() && feed.next >= feed.newest {
            return seen;
        }
        seen.extend(feed.changes.iter().map(|record| record.cursor));
        cursor = feed.next;
        if feed.changes.is_empty() {
            // Dropping a call during a statement closes a connection. This happens once, at the end.
            tokio::select! {
                () = repository.changed(cursor) => {}
                _ = end.changed() => {}
            }
        }
    }
}
