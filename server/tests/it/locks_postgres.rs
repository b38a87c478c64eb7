//! Other transactions lock flows. Writes to these flows wait, and leave connections for reads and for other writes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use sqlx::PgConnection;
use strom_server::clock;
use strom_server::http::Access;
use strom_server::stack::Stack;
use strom_store::FlowRepository;
use strom_store::internals::samples::{create_all, flow, id, stamp};
use strom_store::last_known::{LastKnown, Settings};
use strom_store::repository::{Change, FlowRepositoryExt as _, Precondition, RepositoryError};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;

use crate::http::client::{Answer, Client};
use strom_test_support::cluster::Cluster;
use strom_test_support::eventually::eventually;
use strom_test_support::postgres::{count, run};

/// Flows 1 to 8 are locked, and the flows from 11 on are free.
const LOCKED: u32 = 8;
const FREE: u32 = 11;
/// The sessions that wait for a lock of another session.
const WAITING: &str = "SELECT COUNT(*) FROM pg_stat_activity
    WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0";

/// A server whose database has locked flows.
struct Locked {
    repository: Arc<dyn FlowRepository>,
    client: Client,
    blocker: PgConnection,
    observer: PgConnection,
    _last_known: LastKnown,
    _cluster: Cluster,
    _alone: MutexGuard<'static, ()>,
}

/// Only one of these tests runs at a time: together they would use all processors.
static ALONE: Mutex<()> = Mutex::const_new(());

impl Locked {
    /// Runs this statement of a foreign transaction, which stays open.
    async fn by(statement: &str) -> Self {
        let alone = ALONE.lock().await;
        // On a server of its own: an open transaction delays the feeds of all databases of a server.
        let cluster = Cluster::start(&["fsync = off"]).await;
        let repository: Arc<dyn FlowRepository> = cluster.repository().await;
        create_all(&*repository, (1..=LOCKED).chain(FREE..FREE + 20).map(|number| flow(number, "stored"))).await;
        // Follows the feed, so that one connection listens.
        let last_known = LastKnown::follow(repository.clone(), Settings::default()).await;
        eventually("the copy exists", async || last_known.extent().is_some()).await;
        let stack = Stack::over(repository.clone()).last_known(last_known.clone()).ephemeral(clock::now()).build();
        let client = Client::with(stack, Access::Anonymous);
        let (mut blocker, observer) = (cluster.connect().await, cluster.connect().await);
        run(&mut blocker, &format!("BEGIN; {statement}")).await;
        Self { repository, client, blocker, observer, _last_known: last_known, _cluster: cluster, _alone: alone }
    }

