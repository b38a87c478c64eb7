//! `strom check`: findings, repairs and exit codes.

use serde_json::Value;
use strom_server::check::{CheckReport, Severity, check};
use strom_store::FlowRepository;
use strom_store::internals::samples::{create_all, flow, flow_with, id, moment, stamp, stored};

use crate::serve::{outcome, strom};
use strom_test_support::json::{self, File, file_of};
use strom_test_support::postgres::{self, Database, run};

fn findings(report: &CheckReport) -> Vec<(Severity, Option<u32>, &str, bool)> {
    let number = |id: &strom_store::FlowId| id.as_uuid().as_u128() as u32;
    let findings = report.findings.iter();
    findings.map(|f| (f.severity, f.id.as_ref().map(number), f.problem.as_str(), f.is_repaired)).collect()
}

/// Stores two flows that start automatically and claim one port, a flow that links missing nodes, and a flow that has the port
/// but does not start automatically.
async fn suspicious(store: &dyn FlowRepository) {
    let claims = r#""properties":{"auto_restart":true},"elements":[{"id":"in","element_type":"srtsrc","properties":
        {"uri":"srt://:5000?mode=listener"},"position":[0,0]}]"#;
    let dangling = r#""links":[{"from":"a:src","to":"b:sink"}]"#;
    let stopped = claims.replace("true", "false");
    create_all(
        store,
        [
            flow_with(1, "a", claims),
            flow_with(2, "b", claims),
            flow_with(3, "c", dangling),
            flow_with(4, "d", &stopped),
        ],
    )
    .await;
}

