//! The seed recipe by hand: documents go from the table into a file, and from a file into the table, by SQL alone.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;
use strom::FlowRepository;
use strom::flow::FlowId;
use strom::testkit::samples::{canonical, create_all, everything, flows_of_file};

use crate::support::json::{File, file_of};
use crate::support::postgres::{Database, run};

/// All sample flows, each id once.
fn all_samples() -> Vec<strom::Flow> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/flows");
    let paths = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let flows: BTreeMap<FlowId, strom::Flow> =
        files.flat_map(|path| flows_of_file(&path)).map(|flow| (flow.id(), flow)).collect();
    assert!(flows.len() >= 5, "{}", flows.len());
    flows.into_values().collect()
}

/// Documents and states, by id.
async fn contents(store: &dyn FlowRepository) -> BTreeMap<FlowId, (String, strom::flow::GstState, bool)> {
    let flows = everything(store).await.into_iter();
    let shown = |flow: &strom::Flow| (canonical(flow), flow.head().state, flow.head().auto_restart);
    flows.map(|stored| (stored.item.id(), shown(&stored.item))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_the_table_are_the_flows_of_a_file() {
    let database = Database::migrated().await;
    let store = database.repository().await;
    create_all(&*store, all_samples()).await;
    let expected = contents(&*store).await;
    let sql = AssertSqlSafe("SELECT data::TEXT FROM flows".to_owned());
    let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut database.connect().await).await.unwrap();
    let rows: Vec<_> = rows.iter().map(String::as_str).collect();
    let file = File::holding(&file_of(&rows));
    let opened = file.open().await;
    assert_eq!(contents(&*opened).await, expected);
    assert_eq!(opened.health().await.faults, [""; 0]);
    opened.close().await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_of_a_file_are_rows_of_the_table() {
    let file = File::new();
    let store = file.open().await;
    create_all(&*store, all_samples()).await;
    let expected = contents(&*store).await;
    store.close().await;
    let database = Database::migrated().await;
    // What `\set file `cat flows.json`` makes of it.
    let insert = format!(
        "INSERT INTO flows (id, name, data)
         SELECT (flow ->> 'id')::UUID, flow ->> 'name', flow
         FROM jsonb_array_elements($file${}$file$::JSONB -> 'flows') AS flow",
        file.read()
    );
    run(&mut database.connect().await, &insert).await;
    let store = database.repository().await;
    assert_eq!(contents(&*store).await, expected);
    let report = strom::check::check(&*store, None).await.unwrap();
    assert_eq!(report.faults(), 0, "{report:?}");
    store.close().await;
}
