//! `strom switch` as a compiled program: output, receipts, and kills at random moments.

use std::path::Path;
use std::time::Instant;

use futures::TryStreamExt;
use serde_json::{Value, json};
use strom_store::internals::samples::{change, create_all, everything, flow, flow_with, id, moment, stamp};
use strom_store::repository::Change;

use crate::serve::{Running, outcome, strom};
use strom_test_support::json::File;
use strom_test_support::postgres::{Database, count, run};

/// Runs `strom switch`. Returns exit code, stdout and stderr.
fn switch(from: &str, to: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let arguments = [&["switch", "--from", from, "--to", to], arguments].concat();
    outcome(&strom(&arguments, &[("RUST_LOG", "off")]).output().unwrap())
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Returns the names of the receipts in the directory of the file.
fn receipts(file: &File) -> Vec<String> {
    file.names().into_iter().filter(|name| name.contains("switch")).collect()
}

async fn three_flows(file: &File) {
    let store = file.open().await;
    create_all(&*store, [flow(1, "a"), flow_with(2, "b", r#""n":1.10"#), flow(3, "c")]).await;
    change(&*store, Change::replace(flow(3, "edited")), stamp(1)).await;
    store.close().await.unwrap();
}

#[tokio::test]
async fn flows_move_from_a_file_to_a_database_and_back() {
    let (file, database, back) = (File::new(), Database::empty().await, File::new());
    three_flows(&file).await;
    let source = file.contents();
    let (path, url) = (shown(&file.path), database.url());

    let (code, dry, stderr) = switch(path, &url, &["--dry-run", "--json"]);
    assert_eq!(code, Some(0), "{dry}{stderr}");
    let mut connection = database.connect().await;
    assert_eq!(count(&mut connection, "SELECT count(*) FROM pg_class WHERE relname = 'flows'").await, 0);
    assert_eq!(file.contents(), source, "a dry run writes no file");
    assert!(stderr.ends_with("nothing was written: this was a dry run\n"), "{stderr}");

    let (code, stdout, stderr) = switch(path, &url, &["--json"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let receipt: Value = serde_json::from_str(&stdout).unwrap();
    let expected = json!({ "created": 3, "replaced": 0, "unchanged": 0, "skipped": 0, "others": 0 });
    assert!(expected.as_object().unwrap().iter().all(|(name, count)| receipt[name] == *count), "{receipt}");
    let dry: Value = serde_json::from_str(&dry).unwrap();
    assert_eq!((&dry["sha256"], &dry["flows"], &dry["dry_run"]), (&receipt["sha256"], &receipt["flows"], &json!(true)));
    assert_eq!((&receipt["flows"][2]["revision"], &receipt["flows"][2]["outcome"]), (&json!(2), &json!("created")));
    assert!(!stdout.contains("password"));
    let [name] = &receipts(&file)[..] else { panic!("{:?}", file.names()) };
    let written: Value = serde_json::from_str(&std::fs::read_to_string(file.directory().join(name)).unwrap()).unwrap();
    assert_eq!(written, receipt);
    let mut now = file.contents();
    now.retain(|other, _| other != name);
    assert_eq!(now, source, "the source is unchanged byte for byte");

    let (code, stdout, stderr) = switch(&url, shown(&back.path), &[]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(
        stdout.contains("flows    3: 3 created, 0 replaced, 0 unchanged, 0 skipped; only in the target: 0\n"),
        "{stdout}"
    );
    assert!(stdout.contains(receipt["sha256"].as_str().unwrap()), "{stdout}");
    assert_eq!(receipts(&back).len(), 1, "the receipt is next to the file");
    let (first, last) = (file.open().await, back.open().await);
    assert_eq!(moment(&*first).await, moment(&*last).await);
}

#[tokio::test]
async fn obstacles_exit_with_1_and_failures_with_2() {
    let (file, database, other) = (File::new(), Database::migrated().await, File::new());
    three_flows(&file).await;
    let (path, url) = (shown(&file.path), database.url());
    let mut connection = database.connect().await;
    let insert = format!("INSERT INTO flows (id, name, data) VALUES ('{}', 'theirs', '{{}}')", id(9));
    run(&mut connection, &insert).await;

    let (code, stdout, stderr) = switch(path, &url, &[]);
    assert_eq!(code, Some(1));
    let refused = format!("refused  {} \"theirs\": the target contains this flow, but the source does not\n", id(9));
    assert!(stdout.contains(&refused), "{stdout}");
    assert_eq!(stderr, "nothing was written: the target contains conflicting flows\n");
    assert_eq!(count(&mut connection, "SELECT count(*) FROM flows").await, 1);
    assert!(receipts(&file).is_empty());

    let receipt = other.directory().join("receipt");
    let (code, _, stderr) = switch(path, &url, &["--on-conflict", "skip", "--receipt", shown(&receipt)]);
    assert_eq!((code, stderr), (Some(0), format!("receipt written to {}\n", receipt.display())));
    let again = switch(path, &url, &["--on-conflict", "skip", "--receipt", shown(&receipt)]);
    assert_eq!(again.0, Some(2), "an existing receipt is not overwritten: {again:?}");
    assert!(again.2.starts_with("error: cannot write the receipt to"), "{again:?}");
    assert!(again.2.ends_with("nothing was moved; set another path with --receipt\n"), "{again:?}");

    let missing = other.directory().join("missing/flows.json");
    let nothing = switch(shown(&missing), &url, &[]);
    assert_eq!(nothing.0, Some(2), "{nothing:?}");
    assert!(
        nothing.2.starts_with(&format!("error: there are no flows at the source {}", missing.display())),
        "{nothing:?}"
    );
    assert!(!missing.parent().unwrap().exists(), "the missing directory is not created");
    let same = switch(path, path, &[]);
    assert_eq!(same.2, format!("error: `{path}` is both the source and the target\nuse two different storages\n"));
    let unreachable = switch(path, "postgresql://strom@127.0.0.1:1/nothing", &[]);
    assert_eq!((unreachable.0, unreachable.1.as_str()), (Some(2), ""));
    assert!(unreachable.2.starts_with("error: cannot open postgresql://strom@127.0.0.1:1/nothing"), "{unreachable:?}");
    assert_eq!(switch(path, &url, &["--on-conflict", "newer"]).0, Some(2));

    let server = Running::start(&["--flows-path", path, "--port", "0"], &[]);
    let used = switch(path, &url, &[]);
    assert_eq!(used.0, Some(2), "{used:?}");
    assert!(used.2.contains(&server.child.id().to_string()), "the error contains the process id: {used:?}");
}

/// The source contains an unreadable flow, which cannot move.
#[tokio::test]
async fn a_source_with_faults_requires_despite_faults() {
    let good = format!(r#"{{"id":"{}","name":"a"}}"#, id(1));
    let file = File::holding(&strom_test_support::json::file_of(&[&good, r#"{"id":"none","name":"b"}"#]));
    let other = File::new();
    let (path, target) = (shown(&file.path), shown(&other.path));
    let (code, stdout, stderr) = switch(path, target, &[]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stdout.contains("fault    the source: "), "{stdout}");
    assert!(stderr.contains("--despite-faults"), "{stderr}");
    assert!(other.names().is_empty(), "the target was created: {:?}", other.names());

    let (code, stdout, stderr) = switch(path, target, &["--despite-faults"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert_eq!(everything(&*other.open().await).await.len(), 1);
}

/// Kills the program at six moments per direction, or at `STROM_KILL_ROUNDS` moments, spread over the duration of a complete
/// run. After each kill, the target has all flows or none.
#[tokio::test]
async fn a_killed_switch_stores_all_flows_or_none() {
    const FLOWS: u32 = 400;
    let rounds = std::env::var("STROM_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(6);
    let (file, database) = (File::new(), Database::migrated().await);
    let store = file.open().await;
    create_all(&*store, (1..=FLOWS).map(|number| flow_with(number, "a", r#""blocks":[{"id":"b"}]"#))).await;
    let expected = moment(&*store).await;
    store.close().await.unwrap();
    let source = file.contents();
    let mut ends = [0, 0];
    for (target, extra_option) in [
        (None, None),
        (None, Some("--with-history")),
        (Some(&database), None),
        (Some(&database), Some("--with-history")),
    ] {
        // The first run is complete and measures the duration. Each later run is killed after a part of it.
        let mut duration = None;
        for round in (0..=rounds).rev() {
            let target_file = File::new();
            let to = target.map_or_else(|| shown(&target_file.path).to_owned(), Database::url);
            let receipt = target_file.directory().join("receipt");
            let arguments = ["switch", "--from", shown(&file.path), "--to", &to, "--receipt", shown(&receipt)];
            let mut child = strom(&arguments, &[("RUST_LOG", "off")]).args(extra_option).spawn().unwrap();
            let begin = Instant::now();
            let exit_status = match duration {
                None => {
                    let status = child.wait().unwrap();
                    duration = Some(begin.elapsed());
                    Some(status)
                }
                Some(duration) => {
                    // Different moments create different interleavings.
                    tokio::time::sleep(duration * round / rounds).await;
                    let exit_status = child.try_wait().unwrap();
                    child.kill().unwrap();
                    child.wait().unwrap();
                    exit_status
                }
            };
            let opened = match target {
                None => target_file.open().await,
                Some(database) => database.repository().await,
            };
            let mut found = moment(&*opened).await;
            let revisions = opened.histories().try_fold(0, async |count, _| Ok(count + 1)).await.unwrap();
            if found.is_empty() && revisions > 0 {
                // The server committed between the two reads, so the test reads the flows again.
                found = moment(&*opened).await;
            }
            opened.close().await.unwrap();
            assert!(found.is_empty() || found == expected, "{} flows in round {round}", found.len());
            assert_eq!(revisions, found.len() as u32, "every flow has its history");
            assert_eq!(file.contents(), source, "the source is unchanged");
            if let Some(status) = exit_status {
                assert!(status.success() && !found.is_empty(), "the switch completed");
            }
            ends[usize::from(!found.is_empty())] += 1;
            if target.is_some() {
                let mut connection = database.connect().await;
                run(&mut connection, "TRUNCATE flows, flow_changes, flow_tombstones").await;
            }
        }
    }
    assert!(ends[0] > 0 && ends[1] > 0, "{ends:?}");
}
