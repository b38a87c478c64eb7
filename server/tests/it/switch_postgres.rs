//! Switches between the backends: every flow moves, and a failed switch stores nothing.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};

use strom_server::transfer::Progress;
use strom_server::transfer::switch::{Existing, History, Switch, SwitchCounts, SwitchError, SwitchReport};
use strom_store::internals::history::{history, operations};
use strom_store::internals::samples::{
    canonical, change, change_all, create_all, everything, flow, flow_with, id, moment, stamp, time,
};
use strom_store::repository::{Author, Change, Precondition, Stamp, Version};
use strom_store::{Flow, FlowRepository};

use strom_test_support::cluster::Cluster;
use strom_test_support::json::{self, File};
use strom_test_support::postgres::{self, Database, count, run};
use strom_test_support::samples;

async fn read(source: &dyn FlowRepository) -> Switch {
    Switch::read(source, History::Exclude, Arc::new(())).await.unwrap()
}

/// Plans and makes a switch. The plan must equal the result, and the source must not change.
async fn make(source: &dyn FlowRepository, target: &dyn FlowRepository, existing: Existing) -> SwitchReport {
    let switch = read(source).await;
    let planned = switch.plan(Some(target), existing).await.unwrap();
    let report = switch.make(target, existing, stamp(9_000)).await.unwrap();
    assert_eq!(planned.counts, report.counts, "the plan equals the result");
    assert_eq!(planned.obstacles, report.obstacles);
    assert!(!switch.source_has_changed(source).await.unwrap());
    report
}

/// Returns the obstacles: id and reason.
fn refused(report: &SwitchReport) -> Vec<(String, String)> {
    let mut refused: Vec<_> =
        (report.obstacles.iter()).map(|obstacle| (obstacle.id.unwrap().to_string(), obstacle.reason.clone())).collect();
    refused.sort();
    refused
}

