//! Reads histories for tests.

use super::samples::id;
use crate::flow::Head;
use crate::repository::{FlowRepository, Operation, Record};

const ALL: u32 = 1_000;

/// Returns the history of the flow with this number.
pub async fn history(repository: &dyn FlowRepository, number: u32) -> Vec<Record<Head>> {
    repository.history(id(number), None, ALL).await.unwrap_or_else(|error| panic!("history failed: {error:?}"))
}

/// Returns operation and revision of each record.
pub fn operations<T>(records: &[Record<T>]) -> Vec<(Operation, u64)> {
    records.iter().map(|record| (record.operation, record.revision.number())).collect()
}
