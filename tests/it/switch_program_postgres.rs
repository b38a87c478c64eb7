//! `strom switch`: the real program, which says what it did, writes it down, and may be killed at any moment.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use serde_json::{Value, json};
use strom::repository::Change;
use strom::testkit::samples::{change, create_all, everything, flow, flow_with, id, moment, stamp};

use crate::serve::{Running, outcome, strom};
use crate::support::json::File;
use crate::support::postgres::{Database, count, run};

/// `strom switch …`: exit code, stdout, stderr.
fn switch(from: &str, to: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let arguments = [&["switch", "--from", from, "--to", to], arguments].concat();
    outcome(&strom(&arguments, &[("RUST_LOG", "off")]).output().unwrap())
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The names beside the file that are no part of it.
fn receipts(file: &File) -> Vec<String> {
    file.names().into_iter().filter(|name| name.contains("switch")).collect()
}

async fn three_flows(file: &File) {
    let store = file.open().await;
    create_all(&*store, [flow(1, "a"), flow_with(2, "b", r#""n":1.10"#), flow(3, "c")]).await;
    change(&*store, Change::replace(flow(3, "edited")), stamp(1)).await;
    store.close().await;
}

#[tokio::test]
async fn a_file_moves_into_a_database_and_back() {
    let (file, database, back) = (File::new(), Database::empty().await, File::new());
    three_flows(&file).await;
    let source = file.contents();
    let (path, url) = (shown(&file.path), database.url());

    let (code, dry, stderr) = switch(path, &url, &["--dry-run", "--json"]);
    assert_eq!(code, Some(0), "{dry}{stderr}");
    let mut connection = database.connect().await;
    assert_eq!(count(&mut connection, "SELECT count(*) FROM pg_class WHERE relname = 'flows'").await, 0);
    assert_eq!(file.contents(), source, "neither does a look leave anything");
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
    assert_eq!(now, source, "byte for byte");

    let (code, stdout, stderr) = switch(&url, shown(&back.path), &[]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(
        stdout.contains("flows    3: 3 created, 0 replaced, 0 unchanged, 0 skipped; the target alone has 0\n"),
        "{stdout}"
    );
    assert!(stdout.contains(receipt["sha256"].as_str().unwrap()), "{stdout}");
    assert_eq!(receipts(&back).len(), 1, "a database has no place beside it");
    let (first, last) = (file.open().await, back.open().await);
    assert_eq!(moment(&*first).await, moment(&*last).await);
}

#[tokio::test]
async fn negative_answers_and_failures_are_told_apart() {
    let (file, database, other) = (File::new(), Database::migrated().await, File::new());
    three_flows(&file).await;
    let (path, url) = (shown(&file.path), database.url());
    let mut connection = database.connect().await;
    let insert = format!("INSERT INTO flows (id, name, data) VALUES ('{}', 'theirs', '{{}}')", id(9));
    run(&mut connection, &insert).await;

    let (code, stdout, stderr) = switch(path, &url, &[]);
    assert_eq!(code, Some(1));
    let refused = format!("refused  {} \"theirs\": the target has this flow, and the source has not\n", id(9));
    assert!(stdout.contains(&refused), "{stdout}");
    assert_eq!(stderr, "nothing was written: flows are in the way\n");
    assert_eq!(count(&mut connection, "SELECT count(*) FROM flows").await, 1);
    assert!(receipts(&file).is_empty());

    let receipt = other.directory().join("receipt");
    let (code, _, stderr) = switch(path, &url, &["--on-conflict", "skip", "--receipt", shown(&receipt)]);
    assert_eq!((code, stderr), (Some(0), format!("receipt written to {}\n", receipt.display())));
    let again = switch(path, &url, &["--on-conflict", "skip", "--receipt", shown(&receipt)]);
    assert_eq!(again.0, Some(2), "a receipt is never written over: {again:?}");
    assert!(again.2.starts_with("error: the flows have moved, but the receipt cannot be written"), "{again:?}");

    let missing = other.directory().join("missing/flows.json");
    let nothing = switch(shown(&missing), &url, &[]);
    assert_eq!(nothing.0, Some(2), "{nothing:?}");
    assert!(nothing.2.starts_with(&format!("error: there are no flows at {}", missing.display())), "{nothing:?}");
    assert!(!missing.parent().unwrap().exists(), "none is made");
    let same = switch(path, path, &[]);
    assert_eq!(same.2, format!("error: `{path}` is the source and the target\nname two storages\n"));
    let nobody = switch(path, "postgresql://nobody@127.0.0.1:1/nothing", &[]);
    assert_eq!((nobody.0, nobody.1.as_str()), (Some(2), ""));
    assert!(nobody.2.starts_with("error: cannot open postgresql://nobody@127.0.0.1:1/nothing"), "{nobody:?}");
    assert_eq!(switch(path, &url, &["--on-conflict", "newer"]).0, Some(2));

    let server = Running::start(&["--flows-path", path, "--port", "0"], &[]);
    let used = switch(path, &url, &[]);
    assert_eq!(used.0, Some(2), "{used:?}");
    assert!(used.2.contains(&server.child.id().to_string()), "by its number: {used:?}");
}

/// What a file has and cannot be stored would be left behind.
#[tokio::test]
async fn a_source_with_faults_is_refused() {
    let good = format!(r#"{{"id":"{}","name":"a"}}"#, id(1));
    let file = File::holding(&crate::support::json::file_of(&[&good, r#"{"id":"none","name":"b"}"#]));
    let other = File::new();
    let (path, target) = (shown(&file.path), shown(&other.path));
    let (code, stdout, stderr) = switch(path, target, &[]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stdout.contains("fault    the source: "), "{stdout}");
    assert!(stderr.contains("--despite-faults"), "{stderr}");
    assert!(other.names().is_empty(), "no target was made: {:?}", other.names());

    let (code, stdout, stderr) = switch(path, target, &["--despite-faults"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert_eq!(everything(&*other.open().await).await.len(), 1);
}

/// Kills the program at moments that are ever later, until it comes to its end before. The target has none of the flows or
/// all of them.
#[tokio::test]
async fn whenever_it_is_killed_all_flows_are_there_or_none() {
    const FLOWS: u32 = 400;
    let (file, database) = (File::new(), Database::migrated().await);
    let store = file.open().await;
    create_all(&*store, (1..=FLOWS).map(|number| flow_with(number, "a", r#""blocks":[{"id":"b"}]"#))).await;
    let expected = moment(&*store).await;
    store.close().await;
    let source = file.contents();
    let mut ends = [0, 0];
    for (target, more) in [
        (None, None),
        (None, Some("--with-history")),
        (Some(&database), None),
        (Some(&database), Some("--with-history")),
    ] {
        let mut delay = Duration::ZERO;
        loop {
            let place = File::new();
            let to = target.map_or_else(|| shown(&place.path).to_owned(), Database::url);
            let receipt = place.directory().join("receipt");
            let arguments = ["switch", "--from", shown(&file.path), "--to", &to, "--receipt", shown(&receipt)];
            let mut child = strom(&arguments, &[("RUST_LOG", "off")]).args(more).spawn().unwrap();
            let begin = Instant::now();
            while begin.elapsed() < delay && child.try_wait().unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let ended = child.try_wait().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            let there = match target {
                None => place.open().await,
                Some(database) => database.repository().await,
            };
            let mut found = moment(&*there).await;
            let revisions = there.histories().try_fold(0, async |count, _| Ok(count + 1)).await.unwrap();
            if found.is_empty() && revisions > 0 {
                // A commit that the program had asked for came between the two.
                found = moment(&*there).await;
            }
            there.close().await;
            assert!(found.is_empty() || found == expected, "{} flows after {delay:?}", found.len());
            assert_eq!(revisions, found.len() as u32, "and their histories");
            assert_eq!(file.contents(), source, "the source is as it was");
            ends[usize::from(!found.is_empty())] += 1;
            if let Some(status) = ended {
                assert!(status.success() && !found.is_empty());
                break;
            }
            if target.is_some() {
                let mut connection = database.connect().await;
                run(&mut connection, "TRUNCATE flows, flow_changes, flow_tombstones").await;
            }
            delay += Duration::from_millis(25);
        }
    }
    assert!(ends[0] > 0 && ends[1] > 0, "{ends:?}");
}