    /// Writes all locked flows in every way, until `is_done`. Returns the responses.
    fn write_locked_flows(&self, is_done: &Arc<AtomicBool>) -> JoinHandle<Vec<Answer>> {
        let writers = (1..=LOCKED).flat_map(|number| (0..4).map(move |way| (number, way))).map(|(number, way)| {
            let (client, is_done) = (self.client.clone(), Arc::clone(is_done));
            async move {
                let (path, mut answers) = (format!("/api/flows/{}", id(number)), Vec::new());
                while !is_done.load(Ordering::SeqCst) {
                    let name = format!("by way {way}, {}", answers.len());
                    let (line, body) = match way {
                        0 => (format!("PUT {path}"), flow(number, &name).document().get().to_owned()),
                        1 => (format!("PUT {path}/state"), r#"{"state":"Playing"}"#.to_owned()),
                        2 => ("POST /api/flows/import?on_conflict=replace".to_owned(), both(number, &name)),
                        _ => (format!("DELETE {path}"), String::new()),
                    };
                    answers.push(client.send(&line, &[], &body).await);
                    // Without a pause, responses that need no statement would use all processors.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                answers
            }
        });
        let writers: Vec<_> = writers.collect();
        tokio::spawn(async move { join_all(writers).await.into_iter().flatten().collect() })
    }

    async fn status(&self, line: &str, body: &str) -> u16 {
        self.client.send(line, &[], body).await.status
    }

    /// Sends a write until it gets this status. A slow machine may need more than the time that a write waits.
    async fn write(&self, line: &str, body: &str, expected: u16) {
        let mut is_repeated = false;
        eventually(line, async || match self.status(line, body).await {
            503 => {
                is_repeated = true;
                false
            }
            // The write before may have been stored.
            404 | 409 if is_repeated => true,
            status => {
                assert_eq!(status, expected, "{line}");
                true
            }
        })
        .await;
    }

    /// Reads everything while writes wait. Returns the statuses of all responses. Repeats a rejected read once: a slow machine
    /// may need more than the time that a read waits for a connection.
    async fn read(&self, round: u32) -> BTreeSet<u16> {
        let free = format!("GET /api/flows/{}", id(FREE + round % 20));
        let locked = format!("GET /api/flows/{}", id(1 + round % LOCKED));
        let lines =
            [&free, &locked, "GET /api/flows", "GET /api/flows?view=summary&limit=3", "GET /ready", "GET /metrics"];
        let read = async |line: &str| match self.status(line, "").await {
            503 => self.status(line, "").await,
            status => status,
        };
        join_all(lines.map(read)).await.into_iter().collect()
    }
}

/// Returns an import of a locked flow and of a new flow.
fn both(number: u32, name: &str) -> String {
    json!([{ "id": id(number), "name": name }, { "id": id(100 + number), "name": name }]).to_string()
}

async fn reads_work_while_writes_wait(statement: &str) {
    let mut locked = Locked::by(statement).await;
    let is_done = Arc::<AtomicBool>::default();
    let writers = locked.write_locked_flows(&is_done);
    eventually("writes wait for locks", async || count(&mut locked.observer, WAITING).await >= 2).await;
    for round in 0..60 {
        assert_eq!(locked.read(round).await, BTreeSet::from([200]), "reads in round {round}");
        let waiting = count(&mut locked.observer, WAITING).await;
        assert!(waiting <= 3, "{waiting} sessions wait for locks");
    }
    is_done.store(true, Ordering::SeqCst);
    run(&mut locked.blocker, "ROLLBACK").await;
    for answer in writers.await.unwrap() {
        let expected = [200, 201, 204, 404, 409, 503].contains(&answer.status);
        assert!(expected && (answer.status != 503 || answer.body.contains("nothing was written")), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_work_while_writes_wait_for_locked_rows() {
    reads_work_while_writes_wait(&format!(
        "SELECT FROM flows WHERE id BETWEEN '{}' AND '{}' FOR UPDATE",
        id(1),
        id(LOCKED)
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_work_while_writes_wait_for_changed_and_new_rows() {
    reads_work_while_writes_wait(&format!(
        "UPDATE flows SET name = 'by psql' WHERE id <= '{}'; DELETE FROM flows WHERE id BETWEEN '{}' AND '{}';
         INSERT INTO flows (id, name, data) SELECT md5(n::TEXT)::UUID, 'new', '{{}}' FROM generate_series(1, 50) AS n",
        id(4),
        id(5),
        id(LOCKED)
    ))
    .await;
}

/// No write is possible. All of them wait, also the group commit.
#[tokio::test(flavor = "multi_thread")]
async fn reads_work_while_writes_wait_for_a_locked_table() {
    reads_work_while_writes_wait("LOCK TABLE flows IN EXCLUSIVE MODE").await;
}

/// Any number of waiting writes leaves a connection for writes that need not wait.
#[tokio::test(flavor = "multi_thread")]
async fn writes_to_other_flows_continue_while_writes_wait_for_locked_rows() {
    let lock = format!("SELECT FROM flows WHERE id BETWEEN '{}' AND '{}' FOR UPDATE", id(1), id(LOCKED));
    let mut locked = Locked::by(&lock).await;
    let is_done = Arc::<AtomicBool>::default();
    let writers = locked.write_locked_flows(&is_done);
    eventually("writes wait for locks", async || count(&mut locked.observer, WAITING).await >= 2).await;
    for round in 0..15 {
        let (number, path) = (FREE + round, format!("/api/flows/{}", id(FREE + round)));
        let edited = flow(number, "edited");
        locked.write(&format!("PUT {path}"), edited.document().get(), 200).await;
        locked.write("POST /api/flows", flow(200 + round, "new").document().get(), 201).await;
        locked.write(&format!("DELETE {path}"), "", 204).await;
        // Not an import over HTTP: the locked ones use up their own limit.
        let list = [300, 400].map(|first| Change::Put(flow(first + round, "in a list"), Precondition::Any));
        eventually("a list of changes is stored", async || {
            match locked.repository.apply_all(list.to_vec(), stamp(1)).await {
                Err(error) if error.is_retryable() => false,
                result => result.map(|_| true).unwrap(),
            }
        })
        .await;
    }
    is_done.store(true, Ordering::SeqCst);
    run(&mut locked.blocker, "ROLLBACK").await;
    writers.await.unwrap();
}

/// A create waits for a transaction that has inserted the same id. Other creates do not wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn creates_of_uncommitted_flows_do_not_stop_other_calls() {
    let ids: Vec<_> = (500..500 + LOCKED).collect();
    let rows: Vec<_> = ids.iter().map(|number| format!("('{}', 'by psql', '{{}}')", id(*number))).collect();
    let mut locked = Locked::by(&format!("INSERT INTO flows (id, name, data) VALUES {}", rows.join(", "))).await;
    let creates = ids.into_iter().map(|number| {
        let client = locked.client.clone();
        let body = flow(number, "waits").document().get().to_owned();
        tokio::spawn(async move { client.send("POST /api/flows", &[], &body).await.status })
    });
    let creates: Vec<_> = creates.collect();
    eventually("creates wait", async || count(&mut locked.observer, WAITING).await >= 2).await;
    for round in 0..15 {
        assert_eq!(locked.read(round).await, BTreeSet::from([200]), "reads in round {round}");
        locked.write("POST /api/flows", flow(200 + round, "new").document().get(), 201).await;
        let waiting = count(&mut locked.observer, WAITING).await;
        assert!(waiting <= 3, "{waiting} sessions wait for locks");
    }
    run(&mut locked.blocker, "COMMIT").await;
    for create in creates {
        let status = create.await.unwrap();
        assert!([409, 503].contains(&status), "{status}");
    }
}

/// A write that gets no connection in time fails, names the reason, and writes nothing. Waiting writes are measured.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_cannot_wait_reports_that_writes_wait_for_locks() {
    let mut locked = Locked::by("UPDATE flows SET name = 'by psql'").await;
    let calls = (1..=LOCKED).map(|number| {
        let repository = Arc::clone(&locked.repository);
        tokio::spawn(async move { repository.apply_all(vec![Change::delete(id(number))], stamp(1)).await })
    });
    let calls: Vec<_> = calls.collect();
    let measured = |name| {
        let all = locked.repository.measurements();
        all.iter().find(|one| one.name == name).unwrap().value
    };
    for name in ["postgres_pool_waiting", "postgres_writes_waiting"] {
        eventually("waiting writes are measured", async || measured(name) >= 4.0).await;
    }
    eventually("some writes have failed", async || calls.iter().filter(|call| call.is_finished()).count() >= 4).await;
    run(&mut locked.blocker, "ROLLBACK").await;
    let mut failed = 0;
    for (number, call) in (1..).zip(calls) {
        let is_stored = match call.await.unwrap() {
            Ok(_) => false,
            Err(RepositoryError::Busy(reason)) => {
                assert!(reason.contains("writes wait for locks"), "{reason}");
                failed += 1;
                true
            }
            Err(error) => panic!("{error}"),
        };
        assert_eq!(locked.repository.get(id(number)).await.unwrap().is_some(), is_stored, "flow {number}");
    }
    assert!(failed >= 4, "{failed} calls failed");
}
