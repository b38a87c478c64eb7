//! pg_dump and pg_restore into a new cluster with the commands of docs/backup.md. Flows, history, deleted flows and
//! feed are those at the time of the dump, and feed readers continue from their cursors.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use strom_store::repository::FlowRepositoryExt as _;

use futures::future::join_all;
use sqlx::ConnectOptions;
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use strom_store::FlowRepository;
use strom_store::internals::feed::{self, read_until};
use strom_store::internals::history::history;
use strom_store::internals::samples::{
    canonical, change, create_all, everything, flow, flow_with, id, moment, number, stamp, time,
};
use strom_store::postgres::{DatabaseUrl, PostgresRepository};
use strom_store::repository::{Change, FeedCursor, Operation, Precondition, Record, Revision, Since};
use strom_store::{Flow, FlowId};
use strom_test_support::clock;
use tokio::sync::OnceCell;

use strom_test_support::cluster::{Cluster, done};
use strom_test_support::eventually::eventually;
use strom_test_support::postgres::{count, run};

/// The clusters, while any test uses them.
static CLUSTERS: Mutex<Weak<OnceCell<Clusters>>> = Mutex::new(Weak::new());

/// An old cluster and a new one with a lower transaction counter.
struct Clusters {
    old: Arc<Cluster>,
    new: Arc<Cluster>,
}

impl Clusters {
    async fn start() -> Self {
        let (old, new) = futures::join!(Cluster::start(&["fsync = off"]), Cluster::start(&["fsync = off"]));
        let consume_ids = "DO $$ BEGIN FOR i IN 1..10000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$";
        run(&mut old.connect().await, consume_ids).await;
        Self { old: Arc::new(old), new: Arc::new(new) }
    }
}

/// A database for one test in one of the clusters.
struct TestDatabase {
    cluster: Arc<Cluster>,
    name: String,
    _clusters: Arc<OnceCell<Clusters>>,
}

impl TestDatabase {
    async fn in_old() -> Self {
        Self::create(|clusters| &clusters.old).await
    }

    async fn in_new() -> Self {
        Self::create(|clusters| &clusters.new).await
    }

    async fn create(which: fn(&Clusters) -> &Arc<Cluster>) -> Self {
        let clusters = {
            let mut shared = CLUSTERS.lock().unwrap_or_else(PoisonError::into_inner);
            let clusters = shared.upgrade().unwrap_or_default();
            *shared = Arc::downgrade(&clusters);
            clusters
        };
        let cluster = Arc::clone(which(clusters.get_or_init(Clusters::start).await));
        let name = format!("strom_test_{}", clock::new_id().as_uuid().simple());
        run(&mut cluster.connect().await, &format!("CREATE DATABASE {name} TEMPLATE template0")).await;
        Self { cluster, name, _clusters: clusters }
    }

    fn url(&self) -> String {
        format!("postgresql://postgres@{}/{}", self.cluster.address(), self.name)
    }

    async fn connect(&self) -> PgConnection {
        self.url().parse::<PgConnectOptions>().unwrap().connect().await.unwrap()
    }

    async fn repository(&self) -> Arc<dyn FlowRepository> {
        Arc::new(PostgresRepository::open(&DatabaseUrl::parse(&self.url()).unwrap()).await.unwrap())
    }

    async fn next_transaction(&self) -> i64 {
        count(&mut self.connect().await, "SELECT pg_snapshot_xmax(pg_current_snapshot())::TEXT::BIGINT").await
    }
}

/// Runs those commands of docs/backup.md that contain one of the texts, in a new directory.
async fn run_documented(texts: &[&str], source: &TestDatabase, target: &TestDatabase) {
    let commands = include_str!("../../docs/backup.md").lines().filter_map(|line| line.strip_prefix("    "));
    let wanted = |line: &&str| texts.iter().any(|text| line.contains(text));
    let script: Vec<_> = ["set -e"].into_iter().chain(commands.filter(wanted)).collect();
    assert!(script.len() > texts.len(), "{script:?}");
    let programs = source.cluster.programs();
    let directory = programs.new_path();
    let mut make = programs.command("mkdir");
    make.arg(&directory);
    done(make).await;
    let mut command = programs.command("bash");
    command.arg("-c").arg(script.join("\n")).current_dir(&directory);
    command.env("PATH", format!("{}:{}", programs.bin().display(), std::env::var("PATH").unwrap_or_default()));
    command.env("STROM_DATABASE_URL", source.url()).env("NEW_DATABASE_URL", target.url());
    done(command).await;
}

async fn dump_and_restore(source: &TestDatabase, target: &TestDatabase) {
    run_documented(&["strom.dump"], source, target).await;
}

async fn dump_and_restore_as_sql(source: &TestDatabase, target: &TestDatabase) {
    run_documented(&["strom.sql"], source, target).await;
}

/// Restores the data into a schema that Strom has created, which may be newer.
async fn dump_and_restore_data_only(source: &TestDatabase, target: &TestDatabase) {
    target.repository().await.close().await.unwrap();
    run_documented(&["strom.data", "DELETE FROM flow_log"], source, target).await;
}