async fn suspicious_content_produces_warnings_and_notes(store: &dyn FlowRepository) {
    suspicious(store).await;
    let before = moment(store).await;
    let report = check(store, Some(stamp(9))).await.unwrap();
    assert_eq!((report.flows, report.faults(), report.repaired()), (4, 0, 0));
    let findings = findings(&report);
    assert_eq!((report.warnings(), report.notes()), (2, 1), "{findings:?}");
    let links: Vec<_> =
        findings.iter().filter(|(_, number, ..)| *number == Some(3)).map(|(_, _, problem, _)| *problem).collect();
    assert_eq!(links.len(), 2, "both ends of the link are reported: {findings:?}");
    assert!(links.iter().all(|problem| problem.contains("$.links[0]")), "{links:?}");
    let claim = format!("the SRT listener port 5000 is also claimed by \"b\" ({})", id(2));
    assert!(findings.contains(&(Severity::Note, Some(1), &claim, false)), "{findings:?}");
    assert_eq!(findings.len(), 3, "{findings:?}");
    assert_eq!(moment(store).await, before, "a check does not change flows");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_suspicious_content_produces_warnings_and_notes() {
    suspicious_content_produces_warnings_and_notes(&**json::open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_suspicious_content_produces_warnings_and_notes() {
    suspicious_content_produces_warnings_and_notes(&**postgres::open().await).await;
}

/// Makes columns and documents differ, as replication or a restore without triggers can.
async fn damage(database: &Database) {
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
async fn repair_updates_columns_from_documents() {
    let database = Database::migrated().await;
    let store = database.repository().await;
    create_all(&*store, [flow(1, "a"), flow(2, "b"), flow(3, "c"), flow(4, "d")]).await;
    let before = moment(&*store).await;
    damage(&database).await;
    let expected = |is_repaired| {
        [
            (Severity::Fault, Some(2), "column `state` contains Playing, but the document contains Null", is_repaired),
            (Severity::Fault, Some(1), "column `name` contains \"x\", but the document contains \"a\"", is_repaired),
        ]
    };
    let invalid = "the document is not valid: `$.name`: ";
    let unrecorded = "the document differs from revision 1 in its history; ";
    for (repair, is_repaired) in [(None, false), (None, false), (Some(stamp(9)), true)] {
        let report = check(&*store, repair).await.unwrap();
        let mut findings = findings(&report);
        for problem in [invalid, unrecorded] {
            let index = findings.iter().position(|(_, number, ..)| *number == Some(3)).unwrap();
            let finding = findings.remove(index);
            assert!(finding.2.starts_with(problem), "{finding:?}");
            assert_eq!(finding.3, is_repaired && problem == unrecorded, "{finding:?}");
        }
        assert_eq!(findings, expected(is_repaired), "a check without repair changes nothing");
    }
    let report = check(&*store, Some(stamp(9))).await.unwrap();
    assert_eq!((report.faults(), report.repaired()), (1, 0), "{report:?}");
    for number in [1, 2, 4] {
        let now = stored(&*store, number).await;
        assert!(
            before.contains(&(strom_store::internals::samples::canonical(&now.item), now.version)),
            "flow {number}"
        );
    }
    store.close().await.unwrap();
}

/// Runs `strom check`. Returns exit code, stdout and stderr.
fn program(storage: &[&str]) -> (Option<i32>, String, String) {
    outcome(&strom(&[&["check"], storage].concat(), &[("RUST_LOG", "off")]).output().unwrap())
}

#[tokio::test]
async fn faults_exit_with_1_and_notes_with_0() {
    let database = Database::migrated().await;
    let store = database.repository().await;
    suspicious(&*store).await;
    store.close().await.unwrap();
    let url = database.url();
    let (code, stdout, stderr) = program(&["--database-url", &url]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert!(stdout.ends_with("4 flows read; 0 faults, 2 warnings, 1 notes, 0 repaired\n"), "{stdout}");
    damage(&database).await;
    let (code, stdout, _) = program(&["--database-url", &url, "--json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &report["flows"]), (Some(1), &Value::from(4)));
    assert!(report["findings"].as_array().unwrap().iter().any(|finding| finding["severity"] == "fault"), "{report}");
    let (code, stdout, _) = program(&["--database-url", &url, "--repair"]);
    assert_eq!(code, Some(1), "one fault cannot be repaired: {stdout}");
    assert!(stdout.ends_with("1 faults, 0 warnings, 1 notes, 3 repaired\n"), "{stdout}");
}

#[tokio::test]
async fn a_damaged_schema_is_reported_and_repaired() {
    let database = Database::migrated().await;
    let store = database.repository().await;
    create_all(&*store, [flow(1, "a")]).await;
    store.close().await.unwrap();
    let (url, mut connection) = (database.url(), database.connect().await);
    for damage in
        ["ALTER TABLE flows DISABLE TRIGGER ALL", "DELETE FROM flow_log", "DROP TRIGGER strom_record ON flows"]
    {
        run(&mut connection, damage).await;
        let (code, stdout, stderr) = program(&["--database-url", &url]);
        assert!(code == Some(1) || code == Some(2), "{damage}: {stdout}{stderr}");
        assert!(format!("{stdout}{stderr}").contains("its schema is damaged"), "{damage}: {stdout}{stderr}");
        let (code, stdout, stderr) = program(&["--database-url", &url, "--repair"]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{damage}: {stdout}");
        let (code, stdout, stderr) = program(&["--database-url", &url]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{damage}: {stdout}");
    }
}

#[tokio::test]
async fn an_unreadable_flow_in_a_file_is_a_fault() {
    let good = format!(r#"{{"id":"{}","name":"a"}}"#, id(1));
    let file = File::holding(&file_of(&[&good, r#"{"id":"none","name":"b"}"#]));
    let before = file.read();
    let (code, stdout, stderr) = program(&["--flows-path", file.path.to_str().unwrap()]);
    assert_eq!((code, stderr.as_str()), (Some(1), ""), "{stdout}");
    assert!(stdout.starts_with("fault    "), "{stdout}");
    assert!(stdout.ends_with("1 flows read; 1 faults, 0 warnings, 0 notes, 0 repaired\n"), "{stdout}");
    assert_eq!(file.read(), before);

    let missing = file.directory().join("missing/flows.json");
    let (code, stdout, stderr) = program(&["--flows-path", missing.to_str().unwrap()]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "a missing file is an error: {stderr}");
    assert!(!missing.parent().unwrap().exists(), "the file is not created");
}
