//! Writers and a reader of the feed who go on through every outage, and what must be there in the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::join_all;
use strom::FlowRepository;
use strom::repository::{Change, FeedCursor, Precondition, RepositoryError, Revision, Since};
use strom::testkit::chance::Chance;
use strom::testkit::samples::{id, moment};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::ledger::{Ledger, content, read};

const WRITERS: u32 = 16;
const FLOWS_EACH: u32 = 4;
/// Longer than any call may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A load on one repository, from [`start`](Self::start) to [`end`](Self::end).
pub(crate) struct Load {
    repository: Arc<dyn FlowRepository>,
    shared: Arc<Shared>,
    writers: Vec<JoinHandle<()>>,
    reader: JoinHandle<Vec<FeedCursor>>,
}

#[derive(Default)]
struct Shared {
    ledger: Mutex<Ledger>,
    tally: Mutex<Tally>,
    /// The writers are to end.
    over: AtomicBool,
    /// They have, and so has whatever of theirs was still under way.
    settled: AtomicBool,
}

/// What came of the calls so far.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    pub(crate) made: usize,
    pub(crate) conflicts: usize,
    pub(crate) unavailable: usize,
    pub(crate) busy: usize,
    pub(crate) read_only: usize,
    /// The call that took longest, whatever came of it.
    pub(crate) longest: Duration,
    pub(crate) last_made: Option<Instant>,
}

