//! Rows that SQL wrote and that no version of the program would write: one of them must not fail the use of all others.

use std::collections::BTreeSet;

use reqwest::Client;
use serde_json::Value;
use strom_store::internals::samples::{create_all, flow, id};

use crate::cli::Store;
use crate::serve::{Running, strom};
use strom_test_support::eventually::eventually;
use strom_test_support::json::File;
use strom_test_support::postgres::{Database, insert_with_times, run};

/// Stores the flows 1 to 7, and by SQL the flows 8 to 10 with times that chrono cannot represent.
async fn fill(database: &Database) {
    let repository = database.repository().await;
    create_all(&*repository, (1..=7).map(|number| flow(number, &format!("flow {number}")))).await;
    repository.close().await.unwrap();
    let mut psql = database.connect().await;
    for (number, created, updated) in
        [(8, "infinity", "2026-01-01"), (9, "294276-01-01", "294276-01-01"), (10, "2026-01-01", "-infinity")]
    {
        insert_with_times(&mut psql, id(number), &format!("flow {number}"), created, updated).await;
    }
}

/// Adds flow 11, whose document is nested too deeply for every backend.
async fn add_invalid_document(database: &Database) {
    let nested = "[".repeat(200) + &"]".repeat(200);
    let insert = format!(
        "INSERT INTO flows (id, name, data) VALUES ('{}', 'flow 11', '{{\"x\": {nested}, \"secret\": \"a\"}}')",
        id(11)
    );
    run(&mut database.connect().await, &insert).await;
}

/// Returns the numbers of the flows whose ids are in a text.
fn named(text: &str) -> BTreeSet<u32> {
    (1..=11).filter(|number| text.contains(&id(*number).to_string())).collect()
}

