//! pg_dump and pg_restore into a new cluster, by the commands of docs/backup.md: flows, history, trash and feed are those
//! of the moment of the dump, and who follows the feed goes on from where he was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use strom::FlowRepository;
use strom::repository::{Change, FeedCursor, Operation, Precondition, Record, Revision, Since};
use strom::testkit::feed::{self, read_until};
use strom::testkit::history::history;
use strom::testkit::samples::{
    canonical, change, create_all, everything, flow, flow_with, id, moment, number, stamp, time,
};
use strom::{Flow, FlowId};
use tokio::time::sleep;

use crate::support::cluster::{Cluster, done};
use crate::support::postgres::run;

/// `pg_dump … | pg_restore …` as the chapter has it.
async fn dump_and_restore(source: &Cluster, target: &Cluster) {
    let file = source.programs().place();
    let mut dump = source.program("pg_dump");
    dump.args(["--format=custom", "--file"]).arg(&file).args(["--dbname", &source.url()]);
    done(dump).await;
    let mut restore = target.program("pg_restore");
    restore.args(["--exit-on-error", "--single-transaction", "--no-owner", "--dbname", &target.url()]).arg(&file);
    done(restore).await;
}

async fn dump_and_restore_as_sql(source: &Cluster, target: &Cluster) {
    let file = source.programs().place();
    let mut dump = source.program("pg_dump");
    dump.args(["--no-owner", "--file"]).arg(&file).args(["--dbname", &source.url()]);
    done(dump).await;
    let mut restore = target.program("psql");
    restore.args(["--quiet", "--set", "ON_ERROR_STOP=1", "--single-transaction", "--dbname", &target.url()]);
    restore.arg("--file").arg(&file);
    done(restore).await;
}

/// Into a schema that Strom has made, perhaps a newer one.
async fn dump_and_restore_data_only(source: &Cluster, target: &Cluster) {
    let file = source.programs().place();
    let mut dump = source.program("pg_dump");
    dump.args(["--format=custom", "--data-only", "--table=flows", "--table=flow_*", "--file"]).arg(&file);
    dump.args(["--dbname", &source.url()]);
    done(dump).await;
    target.repository().await.close().await;
    run(&mut target.connect().await, "DELETE FROM flow_log").await;
    let mut restore = target.program("pg_restore");
    restore.args(["--exit-on-error", "--single-transaction", "--data-only", "--disable-triggers"]);
    restore.args(["--dbname", &target.url()]).arg(&file);
    done(restore).await;
}

