//! `strom check`: gaps in histories, and contradictions between histories and flows.

use strom_server::check::check;
use strom_store::FlowRepository;
use strom_store::internals::feed;
use strom_store::internals::history::{history, operations};
use strom_store::internals::samples::{change, create_all, flow, flow_with, id, moment, number, stamp, time};
use strom_store::repository::{Change, Operation, Precondition, Retention};

use strom_test_support::json;
use strom_test_support::postgres::{self, Database, run};

/// Returns the problems, each with the number of its flow.
async fn problems(store: &dyn FlowRepository) -> Vec<(u32, String)> {
    let report = check(store, None).await.unwrap();
    assert_eq!((report.faults(), report.warnings()), (report.findings.len(), 0), "{report:?}");
    let findings = report.findings.into_iter();
    findings.map(|finding| (finding.id.map_or(0, number), finding.problem)).collect()
}

/// Repairs the store. Returns the numbers of the flows whose histories were repaired.
async fn repaired(store: &dyn FlowRepository) -> Vec<u32> {
    let report = check(store, Some(stamp(99))).await.unwrap();
    let findings = report.findings.iter().filter(|finding| finding.is_repaired);
    findings.map(|finding| finding.id.map_or(0, number)).collect()
}

/// Saves the flow this number of times.
async fn edit(store: &dyn FlowRepository, number: u32, times: i64) {
    for time in 1..=times {
        let flow = flow_with(number, "a", &format!(r#""description":"{time}""#));
        change(store, Change::replace(flow), stamp(10 + time)).await;
    }
}

/// The history contains deletions, restores, an adoption after a deletion, and a report.
async fn valid_histories_produce_no_findings(store: &dyn FlowRepository) {
    create_all(store, [flow(1, "a"), flow(2, "b"), flow(3, "c"), flow(4, "d")]).await;
    edit(store, 1, 3).await;
    let mut adopted = store.get(id(4)).await.unwrap().unwrap();
    for number in [2, 3, 4] {
        change(store, Change::delete(id(number)), stamp(20)).await;
    }
    change(store, Change::create(flow(3, "c")), stamp(21)).await;
    adopted.version.revision = strom_store::repository::Revision::new(17);
    change(store, Change::Adopt(adopted), stamp(22)).await;
    change(store, Change::replace(flow_with(1, "a", r#""description":"3","running":true"#)), stamp(23)).await;
    assert_eq!(problems(store).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_valid_histories_produce_no_findings() {
    valid_histories_produce_no_findings(&**json::open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_valid_histories_produce_no_findings() {
    valid_histories_produce_no_findings(&**postgres::open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thinned_histories_produce_no_findings_postgres() {
    let (store, _database) = postgres::open_keeping(Retention::default()).await;
    for edit in 0..400 {
        let flow = flow_with(1, "a", &format!(r#""edit":{edit}"#));
        change(&*store, Change::Put(flow, Precondition::Any), stamp(20 * edit)).await;
    }
    feed::end(&*store).await;
    store.apply_retention().await.unwrap();
    assert!(history(&*store, 1).await.len() < 300, "thinning has deleted records");
    assert_eq!(problems(&*store).await, []);
}

const GAP: &str = "the history has a gap: revision 2 is missing; only a backup can contain the missing part";
const RECORD: &str = "`strom check --repair` records the current document";

#[tokio::test(flavor = "multi_thread")]
async fn contradictions_are_described_postgres() {
    let database = Database::migrated().await;
    let store = database.repository().await;
    create_all(&*store, (1..=8).map(|number| flow(number, "a"))).await;
    for number in 1..=7 {
        edit(&*store, number, 4).await;
    }
    change(&*store, Change::delete(id(8)), stamp(30)).await;
    let before = moment(&*store).await;
    let mut connection = database.connect().await;
    run(&mut connection, "SET session_replication_role = replica").await;
    for (number, change) in [
        (1, "DELETE FROM flow_changes WHERE revision = 2 AND"),
        (2, "DELETE FROM flow_changes WHERE revision BETWEEN 2 AND 4 AND"),
        (3, "DELETE FROM flow_changes WHERE"),
        (4, "DELETE FROM flow_changes WHERE revision = 5 AND"),
        (5, "UPDATE flow_changes SET operation = 'delete' WHERE revision = 5 AND"),
        (6, "UPDATE flow_changes SET document = document || '{\"description\":\"?\"}' WHERE revision = 5 AND"),
        (7, "UPDATE flow_changes SET horizon = 0 WHERE revision = 3 AND"),
        (8, "DELETE FROM flow_changes WHERE revision = 2 AND"),
    ] {
        run(&mut connection, &format!("{change} flow_id = '{}'", id(number))).await;
    }
    let expected = [
        (1, GAP.to_owned()),
        (2, GAP.replace("revision 2 is missing", "the revisions 2 to 4 are missing")),
        (3, format!("the flow is at revision 5, but it has no history; {RECORD}")),
        (4, format!("the flow is at revision 5, but its history ends with revision 4; {RECORD}")),
        (5, format!("the flow exists at revision 5, but its history ends with its deletion as revision 5; {RECORD}")),
        (
            6,
            format!(
                "the document differs from revision 5 in its history; compare with `strom get --revision 5`; {RECORD}"
            ),
        ),
        (
            7,
            "the history is out of order: revision 3 does not follow revision 2; `strom get --revision` can still \
             read both"
                .to_owned(),
        ),
        (
            8,
            "the flow does not exist, but its history ends with revision 1 instead of a deletion; `strom restore \
             --revision 1` restores it"
                .to_owned(),
        ),
    ];
    assert_eq!(problems(&*store).await, expected);
    assert_eq!(moment(&*store).await, before, "a check does not change flows");
    // Retention deletes the oldest revisions. This is not a gap.
    run(&mut connection, &format!("DELETE FROM flow_changes WHERE revision = 1 AND flow_id = '{}'", id(1))).await;
    assert_eq!(problems(&*store).await, expected[1..]);

    // A repair records the current content, with the revision, time and author of the flow. If another change has that
    // revision, the flow gets the next one.
    assert_eq!(repaired(&*store).await, [3, 4, 5, 6]);
    let left: Vec<_> = expected[1..].iter().filter(|(number, _)| !(3..=6).contains(number)).cloned().collect();
    assert_eq!(problems(&*store).await, left);
    let after = moment(&*store).await;
    assert!(before.iter().zip(&after).all(|((before, _), (after, _))| before == after), "no content has changed");
    let revisions: Vec<_> = after.iter().map(|(_, version)| version.revision.number()).collect();
    assert_eq!(revisions, [5, 5, 5, 5, 6, 6, 5]);
    let histories = (history(&*store, 3).await, history(&*store, 4).await);
    use Operation::{Create, Update};
    assert_eq!(operations(&histories.0), [(Create, 5)]);
    assert_eq!(operations(&histories.1), [(Update, 5), (Update, 4), (Update, 3), (Update, 2), (Create, 1)]);
    for record in [&histories.0[0], &histories.1[0]] {
        assert_eq!((record.at, record.author.as_str()), (time(14), "tester"));
    }
    assert_eq!(repaired(&*store).await, [0; 0]);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_line_of_the_history_file_is_a_gap_json() {
    let (store, file) = json::open_keeping(json::hasty().retention).await;
    create_all(&*store, [flow(1, "a"), flow(2, "b")]).await;
    edit(&*store, 1, 3).await;
    feed::end(&*store).await;
    store.apply_retention().await.unwrap();
    assert_eq!(problems(&*store).await, []);
    store.close().await.unwrap();
    let path = file.sibling("history");
    let lines = std::fs::read_to_string(&path).unwrap();
    let is_second = |line: &&str| line.contains(&id(1).to_string()) && line.contains(r#""revision":2"#);
    assert_eq!(lines.lines().filter(is_second).count(), 1, "{lines}");
    let rest: String = lines.lines().filter(|line| !is_second(line)).map(|line| format!("{line}\n")).collect();
    std::fs::write(&path, rest).unwrap();
    let store = file.open().await;
    assert_eq!(problems(&*store).await, [(1, GAP.to_owned())]);
    store.close().await.unwrap();
}
