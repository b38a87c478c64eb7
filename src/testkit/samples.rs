//! Flows, times and questions that the contract is made of. The same in every run.

use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use uuid::Uuid;

use crate::flow::{Flow, FlowId, Runtime};
use crate::repository::{
    self, Applied, Author, Change, FlowRepository, ListQuery, Record, RepositoryError, Revision, Stamp, Stored,
    Version, Violation,
};

/// The id of this number; ids compare as their numbers do.
pub fn id(number: u32) -> FlowId {
    Uuid::from_u128(0x5713_0000_0000_4000_8000_0000_0000_0000 + u128::from(number)).into()
}

/// A flow with nothing but an id and a name.
pub fn flow(number: u32, name: &str) -> Flow {
    flow_with(number, name, "")
}

/// A flow with more members, written as JSON and joined by commas.
pub fn flow_with(number: u32, name: &str, members: &str) -> Flow {
    let comma = if members.is_empty() { "" } else { "," };
    let name = serde_json::Value::from(name);
    parse(&format!(r#"{{"id":"{}","name":{name}{comma}{members}}}"#, id(number)))
}

/// The flow of this text.
pub fn parse(text: &str) -> Flow {
    Flow::parse(text).unwrap_or_else(|refusal| panic!("a sample is refused: {refusal}"))
}

/// The flows of a file: one flow, or a file of flows.
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

/// So many seconds after the beginning of 2026.
pub fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600 + seconds, 0).expect("a time of this century")
}

/// A stamp at that time by `tester`.
pub fn stamp(seconds: i64) -> Stamp {
    Stamp::new(time(seconds), Author::new("tester"))
}

/// Calls again while there is no room, for up to a minute. Of many who call at once on a machine that is slow for a while
/// some may be told so; nothing has been written then.
pub async fn insist<T, C>(call: impl Fn() -> C) -> repository::Result<T>
where
    C: Future<Output = repository::Result<T>>,
{
    const PATIENCE: Duration = Duration::from_secs(60);
    let begin = Instant::now();
    loop {
        match call().await {
            Err(RepositoryError::Busy(_)) if begin.elapsed() < PATIENCE => {}
            answer => return answer,
        }
    }
}

/// Makes one change that must succeed.
pub async fn change(repository: &dyn FlowRepository, change: Change, stamp: Stamp) -> Applied {
    let mut applied = change_all(repository, vec![change], stamp).await;
    assert_eq!(applied.len(), 1, "one answer per change");
    applied.remove(0)
}

/// Makes changes that must succeed.
pub async fn change_all(repository: &dyn FlowRepository, changes: Vec<Change>, stamp: Stamp) -> Vec<Applied> {
    let applying = insist(|| repository.apply(changes.clone(), stamp.clone()));
    applying.await.unwrap_or_else(|error| panic!("a good change failed: {error:?}"))
}

/// Stores these flows, which must be new.
pub async fn create_all(repository: &dyn FlowRepository, flows: impl IntoIterator<Item = Flow>) {
    let changes: Vec<Change> = flows.into_iter().map(Change::create).collect();
    change_all(repository, changes, stamp(0)).await;
}

/// The violations of changes that must not succeed.
pub async fn violations(repository: &dyn FlowRepository, changes: Vec<Change>) -> Vec<Violation> {
    match repository.apply(changes, stamp(1_000)).await {
        Err(RepositoryError::Conflict(violations)) => violations,
        other => panic!("expected a conflict, got {other:?}"),
    }
}

/// The flow of this number, which must be there.
pub async fn stored(repository: &dyn FlowRepository, number: u32) -> Stored<Flow> {
    found(repository, number).await.unwrap_or_else(|| panic!("the flow {} is not there", id(number)))
}

/// The flow of this number.
pub async fn found(repository: &dyn FlowRepository, number: u32) -> Option<Stored<Flow>> {
    let asking = insist(|| repository.get(id(number)));
    asking.await.unwrap_or_else(|error| panic!("get failed: {error:?}"))
}

/// A revision of the flow of this number.
pub async fn revision(repository: &dyn FlowRepository, number: u32, revision: u64) -> Option<Record<Flow>> {
    let asking = repository.revision(id(number), Revision::new(revision));
    asking.await.unwrap_or_else(|error| panic!("revision failed: {error:?}"))
}

/// Everything there is.
pub async fn everything(repository: &dyn FlowRepository) -> Vec<Stored<Flow>> {
    let reading = insist(|| repository.snapshot().try_collect());
    reading.await.unwrap_or_else(|error| panic!("the snapshot failed: {error:?}"))
}

/// Everything there is as texts and versions, to compare two moments.
pub async fn moment(repository: &dyn FlowRepository) -> Vec<(String, Version)> {
    everything(repository).await.into_iter().map(|stored| (canonical(&stored.item), stored.version)).collect()
}

/// The numbers of the flows that a list gives, in its order.
pub async fn numbers(repository: &dyn FlowRepository, query: &ListQuery) -> Vec<u32> {
    let page = repository.list(query).await.unwrap_or_else(|error| panic!("list failed: {error:?}"));
    page.items.iter().map(|stored| number(stored.item.id())).collect()
}

/// The number of an id.
pub fn number(id: FlowId) -> u32 {
    id.as_uuid().as_u128() as u32
}

/// The text of a document as documents are compared.
pub fn canonical(flow: &Flow) -> String {
    flow.canonical(Runtime::Kept).unwrap_or_else(|refusal| panic!("a stored document is refused: {refusal}"))
}
