//! The documented SQL recipes that copy documents from the table to a JSON file and back.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;
use strom_store::FlowRepository;
use strom_store::flow::FlowId;
use strom_store::internals::samples::{canonical, create_all, everything, flows_of_file};

use strom_test_support::json::{File, file_of};
use strom_test_support::postgres::{Database, run};

/// Returns all sample flows, each id once.
fn all_samples() -> Vec<strom_store::Flow> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/flows");
    let paths = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let flows: BTreeMap<FlowId, strom_store::Flow> =
        files.flat_map(|path| flows_of_file(&path)).map(|flow| (flow.id(), flow)).collect();
    assert!(flows.len() >= 5, "{}", flows.len());
    flows.into_values().collect()
}

/// Returns documents and states by flow id.
async fn contents(store: &dyn FlowRepository) -> BTreeMap<FlowId, (String, strom_store::flow::GstState, bool)> {
    let flows = everything(store).await.into_iter();
    let shown = |flow: &strom_store::Flow| (canonical(flow), flow.head().state, flow.head().auto_restart);
    flows.map(|stored| (stored.item.id(), shown(&stored.item))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_the_table_can_be_copied_to_a_file() {
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
    opened.close().await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_of_a_file_can_be_inserted_into_the_table() {
    let file = File::new();
    let store = file.open().await;
    create_all(&*store, all_samples()).await;
    let expected = contents(&*store).await;
    store.close().await.unwrap();
    let database = Database::migrated().await;
    // `\set file `cat flows.json`` of psql produces this value.
    let insert = format!(
        "INSERT INTO flows (id, name, data)
         SELECT (flow ->> 'id')::UUID, flow ->> 'name', flow
         FROM jsonb_array_elements($file${}$file$::JSONB -> 'flows') AS flow",
        file.read()
    );
    run(&mut database.connect().await, &insert).await;
    let store = database.repository().await;
    assert_eq!(contents(&*store).await, expected);
    let report = strom_server::check::check(&*store, None).await.unwrap();
    assert_eq!(report.faults(), 0, "{report:?}");
    store.close().await.unwrap();
}