/// Returns flows, deleted flows, histories and documents of these numbers as text.
async fn describe(repository: &dyn FlowRepository, numbers: impl Iterator<Item = u32>) -> Vec<String> {
    let mut seen: Vec<_> = moment(repository).await.iter().map(|flow| format!("{flow:?}")).collect();
    seen.extend(repository.deleted().await.unwrap().iter().map(|record| format!("deleted {record:?}")));
    for number in numbers {
        for record in history(repository, number).await {
            let revision = repository.revision(id(number), record.revision).await.unwrap().unwrap();
            seen.push(format!("{record:?} {}", canonical(&revision.item)));
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn restored_dump_contains_flows_history_trash_and_feed() {
    let source = TestDatabase::in_old().await;
    let original = source.repository().await;
    create_all(&*original, (1..=20).map(|number| flow_with(number, "stored", r#""n":1.10,"running":true"#))).await;
    for number in [1, 2, 3] {
        change(&*original, Change::replace(flow_with(number, "edited", r#""n":18446744073709551617"#)), stamp(1)).await;
    }
    change(&*original, Change::delete(id(3)), stamp(2)).await;
    change(&*original, Change::delete(id(4)), stamp(3)).await;
    let deleted = original.revision(id(3), Revision::FIRST).await.unwrap().unwrap().item;
    change(&*original, Change::Restore(deleted, Precondition::Any), stamp(4)).await;
    let all = feed::read(&*original, Since::Oldest).await;
    let reader = all[21].cursor;
    let before = describe(&*original, 1..=20).await;
    original.close().await.unwrap();

    type Method = (&'static str, Copy);
    type Copy = for<'a> fn(&'a TestDatabase, &'a TestDatabase) -> futures::future::BoxFuture<'a, ()>;
    let methods: [Method; 3] = [
        ("custom format", |a, b| Box::pin(dump_and_restore(a, b))),
        ("plain SQL", |a, b| Box::pin(dump_and_restore_as_sql(a, b))),
        ("data only", |a, b| Box::pin(dump_and_restore_data_only(a, b))),
    ];
    for (method, copy) in methods {
        let target = TestDatabase::in_new().await;
        copy(&source, &target).await;
        // The new cluster assigns lower transaction ids than the dump contains.
        assert!(
            target.next_transaction().await < source.next_transaction().await,
            "{method}: the new cluster reuses lower transaction ids"
        );
        let restored = target.repository().await;
        assert_eq!(describe(&*restored, 1..=20).await, before, "{method}");
        change(&*restored, Change::replace(flow(1, "in the new cluster")), stamp(9)).await;
        create_all(&*restored, [flow(50, "new")]).await;
        let mut expected = feed::operations(&all);
        // The first change of a flow in a log skips 1000 revisions.
        expected.extend([(1, Operation::Update, 1003), (50, Operation::Create, 1)]);
        let changes = feed::operations(&feed::read(&*restored, Since::Oldest).await);
        assert_eq!(changes, expected, "{method}: from the oldest change");
        let changes = feed::operations(&feed::read(&*restored, Since::After(reader)).await);
        assert_eq!(changes, expected[22..], "{method}: from the cursor of a reader");
        restored.close().await.unwrap();
    }
}

const WRITERS: u32 = 16;
/// The flow that ends the test.
const END: u32 = 9_999;

/// Sixteen writers that run until [`stop`](Self::stop), which returns the acknowledged edits.
struct Writers {
    is_stopped: Arc<AtomicBool>,
    made: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Writers {
    fn start(repository: &Arc<dyn FlowRepository>, label: &'static str) -> Self {
        let (is_stopped, made) = (Arc::new(AtomicBool::new(false)), Arc::<AtomicU64>::default());
        let writer = |writer: u32| {
            let (repository, is_stopped, count) = (Arc::clone(repository), Arc::clone(&is_stopped), Arc::clone(&made));
            tokio::spawn(async move {
                let mut made = Vec::new();
                for edit in 0.. {
                    if is_stopped.load(Ordering::Relaxed) {
                        break;
                    }
                    let edit = format!("{label} {writer} {edit}");
                    let text = format!(r#""edit":"{edit}""#);
                    // A flow of this writer, and a flow that other writers change as well.
                    let own = Change::Put(flow_with(100 + writer, "own", &text), Precondition::Any);
                    let shared = Change::Put(flow_with(writer % 5, "shared", &text), Precondition::Any);
                    repository.apply_all(vec![own, shared], stamp(1)).await.unwrap();
                    made.push(edit);
                    count.fetch_add(1, Ordering::Relaxed);
                }
                made
            })
        };
        Self { tasks: (0..WRITERS).map(writer).collect(), is_stopped, made }
    }

    /// Waits until this number of further edits is acknowledged.
    async fn wait_for_edits(&self, edits: u64) {
        let enough = self.made.load(Ordering::Relaxed) + edits;
        eventually("the writers make changes", async || self.made.load(Ordering::Relaxed) >= enough).await;
    }

    async fn stop(self) -> BTreeSet<String> {
        self.is_stopped.store(true, Ordering::Relaxed);
        join_all(self.tasks).await.into_iter().flat_map(Result::unwrap).collect()
    }
}

fn edit_of(flow: &Flow) -> Option<String> {
    let members: BTreeMap<String, serde_json::Value> = flow.decode().unwrap();
    Some(members.get("edit")?.as_str()?.to_owned())
}

/// Returns the edits in the feed to flows that have one writer, in their order.
fn own_edits(feed: &[Record<Flow>]) -> Vec<String> {
    let own = feed.iter().filter(|record| (100..100 + WRITERS).contains(&number(record.item.id())));
    own.filter_map(|record| edit_of(&record.item)).collect()
}

/// Panics unless revisions ascend by one, and skip 1000 in another log, cursors ascend, and applying every change produces the stored flows.
async fn assert_complete(repository: &dyn FlowRepository, feed: &[Record<Flow>]) {
    let (mut copy, mut revisions) = (BTreeMap::new(), BTreeMap::<FlowId, (u64, u64)>::new());
    assert!(feed.is_sorted_by(|a, b| a.cursor < b.cursor), "cursors ascend");
    for record in feed {
        let (log, revision) = (record.cursor.log(), record.revision.number());
        let (last_log, last) = revisions.insert(record.item.id(), (log, revision)).unwrap_or((log, 0));
        assert_eq!(revision, last + if log == last_log { 1 } else { 1001 }, "{:?}", record.item);
        copy.insert(record.item.id(), canonical(&record.item));
    }
    let current = everything(repository).await.into_iter().map(|stored| (stored.item.id(), canonical(&stored.item)));
    assert_eq!(copy, current.collect(), "applying the feed produces a copy");
}

#[tokio::test(flavor = "multi_thread")]
async fn dump_during_writes_is_consistent_and_readers_continue() {
    let (source, target) = (TestDatabase::in_old().await, TestDatabase::in_new().await);
    let original = source.repository().await;
    let early = Writers::start(&original, "early");
    early.wait_for_edits(100).await;
    let early = early.stop().await;
    let writers = Writers::start(&original, "source");
    writers.wait_for_edits(100).await;
    // A reader has read this part of the feed when the dump starts.
    let mut seen = Vec::new();
    let mut since = Since::Oldest;
    for _ in 0..5 {
        let feed = original.changes(since, 40).await.unwrap();
        since = Since::After(feed.next);
        seen.extend(feed.changes);
    }
    dump_and_restore(&source, &target).await;
    // The dump does not contain these changes.
    writers.wait_for_edits(20).await;
    let in_source = writers.stop().await;
    let end_of_source = feed::now(&*original).await;

    let restored = target.repository().await;
    let writers = Writers::start(&restored, "target");
    let readers: Vec<_> = [7, 50, 200]
        .map(|limit| {
            let restored = Arc::clone(&restored);
            tokio::spawn(async move {
                let is_end = |record: &Record<Flow>| number(record.item.id()) == END;
                read_until(&*restored, since, limit, is_end).await
            })
        })
        .into();
    writers.wait_for_edits(200).await;
    let in_target = writers.stop().await;
    create_all(&*restored, [flow(END, "end")]).await;
    let rest: Vec<_> = join_all(readers).await.into_iter().map(Result::unwrap).collect();
    let cursors = |feed: &[Record<Flow>]| feed.iter().map(|record| record.cursor).collect::<Vec<FeedCursor>>();
    for reader in &rest {
        assert_eq!(cursors(reader), cursors(&rest[0]), "all readers see one order");
    }
    seen.extend(rest.into_iter().next().unwrap());
    assert_complete(&*restored, &seen).await;

    let edits = own_edits(&seen);
    let once: BTreeSet<String> = edits.iter().cloned().collect();
    assert_eq!(edits.len(), once.len(), "each change once");
    assert!(once.is_superset(&early), "the dump contains all changes acknowledged before it");
    assert!(once.is_superset(&in_target), "all changes acknowledged in the new cluster are present");
    let dumped: BTreeSet<_> = once.iter().filter(|edit| edit.starts_with("source")).cloned().collect();
    assert!(dumped.is_subset(&in_source) && !dumped.is_empty());
    assert_eq!(once.len(), early.len() + dumped.len() + in_target.len(), "no other changes are present");
    eprintln!(
        "{} before, {} of {} during the dump, {} after",
        early.len(),
        dumped.len(),
        in_source.len(),
        in_target.len()
    );
    assert!(dumped.len() < in_source.len(), "some changes were made after the dump");
    let unknown = restored.changes(Since::After(end_of_source), 1).await;
    assert!(unknown.is_err(), "a reader whose cursor is not in the dump receives an error: {unknown:?}");
    assert!(everything(&*restored).await.iter().all(|stored| stored.version.created_at >= time(0)));
}
