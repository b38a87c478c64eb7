//! Flows, times and calls for tests. They are the same in every run.

use crate::repository::FlowRepositoryExt as _;
use std::path::Path;
use std::time::Instant;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use uuid::Uuid;

use super::waiting::HANG_LIMIT;
use crate::flow::{Flow, FlowId, Runtime};
use crate::repository::{
    self, Applied, Author, Change, FlowRepository, ListQuery, Record, RepositoryError, Revision, Stamp, Stored,
    Version, Violation,
};

/// Returns the id for a number. Ids compare like their numbers.
pub fn id(number: u32) -> FlowId {
    Uuid::from_u128(0x5713_0000_0000_4000_8000_0000_0000_0000 + u128::from(number)).into()
}

/// Returns a flow with an id and a name only.
pub fn flow(number: u32, name: &str) -> Flow {
    flow_with(number, name, "")
}

/// Returns a flow with further members, written as comma-separated JSON.
pub fn flow_with(number: u32, name: &str, members: &str) -> Flow {
    let comma = if members.is_empty() { "" } else { "," };
    let name = serde_json::Value::from(name);
    parse(&format!(r#"{{"id":"{}","name":{name}{comma}{members}}}"#, id(number)))
}

/// Parses a valid document.
pub fn parse(text: &str) -> Flow {
    Flow::parse(text).unwrap_or_else(|error| panic!("a sample is invalid: {error}"))
}

/// Reads the flows of a file: one flow, or a file of flows.
pub fn flows_of_file(path: &Path) -> Vec<Flow> {
    #[derive(serde::Deserialize)]
    struct Envelope {
        flows: Vec<Box<serde_json::value::RawValue>>,
    }
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    match serde_json::from_str::<Envelope>(&text) {
        Ok(envelope) => envelope.flows.iter().map(|flow| parse(flow.get())).collect(),
        Err(_) => vec![parse(&text)],
    }
}

/// Returns the time this many seconds after the beginning of 2026.
pub fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600 + seconds, 0).expect("a time of this century")
}

/// Returns a stamp with that time and the author `tester`.
pub fn stamp(seconds: i64) -> Stamp {
    Stamp::new(time(seconds), Author::new("tester"))
}

/// Retries a call while the repository is busy, for up to two minutes. A slow machine may reject some of many
/// concurrent calls before it writes anything.
pub async fn retry_while_busy<T, C>(call: impl Fn() -> C) -> repository::Result<T>
where
    C: Future<Output = repository::Result<T>>,
{
    let begin = Instant::now();
    loop {
        match call().await {
            Err(RepositoryError::Busy(_)) if begin.elapsed() < HANG_LIMIT => {}
            answer => return answer,
        }
    }
}

/// Applies a change that must succeed.
pub async fn change(repository: &dyn FlowRepository, change: Change, stamp: Stamp) -> Applied {
    let mut applied = change_all(repository, vec![change], stamp).await;
    assert_eq!(applied.len(), 1, "one answer per change");
    applied.remove(0)
}

/// Applies changes that must succeed.
pub async fn change_all(repository: &dyn FlowRepository, changes: Vec<Change>, stamp: Stamp) -> Vec<Applied> {
    let applying = retry_while_busy(|| repository.apply_all(changes.clone(), stamp.clone()));
    applying.await.unwrap_or_else(|error| panic!("a valid change failed: {error:?}"))
}

/// Creates these flows.
pub async fn create_all(repository: &dyn FlowRepository, flows: impl IntoIterator<Item = Flow>) {
    let changes: Vec<Change> = flows.into_iter().map(Change::create).collect();
    change_all(repository, changes, stamp(0)).await;
}

/// Applies changes that must fail, and returns the violations.
pub async fn violations(repository: &dyn FlowRepository, changes: Vec<Change>) -> Vec<Violation> {
    match repository.apply_all(changes, stamp(1_000)).await {
        Err(RepositoryError::Conflict(violations)) => violations,
        other => panic!("expected a conflict, got {other:?}"),
    }
}

/// Returns the flow with this number, which must exist.
pub async fn stored(repository: &dyn FlowRepository, number: u32) -> Stored<Flow> {
    found(repository, number).await.unwrap_or_else(|| panic!("the flow {} does not exist", id(number)))
}

/// Returns the flow with this number.
pub async fn found(repository: &dyn FlowRepository, number: u32) -> Option<Stored<Flow>> {
    let asking = retry_while_busy(|| repository.get(id(number)));
    asking.await.unwrap_or_else(|error| panic!("get failed: {error:?}"))
}

/// Returns a revision of the flow with this number.
pub async fn revision(repository: &dyn FlowRepository, number: u32, revision: u64) -> Option<Record<Flow>> {
    let asking = repository.revision(id(number), Revision::new(revision));
    asking.await.unwrap_or_else(|error| panic!("revision failed: {error:?}"))
}

/// Returns all flows.
pub async fn everything(repository: &dyn FlowRepository) -> Vec<Stored<Flow>> {
    let reading = retry_while_busy(|| repository.snapshot().try_collect());
    reading.await.unwrap_or_else(|error| panic!("the snapshot failed: {error:?}"))
}

/// Returns all flows as canonical texts and versions, for comparisons.
pub async fn moment(repository: &dyn FlowRepository) -> Vec<(String, Version)> {
    everything(repository).await.into_iter().map(|stored| (canonical(&stored.item), stored.version)).collect()
}

/// Returns the numbers of the flows in a list, in its order.
pub async fn numbers(repository: &dyn FlowRepository, query: &ListQuery) -> Vec<u32> {
    let page = repository.list(query).await.unwrap_or_else(|error| panic!("list failed: {error:?}"));
    page.items.iter().map(|stored| number(stored.item.id())).collect()
}

/// Returns the number of an id.
pub fn number(id: FlowId) -> u32 {
    id.as_uuid().as_u128() as u32
}

/// Returns the canonical text of a document.
pub fn canonical(flow: &Flow) -> String {
    flow.canonical(Runtime::Include).unwrap_or_else(|error| panic!("a stored document is invalid: {error}"))
}
