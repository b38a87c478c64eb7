//! `strom check`: what is found, what is repaired, and what is left alone.

use serde_json::Value;
use strom::FlowRepository;
use strom::check::{Report, Severity, check};
use strom::testkit::samples::{create_all, flow, flow_with, id, moment, stamp, stored};

use crate::serve::{outcome, strom};
use crate::support::json::{self, File, file_of};
use crate::support::postgres::{self, Database, run};

fn told(report: &Report) -> Vec<(Severity, Option<u32>, &str, bool)> {
    let number = |id: &strom::FlowId| id.as_uuid().as_u128() as u32;
    let findings = report.findings.iter();
    findings.map(|f| (f.severity, f.id.as_ref().map(number), f.problem.as_str(), f.is_repaired)).collect()
}

/// Each finding of a kind: two of three flows claim one port, a third names a node that is not there.
async fn suspicious(store: &dyn FlowRepository) {
    let claims = r#""properties":{"auto_restart":true},"elements":[{"id":"in","element_type":"srtsrc","properties":
        {"uri":"srt://:5000?mode=listener"},"position":[0,0]}]"#;
    let dangling = r#""links":[{"from":"a:src","to":"b:sink"}]"#;
    let at_rest = claims.replace("true", "false");
    create_all(
        store,
        [
            flow_with(1, "a", claims),
            flow_with(2, "b", claims),
            flow_with(3, "c", dangling),
            flow_with(4, "d", &at_rest),
        ],
    )
    .await;
}

async fn suspicions_are_warnings(store: &dyn FlowRepository) {
    suspicious(store).await;
    let before = moment(store).await;
    let report = check(store, Some(stamp(9))).await.unwrap();
    assert_eq!((report.flows, report.faults(), report.repaired()), (4, 0, 0));
    let told = told(&report);
    assert!(told.iter().all(|(severity, ..)| *severity == Severity::Warning), "{told:?}");
    let links: Vec<_> =
        told.iter().filter(|(_, number, ..)| *number == Some(3)).map(|(_, _, problem, _)| *problem).collect();
    assert_eq!(links.len(), 2, "both ends: {told:?}");
    assert!(links.iter().all(|problem| problem.contains("$.links[0]")), "{links:?}");
    let rivals = format!("the SRT listener port 5000 is also claimed by \"b\" ({})", id(2));
    assert!(told.contains(&(Severity::Warning, Some(1), &rivals, false)), "{told:?}");
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(moment(store).await, before, "what people wrote stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_suspicions_are_warnings() {
    suspicions_are_warnings(&**json::open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_suspicions_are_warnings() {
    suspicions_are_warnings(&**postgres::open().await).await;
}

/// Whoever replicates or restores without triggers can make columns and documents disagree.
async fn spoil(database: &Database) {
    let mut connection = database.connect().await;
    run(&mut connection, "SET session_replication_role = replica").await;
    for (number, change) in [
        (1, "name = 'x'".to_owned()),
        (2, "state = 'Playing', auto_restart = NOT auto_restart".to_owned()),
        (3, format!("data = data || '{{\"name\": \"{}\"}}'", "x".repeat(300))),
    ] {
        run(&mut connection, &format!("UPDATE flows SET {change} WHERE id = '{}'", id(number))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_follow_their_documents_again() {
    let database = Database::migrated().await;
    let store = database.repository().await;
    create_all(&*store, [flow(1, "a"), flow(2, "b"), flow(3, "c"), flow(4, "d")]).await;
    let before = moment(&*store).await;
    spoil(&database).await;
    let expected = |is_repaired| {
        [
            (Severity::Fault, Some(2), "column `state` says Playing, the document Null", is_repaired),
            (Severity::Fault, Some(1), "column `name` says \"x\", the document \"a\"", is_repaired),
        ]
    };
    let refused = "it could not be stored today: `$.name`: ";
    let unrecorded = "its document is not what its history has as revision 1; ";
    for (repair, is_repaired) in [(None, false), (None, false), (Some(stamp(9)), true)] {
        let report = check(&*store, repair).await.unwrap();
        let mut told = told(&report);
        for problem in [refused, unrecorded] {
            let place = told.iter().position(|(_, number, ..)| *number == Some(3)).unwrap();
            let finding = told.remove(place);
            assert!(finding.2.starts_with(problem) && !finding.3, "{finding:?}");
        }
        assert_eq!(told, expected(is_repaired), "looking changes nothing");
    }
    let report = check(&*store, Some(stamp(9))).await.unwrap();
    assert_eq!((report.faults(), report.repaired()), (2, 0), "{report:?}");
    for number in [1, 2, 4] {
        let now = stored(&*store, number).await;
        assert!(before.contains(&(strom::testkit::samples::canonical(&now.item), now.version)), "flow {number}");
    }
    store.close().await;
}

/// `strom check …`: exit code, stdout, stderr.
fn program(storage: &[&str]) -> (Option<i32>, String, String) {
    outcome(&strom(&[&["check"], storage].concat(), &[("RUST_LOG", "off")]).output().unwrap())
}

#[tokio::test]
async fn the_program_ends_with_one_when_there_are_faults() {
    let database = Database::migrated().await;
    let store = database.repository().await;
    suspicious(&*store).await;
    store.close().await;
    let url = database.url();
    let (code, stdout, stderr) = program(&["--database-url", &url]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert!(stdout.ends_with("4 flows read; 0 faults, 3 warnings, 0 repaired\n"), "{stdout}");
    spoil(&database).await;
    let (code, stdout, _) = program(&["--database-url", &url, "--json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &report["flows"]), (Some(1), &Value::from(4)));
    assert!(report["findings"].as_array().unwrap().iter().any(|finding| finding["severity"] == "fault"), "{report}");
    let (code, stdout, _) = program(&["--database-url", &url, "--repair"]);
    assert_eq!(code, Some(1), "one flow cannot be repaired: {stdout}");
    assert!(stdout.ends_with("2 faults, 1 warnings, 2 repaired\n"), "{stdout}");
}

#[tokio::test]
async fn what_stands_in_a_file_and_cannot_be_read_is_a_fault() {
    let good = format!(r#"{{"id":"{}","name":"a"}}"#, id(1));
    let file = File::holding(&file_of(&[&good, r#"{"id":"none","name":"b"}"#]));
    let before = file.read();
    let (code, stdout, stderr) = program(&["--flows-path", file.path.to_str().unwrap()]);
    assert_eq!((code, stderr.as_str()), (Some(1), ""), "{stdout}");
    assert!(stdout.starts_with("fault    "), "{stdout}");
    assert!(stdout.ends_with("1 flows read; 1 faults, 0 warnings, 0 repaired\n"), "{stdout}");
    assert_eq!(file.read(), before);

    let missing = file.directory().join("missing/flows.json");
    let (code, stdout, stderr) = program(&["--flows-path", missing.to_str().unwrap()]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "no flows are no good flows: {stderr}");
    assert!(!missing.parent().unwrap().exists(), "none is made");
}