fn numbers(numbers: impl IntoIterator<Item = u32>) -> BTreeSet<u32> {
    numbers.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_include_flows_with_unusual_times_and_name_them() {
    let store = Store::postgres().await;
    let database = store.database();
    fill(database).await;
    let (code, export, stderr) = store.run(&["export"]);
    assert_eq!((code, named(&export)), (Some(0), numbers(1..=10)), "{stderr}");
    assert_eq!(named(&store.run(&["list"]).1), numbers(1..=10));

    let target = File::new();
    let (from, to) = (database.url(), target.path.to_str().unwrap().to_owned());
    let switch = ["switch", "--from", &from, "--to", &to, "--with-history"];
    for command in [&["backup", "all.gz"][..], &switch[..]] {
        let (code, stdout, stderr) = store.run(command);
        assert_eq!(code, Some(1), "{command:?}: {stdout}{stderr}");
        assert_eq!(named(&(stdout + &stderr)), numbers(8..=10), "{command:?} names the flows");
        let (code, stdout, stderr) = store.run(&[command, &["--despite-faults"]].concat());
        assert_eq!(code, Some(if command[0] == "switch" { 0 } else { 1 }), "{command:?}: {stdout}{stderr}");
    }
    let restored = Store::json();
    let archive = store.path("all.gz");
    let (code, stdout, stderr) = restored.run(&["restore", archive.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert_eq!(restored.done(&["export"]), export);
    let (code, moved, _) = crate::serve::outcome(&strom(&["export", "--flows-path", &to], &[]).output().unwrap());
    assert_eq!((code, moved), (Some(0), export));

    let (code, stdout, stderr) = store.run(&["check"]);
    assert_eq!((code, named(&stdout)), (Some(1), numbers(8..=10)), "{stdout}{stderr}");
    assert!(stdout.contains("`created_at`") && stdout.contains("`updated_at`"), "{stdout}");
    let (code, stdout, stderr) = store.run(&["check", "--repair"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("0 faults") && stdout.contains("4 repaired"), "{stdout}");
    let (code, stdout, stderr) = store.run(&["check"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    store.done(&["backup", "all.gz"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_omit_invalid_documents_and_name_them() {
    let store = Store::postgres().await;
    let database = store.database();
    let repository = database.repository().await;
    create_all(&*repository, (1..=3).map(|number| flow(number, &format!("flow {number}")))).await;
    repository.close().await.unwrap();
    store.done(&["export", "--format", "dir", "-o", "dir"]);
    add_invalid_document(database).await;
    for command in [
        &["export"][..],
        &["export", "--format", "ndjson"],
        &["export", "-o", "flows.json"],
        &["export", "--format", "dir", "-o", "dir"],
    ] {
        let (code, stdout, stderr) = store.run(command);
        assert_eq!((code, named(&stderr)), (Some(2), numbers([11])), "{command:?}: {stderr}");
        assert!(!command.contains(&"flows.json") || !store.path("flows.json").exists());
        if !command.contains(&"-o") {
            assert_eq!(named(&stdout), numbers(1..=3), "all other flows are in the output");
        }
        let (code, stdout, stderr) = store.run(&[command, &["--despite-faults"]].concat());
        assert_eq!((code, named(&stderr)), (Some(1), numbers([11])), "{command:?}: {stderr}");
        if !command.contains(&"-o") {
            assert_eq!(named(&stdout), numbers(1..=3));
        }
    }
    assert_eq!(named(&std::fs::read_to_string(store.path("flows.json")).unwrap()), numbers(1..=3));
    assert_eq!(store.path("dir").read_dir().unwrap().count(), 4, "three flows and the list");
    let (code, _, stderr) = store.run(&["backup", "all.gz"]);
    assert_eq!((code, named(&stderr)), (Some(1), numbers([11])), "{stderr}");
    assert!(!store.path("all.gz").exists());
    let (code, stdout, stderr) = store.run(&["check"]);
    assert!(code == Some(1) && named(&stdout) == numbers([11]), "{stdout}{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_serves_all_other_flows_and_reports_faults() {
    let database = Database::migrated().await;
    fill(&database).await;
    let (data, url) = (tempfile::tempdir().unwrap(), database.url());
    let data = data.path().to_str().unwrap();
    let server = Running::start(&["serve", "--port", "0", "--data-dir", data, "--database-url", &url], &[]);
    let client = Client::new();
    let get = async |path: &str| {
        let response = client.get(server.url(path)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let everything = [
        "/api/flows",
        "/api/flows?view=summary&sort=-updated_at",
        "/api/flows/export",
        "/api/changes?since=0&limit=100",
    ];
    // Transactions on the same server delay the feed.
    for path in everything {
        eventually(&format!("all flows are in {path}"), async || {
            let (status, body) = get(path).await;
            assert_eq!(status, 200, "{path}: {body}");
            named(&body) == numbers(1..=10)
        })
        .await;
    }
    let faults = async || {
        let ready: Value = serde_json::from_str(&get("/ready").await.1).unwrap();
        (ready["degraded"] == true, named(&ready["faults"].to_string()))
    };
    assert_eq!(faults().await, (true, numbers(8..=10)));
    eventually("the last-known copy is complete", async || {
        let ready: Value = serde_json::from_str(&get("/ready").await.1).unwrap();
        ready["last_known"]["flows"] == 10 && ready["last_known"]["complete"] == true
    })
    .await;

    add_invalid_document(&database).await;
    assert_eq!(named(&get("/api/flows").await.1), numbers(1..=11), "lists return the document as it is");
    let (status, body) = get("/api/flows/export?secrets=redacted").await;
    assert_eq!((status, named(&body)), (200, numbers(1..=10)));
    assert_eq!(faults().await, (true, numbers(8..=11)));

    let mut psql = database.connect().await;
    run(&mut psql, &format!("DELETE FROM flows WHERE id IN ('{}', '{}')", id(8), id(11))).await;
    run(&mut psql, "UPDATE flows SET created_at = '2026-02-01', updated_at = '2026-02-01'").await;
    assert_eq!(faults().await, (false, numbers([])));
    for path in &everything[..3] {
        assert_eq!(named(&get(path).await.1), numbers([1, 2, 3, 4, 5, 6, 7, 9, 10]), "{path}");
    }
    eventually("the feed contains the deletion", async || {
        let (status, body) = get("/api/changes?since=0&limit=100").await;
        assert_eq!(status, 200, "{body}");
        body.contains("\"delete\"")
    })
    .await;
}