/// Stores all samples and this number of further flows. Several authors edit, delete and restore some of them, and an engine
/// reports one.
async fn fill(store: &dyn FlowRepository, flows: u32) {
    let mut seen = HashSet::new();
    let samples = samples::all().into_iter().map(|(_, flow)| flow).filter(|flow| seen.insert(flow.id()));
    let blocks =
        r#""blocks":[{"id":"b","block_definition_id":"x","properties":{"gain":1.10,"n":18446744073709551617}}]"#;
    let generated = (1..=flows).map(|number| flow_with(number, &format!("Flow {}", number % 1_000), blocks));
    let all: Vec<Flow> = samples.chain(generated).collect();
    change_all(store, all.into_iter().map(Change::create).collect(), stamp(0)).await;
    for (edit, author) in (1..).zip(["anna", "éditeur \"x\"", "file"]) {
        let edits = (1..=flows).filter(|number| number % (edit + 1) == 0);
        let edits = edits.map(|number| Change::replace(flow_with(number, "edited", &format!(r#""edit":{edit}"#))));
        change_all(store, edits.collect(), Stamp::new(time(edit.into()), Author::new(author))).await;
    }
    let report = flow_with(1, "Flow 1", &format!(r#"{blocks},"gst_state":"Playing","running":true"#));
    change(store, Change::replace(report), stamp(5)).await;
    change_all(store, vec![Change::delete(id(2)), Change::delete(id(3))], stamp(6)).await;
    change(store, Change::create(flow(2, "back")), stamp(7)).await;
}

/// Moves flows to PostgreSQL and on to another file, and reopens each. Documents, times, revisions and authors stay equal.
async fn round_trip(flows: u32) {
    let (source, database, back) = (File::new(), Database::empty().await, File::new());
    let first = source.open().await;
    fill(&*first, flows).await;
    let expected = moment(&*first).await;
    assert!(expected.len() as u32 > flows);

    let second = database.repository().await;
    let report = make(&*first, &*second, Existing::Fail).await;
    assert_eq!(report.counts, SwitchCounts { created: expected.len(), ..SwitchCounts::default() });
    assert!(report.is_good(), "{:?}", report.differences);
    assert_eq!(moment(&*first).await, expected, "the source is unchanged");
    first.close().await.unwrap();
    second.close().await.unwrap();

    let second = database.repository().await;
    assert_eq!(moment(&*second).await, expected);
    let third = back.open().await;
    let again = make(&*second, &*third, Existing::Fail).await;
    assert_eq!((again.counts, again.sha256), (report.counts, report.sha256));
    third.close().await.unwrap();
    second.close().await.unwrap();
    let third = back.open().await;
    assert_eq!(moment(&*third).await, expected, "after the file was closed and opened again");

    let edited = change(&*third, Change::replace(flow(2, "edited there")), stamp(10_000)).await;
    let Version { revision, .. } = edited.version.unwrap();
    assert_eq!(revision.number(), 5, "revisions continue: created, edited, deleted, restored, edited");
    third.close().await.unwrap();
}

/// One statement moves at most 1,000 flows. `STROM_SWITCH_FLOWS` sets the number of flows.
#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_flows_are_equal_after_a_round_trip() {
    let flows = std::env::var("STROM_SWITCH_FLOWS").ok().and_then(|flows| flows.parse().ok());
    round_trip(flows.unwrap_or(2_500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_switch_changes_nothing() {
    let (source, target) = (json::open().await, postgres::open().await);
    create_all(&**source, [flow(1, "a"), flow(2, "b")]).await;
    make(&**source, &**target, Existing::Fail).await;
    let before = moment(&**target).await;
    let again = make(&**source, &**target, Existing::Fail).await;
    assert!(again.is_good());
    assert_eq!(again.counts, SwitchCounts { unchanged: 2, ..SwitchCounts::default() });
    assert_eq!(moment(&**target).await, before);
    assert_eq!(operations(&history(&**target, 1).await).len(), 1);
}

/// Stores equal and different flows in both stores. Flows 3, 4 and 5 of the target are obstacles for different reasons.
async fn occupied(source: &dyn FlowRepository, target: &dyn FlowRepository) {
    create_all(source, [flow(1, "new"), flow(2, "the same"), flow(3, "ours"), flow(4, "edited and back")]).await;
    create_all(target, [flow(2, "the same"), flow(3, "theirs"), flow(4, "edited"), flow(5, "theirs alone")]).await;
    change(target, Change::replace(flow(4, "edited and back")), stamp(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_with_different_flows_is_rejected() {
    for (source, target) in pairs().await {
        occupied(&*source, &*target).await;
        let before = moment(&*target).await;
        let report = make(&*source, &*target, Existing::Fail).await;
        let of = |number, reason: &str| (id(number).to_string(), reason.to_owned());
        let expected = [
            of(3, "the target contains this flow with another document at revision 1"),
            of(4, "the target contains this flow with the same document, but at revision 2 instead of 1"),
            of(5, "the target contains this flow, but the source does not"),
        ];
        assert_eq!(refused(&report), expected);
        assert_eq!(moment(&*target).await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn existing_flows_are_skipped_or_replaced_on_request() {
    for (source, target) in pairs().await {
        occupied(&*source, &*target).await;
        let theirs = |moment: Vec<(String, Version)>, number: u32| {
            moment.into_iter().find(|(document, _)| document.contains(&id(number).to_string())).unwrap()
        };
        let before = moment(&*target).await;
        let skipped = make(&*source, &*target, Existing::Skip).await;
        assert!(skipped.is_good());
        assert_eq!(skipped.counts, SwitchCounts { created: 1, unchanged: 2, skipped: 1, others: 1, replaced: 0 });
        for number in 2..=5 {
            assert_eq!(theirs(moment(&*target).await, number), theirs(before.clone(), number), "flow {number} stays");
        }
        let replaced = make(&*source, &*target, Existing::Replace).await;
        assert!(replaced.is_good());
        assert_eq!(replaced.counts, SwitchCounts { unchanged: 3, replaced: 1, others: 1, ..SwitchCounts::default() });
        let (document, version) = theirs(moment(&*target).await, 3);
        assert_eq!(document, canonical(&flow(3, "ours")));
        assert_eq!((version.revision.number(), version.created_at, version.updated_at), (2, time(0), time(9_000)));
        assert_eq!(theirs(moment(&*target).await, 5), theirs(before, 5));
    }
}

/// Returns stores for both directions. They are leaked, so that they exist until the process exits.
async fn pairs() -> [(Arc<dyn FlowRepository>, Arc<dyn FlowRepository>); 2] {
    let keep_file = |opened: strom_test_support::Opened<File>| Box::leak(Box::new(opened)).clone();
    let keep_database = |opened: strom_test_support::Opened<Database>| Box::leak(Box::new(opened)).clone();
    [
        (keep_file(json::open().await), keep_database(postgres::open().await)),
        (keep_database(postgres::open().await), keep_file(json::open().await)),
    ]
}

/// SQL can write documents that a JSON file cannot contain. The report names all of them, and no flow moves.
#[tokio::test(flavor = "multi_thread")]
async fn every_flow_that_cannot_move_is_an_obstacle() {
    let (database, target) = (Database::migrated().await, json::open().await);
    let source = database.repository().await;
    create_all(&*source, [flow(1, "good")]).await;
    let mut connection = database.connect().await;
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    for (number, name, members) in
        [(2, "x".repeat(300), "{}".to_owned()), (3, "deep".into(), format!(r#"{{"x":{deep}}}"#))]
    {
        let insert = format!("INSERT INTO flows (id, name, data) VALUES ('{}', '{name}', '{members}')", id(number));
        run(&mut connection, &insert).await;
    }
    let revision = format!("UPDATE flows SET revision = 1::BIGINT << 60 WHERE id = '{}'", id(4));
    let insert = format!("INSERT INTO flows (id, name, data) VALUES ('{}', 'r', '{{}}')", id(4));
    run(&mut connection, &format!("{insert}; SET session_replication_role = replica; {revision}")).await;
    let report = make(&*source, &**target, Existing::Fail).await;
    let refused = refused(&report);
    let reasons: Vec<_> = refused.iter().map(|(id, reason)| (id.as_str(), reason.as_str())).collect();
    assert_eq!(reasons.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [2, 3, 4].map(|number| id(number).to_string()));
    assert!(reasons[0].1.starts_with("`$.name`:"), "{reasons:?}");
    assert!(reasons[1].1.starts_with("`$.x[0]"), "{reasons:?}");
    assert_eq!(reasons[2].1, "1152921504606846976 is not a valid revision");
    assert!(everything(&**target).await.is_empty());
    source.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_concurrent_change_of_the_source_is_reported() {
    for (source, target) in pairs().await {
        create_all(&*source, [flow(1, "a")]).await;
        let switch = read(&*source).await;
        assert!(!switch.source_has_changed(&*source).await.unwrap());
        change(&*source, Change::Put(flow(1, "b"), Precondition::Any), stamp(1)).await;
        assert!(switch.make(&*target, Existing::Fail, stamp(2)).await.unwrap().is_good());
        assert!(switch.source_has_changed(&*source).await.unwrap());
        assert_eq!(moment(&*target).await[0].0, canonical(&flow(1, "a")), "the target has the flow as it was read");
    }
}

/// Foreign triggers in the target change a document and a time, and delete a flow.
#[tokio::test(flavor = "multi_thread")]
async fn differences_in_the_target_are_reported() {
    let (source, database) = (json::open().await, Database::migrated().await);
    create_all(&**source, (1..=4).map(|number| flow(number, "a"))).await;
    let mut connection = database.connect().await;
    let spoil = format!(
        "CREATE FUNCTION spoil() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.id = '{}' THEN NEW.data := NEW.data || '{{\"n\":1}}'; END IF;
            IF NEW.id = '{}' THEN NEW.created_at := NEW.created_at - INTERVAL '1 us'; END IF;
            RETURN NEW;
        END $$",
        id(1),
        id(2)
    );
    let delete_third = format!(
        "CREATE FUNCTION take() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
            DELETE FROM flows WHERE id = '{}'; RETURN NULL;
        END $$",
        id(3)
    );
    run(&mut connection, &spoil).await;
    run(&mut connection, &delete_third).await;
    run(&mut connection, "CREATE TRIGGER zz BEFORE INSERT ON flows FOR EACH ROW EXECUTE FUNCTION spoil()").await;
    let at_the_end = "CREATE CONSTRAINT TRIGGER take AFTER INSERT ON flows DEFERRABLE INITIALLY DEFERRED \
                      FOR EACH ROW EXECUTE FUNCTION take()";
    run(&mut connection, at_the_end).await;
    let target = database.repository().await;
    let report = make(&**source, &*target, Existing::Fail).await;
    assert!(!report.is_good());
    let mut problems: Vec<_> = report.differences.iter().map(|flow| (flow.id, flow.problem)).collect();
    problems.sort();
    let expected = [
        (id(1), "the stored document differs from the transferred one"),
        (id(2), "the stored revision, times or author differ from the transferred ones"),
        (id(3), "the flow is missing"),
    ];
    assert_eq!(problems, expected);
    target.close().await.unwrap();
}

/// Waits for a crash of the server after this number of flows was written.
#[derive(Debug)]
struct Crash {
    at: usize,
    begin: Mutex<Option<tokio::sync::oneshot::Sender<()>>>,
    over: Mutex<Receiver<()>>,
}

impl Progress for Crash {
    fn handed_over(&self, flows: usize, _: usize) {
        if flows == self.at
            && let Some(begin) = self.begin.lock().unwrap().take()
        {
            begin.send(()).unwrap();
            self.over.lock().unwrap().recv().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_target_during_the_write_stores_no_flow() {
    let (file, cluster) = (File::new(), Arc::new(Cluster::start(&[]).await));
    let source = file.open().await;
    fill(&*source, 2_700).await;
    let before = moment(&*source).await;
    let target = cluster.repository().await;
    let (begin, begun) = tokio::sync::oneshot::channel();
    let (done, over) = sync_channel(1);
    let crash = Crash { at: 2_600, begin: Mutex::new(Some(begin)), over: Mutex::new(over) };
    let switch = Switch::read(&*source, History::Exclude, Arc::new(crash)).await.unwrap();
    let crashing = tokio::spawn({
        let cluster = Arc::clone(&cluster);
        async move {
            begun.await.unwrap();
            let mut observer = cluster.connect().await;
            let writing = "SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL";
            assert_eq!(count(&mut observer, writing).await, 1, "the transaction of the switch is open");
            cluster.crash_and_restart().await;
            done.send(()).unwrap();
        }
    });
    let failed = switch.make(&*target, Existing::Fail, stamp(1)).await;
    assert!(matches!(failed, Err(SwitchError::Target(_))), "{failed:?}");
    crashing.await.unwrap();
    assert_eq!(moment(&*source).await, before, "the source is unchanged");

    target.close().await.unwrap();
    let target = cluster.repository().await;
    assert!(everything(&*target).await.is_empty(), "the failed switch stored nothing");
    let mut observer = cluster.connect().await;
    assert_eq!(count(&mut observer, "SELECT count(*) FROM flow_changes").await, 0);
    let report = make(&*source, &*target, Existing::Fail).await;
    assert!(report.is_good());
    assert_eq!(moment(&*target).await, before, "the next attempt succeeds");
    target.close().await.unwrap();
    source.close().await.unwrap();
}