/// All that is to be seen of the flows with these numbers, as text.
async fn picture(repository: &dyn FlowRepository, numbers: impl Iterator<Item = u32>) -> Vec<String> {
    let mut seen: Vec<_> = moment(repository).await.iter().map(|flow| format!("{flow:?}")).collect();
    seen.extend(repository.deleted().await.unwrap().iter().map(|gone| format!("gone {gone:?}")));
    for number in numbers {
        for record in history(repository, number).await {
            let kept = repository.revision(id(number), record.revision).await.unwrap().unwrap();
            seen.push(format!("{record:?} {}", canonical(&kept.item)));
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_cluster_has_all_that_was_dumped() {
    let source = Cluster::start(&["fsync = off"]).await;
    let original = source.repository().await;
    // The new one counts its transactions from the beginning.
    run(&mut source.connect().await, "CREATE TABLE others (); ALTER TABLE others ADD n INT").await;
    create_all(&*original, (1..=20).map(|number| flow_with(number, "kept", r#""n":1.10,"running":true"#))).await;
    for number in [1, 2, 3] {
        change(&*original, Change::replace(flow_with(number, "edited", r#""n":18446744073709551617"#)), stamp(1)).await;
    }
    change(&*original, Change::delete(id(3)), stamp(2)).await;
    change(&*original, Change::delete(id(4)), stamp(3)).await;
    let back = original.revision(id(3), Revision::FIRST).await.unwrap().unwrap().item;
    change(&*original, Change::Restore(back, Precondition::Any), stamp(4)).await;
    let all = feed::read(&*original, Since::Oldest).await;
    let reader = all[21].cursor;
    let before = picture(&*original, 1..=20).await;
    original.close().await;

    type Way = (&'static str, AsyncWay);
    type AsyncWay = for<'a> fn(&'a Cluster, &'a Cluster) -> futures::future::BoxFuture<'a, ()>;
    let ways: [Way; 3] = [
        ("custom format", |a, b| Box::pin(dump_and_restore(a, b))),
        ("plain SQL", |a, b| Box::pin(dump_and_restore_as_sql(a, b))),
        ("data only", |a, b| Box::pin(dump_and_restore_data_only(a, b))),
    ];
    for (way, copy) in ways {
        let target = Cluster::start(&["fsync = off"]).await;
        copy(&source, &target).await;
        let restored = target.repository().await;
        assert_eq!(picture(&*restored, 1..=20).await, before, "{way}");
        change(&*restored, Change::replace(flow(1, "in the new cluster")), stamp(9)).await;
        create_all(&*restored, [flow(50, "new")]).await;
        let mut expected = feed::told(&all);
        expected.extend([(1, Operation::Update, 3), (50, Operation::Create, 1)]);
        let told = feed::told(&feed::read(&*restored, Since::Oldest).await);
        assert_eq!(told, expected, "{way}: from the beginning");
        let told = feed::told(&feed::read(&*restored, Since::After(reader)).await);
        assert_eq!(told, expected[22..], "{way}: from where a reader was");
        restored.close().await;
    }
}

const WRITERS: u32 = 16;
/// The flow that ends the test.
const END: u32 = 9_999;

/// Sixteen writers, until they are told to stop; each gives the edits that were acknowledged.
struct Writers {
    over: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Writers {
    fn start(repository: &Arc<dyn FlowRepository>, place: &'static str) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let writer = |writer: u32| {
            let (repository, over) = (Arc::clone(repository), Arc::clone(&over));
            tokio::spawn(async move {
                let mut made = Vec::new();
                for edit in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let edit = format!("{place} {writer} {edit}");
                    let text = format!(r#""edit":"{edit}""#);
                    // One of its own, and one that others write as well.
                    let own = Change::Put(flow_with(100 + writer, "own", &text), Precondition::Any);
                    let shared = Change::Put(flow_with(writer % 5, "shared", &text), Precondition::Any);
                    repository.apply(vec![own, shared], stamp(1)).await.unwrap();
                    made.push(edit);
                }
                made
            })
        };
        Self { tasks: (0..WRITERS).map(writer).collect(), over }
    }

    async fn stop(self) -> BTreeSet<String> {
        self.over.store(true, Ordering::Relaxed);
        join_all(self.tasks).await.into_iter().flat_map(Result::unwrap).collect()
    }
}

fn edit_of(flow: &Flow) -> Option<String> {
    let members: BTreeMap<String, serde_json::Value> = flow.decode().unwrap();
    Some(members.get("edit")?.as_str()?.to_owned())
}

/// Each edit that a feed has of one of the flows that a writer has for itself, in its order.
fn own_edits(feed: &[Record<Flow>]) -> Vec<String> {
    let own = feed.iter().filter(|record| (100..100 + WRITERS).contains(&number(record.item.id())));
    own.filter_map(|record| edit_of(&record.item)).collect()
}

/// Revisions ascend by one, places ascend, and whoever makes every change has what is there.
async fn assert_whole(repository: &dyn FlowRepository, feed: &[Record<Flow>]) {
    let (mut copy, mut revisions) = (BTreeMap::new(), BTreeMap::<FlowId, u64>::new());
    assert!(feed.is_sorted_by(|a, b| a.cursor < b.cursor), "in one order");
    for record in feed {
        let last = revisions.insert(record.item.id(), record.revision.number()).unwrap_or(0);
        assert_eq!(record.revision.number(), last + 1, "{:?}", record.item);
        copy.insert(record.item.id(), canonical(&record.item));
    }
    let there = everything(repository).await.into_iter().map(|stored| (stored.item.id(), canonical(&stored.item)));
    assert_eq!(copy, there.collect(), "the feed makes a copy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_in_the_middle_of_writing_is_one_moment_and_readers_go_on() {
    let (source, target) = futures::join!(Cluster::start(&["fsync = off"]), Cluster::start(&["fsync = off"]));
    let original: Arc<dyn FlowRepository> = source.repository().await;
    let early = Writers::start(&original, "early");
    sleep(Duration::from_millis(300)).await;
    let early = early.stop().await;
    let writers = Writers::start(&original, "source");
    sleep(Duration::from_millis(300)).await;
    // Somebody has read so far when the dump is taken.
    let mut seen = Vec::new();
    let mut place = Since::Oldest;
    for _ in 0..5 {
        let feed = original.changes(place, 40).await.unwrap();
        place = Since::After(feed.next);
        seen.extend(feed.changes);
    }
    dump_and_restore(&source, &target).await;
    let in_source = writers.stop().await;
    let end_of_source = feed::now(&*original).await;

    let restored: Arc<dyn FlowRepository> = target.repository().await;
    let writers = Writers::start(&restored, "target");
    let readers: Vec<_> = [7, 50, 200]
        .map(|limit| {
            let restored = Arc::clone(&restored);
            tokio::spawn(async move {
                let is_end = |record: &Record<Flow>| number(record.item.id()) == END;
                read_until(&*restored, place, limit, is_end).await
            })
        })
        .into();
    sleep(Duration::from_millis(500)).await;
    let in_target = writers.stop().await;
    create_all(&*restored, [flow(END, "end")]).await;
    let rest: Vec<_> = join_all(readers).await.into_iter().map(Result::unwrap).collect();
    let cursors = |feed: &[Record<Flow>]| feed.iter().map(|record| record.cursor).collect::<Vec<FeedCursor>>();
    for reader in &rest {
        assert_eq!(cursors(reader), cursors(&rest[0]), "one order for all");
    }
    seen.extend(rest.into_iter().next().unwrap());
    assert_whole(&*restored, &seen).await;

    let edits = own_edits(&seen);
    let once: BTreeSet<String> = edits.iter().cloned().collect();
    assert_eq!(edits.len(), once.len(), "each change once");
    assert!(once.is_superset(&early), "what was acknowledged before the dump is in it");
    assert!(once.is_superset(&in_target), "what was acknowledged in the new cluster is there");
    let dumped: BTreeSet<_> = once.iter().filter(|edit| edit.starts_with("source")).cloned().collect();
    assert!(dumped.is_subset(&in_source) && !dumped.is_empty());
    assert_eq!(once.len(), early.len() + dumped.len() + in_target.len(), "and nothing else");
    eprintln!(
        "{} before, {} of {} during the dump, {} after",
        early.len(),
        dumped.len(),
        in_source.len(),
        in_target.len()
    );
    if dumped.len() < in_source.len() {
        let gone = restored.changes(Since::After(end_of_source), 1).await;
        assert!(gone.is_err(), "who has read what is not in the dump is told so: {gone:?}");
    }
    assert!(everything(&*restored).await.iter().all(|stored| stored.version.created_at >= time(0)));
}