impl Load {
    pub(crate) async fn start(repository: Arc<dyn FlowRepository>, seed: u64) -> Self {
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

    pub(crate) fn tally(&self) -> Tally {
        self.shared.tally.lock().unwrap().clone()
    }

    /// What comes of the calls in this time.
    pub(crate) async fn run(&self, time: Duration) -> Tally {
        self.shared.tally.lock().unwrap().longest = Duration::ZERO;
        let before = self.tally();
        sleep(time).await;
        let after = self.tally();
        Tally {
            made: after.made - before.made,
            conflicts: after.conflicts - before.conflicts,
            unavailable: after.unavailable - before.unavailable,
            busy: after.busy - before.busy,
            read_only: after.read_only - before.read_only,
            ..after
        }
    }

    /// How long it takes until a call succeeds that was begun after this one.
    pub(crate) async fn recovery(&self, since: Instant) -> Duration {
        let made = self.tally().made;
        // Those under way may have been carried out before.
        while self.tally().made < made + WRITERS as usize {
            assert!(since.elapsed() < PATIENCE, "it does not come back: {:?}", self.repository.health().await);
            sleep(Duration::from_millis(5)).await;
        }
        since.elapsed()
    }

    /// Lets all writers end, and panics unless what was acknowledged is there once, for the repository itself and for
    /// whoever looks at the database afterwards.
    pub(crate) async fn end(self, witness: &dyn FlowRepository) -> Tally {
        self.shared.over.store(true, Ordering::Relaxed);
        for writer in join_all(self.writers.into_iter().map(|writer| timeout(PATIENCE, writer))).await {
            writer.expect("every call comes back").expect("no call fails but for the outage");
        }
        // A statement whose caller was told of an outage may still be waiting for its turn in the server.
        sleep(Duration::from_millis(500)).await;
        self.shared.settled.store(true, Ordering::Relaxed);
        let seen = timeout(PATIENCE, self.reader).await.expect("the reader comes to the end").unwrap();
        let ledger = std::mem::take(&mut *self.shared.ledger.lock().unwrap());
        ledger.check(&*self.repository).await;
        assert_eq!(moment(&*self.repository).await, moment(witness).await, "it is there for everybody");
        let (feed, _) = read(witness, Since::Oldest, 500).await;
        let cursors = feed.into_iter().map(|record| record.cursor).collect::<Vec<_>>();
        assert_eq!(seen, cursors, "who followed the feed through it all saw each change once");
        self.shared.tally.lock().unwrap().clone()
    }
}

/// What a writer believes of one of its flows.
#[derive(Clone, Copy)]
enum Belief {
    Absent,
    At(Revision),
    /// The outcome of its last change is open.
    Unknown,
}

async fn write(repository: Arc<dyn FlowRepository>, shared: Arc<Shared>, writer: u32, mut chance: Chance) {
    let mut beliefs = [Belief::Absent; FLOWS_EACH as usize];
    while !shared.over.load(Ordering::Relaxed) {
        let place = chance.below(FLOWS_EACH.into()) as usize;
        // Two at a time are a transaction, one is a statement of its own.
        let mut places = vec![place];
        places.extend((chance.below(4) == 0).then_some((place + 1) % FLOWS_EACH as usize));
        learn(&*repository, &shared, writer, &places, &mut beliefs).await;
        if places.iter().any(|place| matches!(beliefs[*place], Belief::Unknown)) {
            sleep(Duration::from_millis(10)).await;
            continue;
        }
        let deletes = chance.below(8) == 0;
        let (at, changes, stamp) = {
            let mut ledger = shared.ledger.lock().unwrap();
            let at = ledger.next();
            let number = |place: usize| writer * FLOWS_EACH + place as u32 + 1;
            let change = |place: &usize| match beliefs[*place] {
                Belief::Absent => Change::create(content(number(*place), at)),
                Belief::At(revision) if deletes => Change::Delete(id(number(*place)), Precondition::At(revision)),
                Belief::At(revision) => Change::replace_at(content(number(*place), at), revision),
                Belief::Unknown => unreachable!("it was learned"),
            };
            let changes: Vec<_> = places.iter().map(change).collect();
            let stamp = ledger.begin(at, &changes);
            (at, changes, stamp)
        };
        let began = Instant::now();
        let result = repository.apply(changes.clone(), stamp).await;
        tally(&shared, began, result.as_ref().err());
        shared.ledger.lock().unwrap().end(at, &result);
        for (index, place) in places.into_iter().enumerate() {
            beliefs[place] = match &result {
                Ok(_) if changes[index].flow().is_none() => Belief::Absent,
                Ok(applied) => Belief::At(applied[index].version.as_ref().expect("it is stored").revision),
                Err(_) => Belief::Unknown,
            };
        }
    }
}

/// Reads what is not known any more.
async fn learn(
    repository: &dyn FlowRepository,
    shared: &Shared,
    writer: u32,
    places: &[usize],
    beliefs: &mut [Belief],
) {
    for place in places {
        if matches!(beliefs[*place], Belief::Unknown) {
            let began = Instant::now();
            let result = repository.get(id(writer * FLOWS_EACH + *place as u32 + 1)).await;
            match &result {
                Ok(found) => {
                    beliefs[*place] = found.as_ref().map_or(Belief::Absent, |found| Belief::At(found.version.revision));
                }
                Err(error) => tally(shared, began, Some(error)),
            }
        }
    }
}

fn tally(shared: &Shared, began: Instant, error: Option<&RepositoryError>) {
    let mut tally = shared.tally.lock().unwrap();
    tally.longest = tally.longest.max(began.elapsed());
    match error {
        None => {
            tally.made += 1;
            tally.last_made = Some(Instant::now());
        }
        Some(RepositoryError::Conflict(_)) => tally.conflicts += 1,
        Some(RepositoryError::Unavailable { .. }) => tally.unavailable += 1,
        Some(RepositoryError::Busy(_)) => tally.busy += 1,
        Some(RepositoryError::ReadOnly(_)) => tally.read_only += 1,
        Some(error) => panic!("no outage explains this: {error:?}"),
    }
}

/// Follows the feed to its end, from where it was whatever comes in between.
async fn follow(repository: Arc<dyn FlowRepository>, shared: Arc<Shared>, begin: FeedCursor) -> Vec<FeedCursor> {
    let (mut seen, mut place) = (Vec::new(), begin);
    loop {
        let settled = shared.settled.load(Ordering::Relaxed);
        match repository.change_summaries(Since::After(place), 50).await {
            // Transactions of others, in other databases too, may keep back what is committed.
            Ok(feed) if settled && feed.changes.is_empty() && feed.next >= feed.newest => return seen,
            Ok(feed) => {
                seen.extend(feed.changes.iter().map(|record| record.cursor));
                place = feed.next;
                // Who is dropped in the middle of a statement costs a connection: not more often than needed.
                let waiting = timeout(Duration::from_millis(500), repository.changed(place));
                if feed.changes.is_empty() && waiting.await.is_ok() {
                    sleep(Duration::from_millis(10)).await;
                }
            }
            Err(error) if error.is_retryable() => sleep(Duration::from_millis(50)).await,
            Err(error) => panic!("the feed breaks off: {error:?}"),
        }
    }
}
