//! The contract of [`Ephemeral`] over any repository. Each function receives an **empty** repository and decorates it.
//! [`ephemeral_tests!`](crate::ephemeral_tests) turns each function into a test. To check the rest of the contract,
//! run [`contract_tests!`](crate::contract_tests) over a decorated repository.

mod keeping;
mod lists;
mod moving;
mod preconditions;

pub use keeping::*;
pub use lists::*;
pub use moving::*;
pub use preconditions::*;

use std::sync::Arc;

use super::samples::{canonical, flow_with, time};
use crate::Flow;
use crate::ephemeral::Ephemeral;
use crate::repository::{FlowRepository, ListQuery, Stored, Version};

/// Defines a `#[tokio::test]` for each promise. The argument is that of [`contract_tests!`](crate::contract_tests).
#[macro_export]
macro_rules! ephemeral_tests {
    ($open:expr) => {
        $crate::contract_tests! { @each $open, ();
            ephemeral::ephemeral_flows_are_served_and_never_stored,
            ephemeral::ephemeral_revisions_increase_and_are_never_reused,
            ephemeral::report_to_an_ephemeral_flow_creates_no_revision,
            ephemeral::ephemeral_history_is_the_current_revision,
            ephemeral::ephemeral_flows_stay_within_the_memory_budget,
            ephemeral::closed_store_serves_no_ephemeral_flow,
            ephemeral::stored_flow_becomes_ephemeral,
            ephemeral::ephemeral_flow_becomes_stored,
            ephemeral::flow_stored_as_ephemeral_moves_into_memory_when_changed,
            ephemeral::restored_document_decides_between_storage_and_memory,
            ephemeral::past_revisions_stay_stale_after_every_move,
            ephemeral::moving_flow_is_found_exactly_once,
            ephemeral::memory_and_storage_form_one_list,
            ephemeral::stored_flow_with_the_id_of_an_ephemeral_flow_is_hidden,
            ephemeral::preconditions_hold_over_memory_and_storage,
            ephemeral::calls_over_memory_and_storage_are_atomic,
            ephemeral::violations_in_memory_and_storage_are_reported_in_order,
            ephemeral::one_of_many_concurrent_moves_succeeds,
        }
    };
}

/// Decorates a repository at the beginning of 2026.
fn over(store: &Arc<dyn FlowRepository>) -> Arc<Ephemeral> {
    Arc::new(Ephemeral::over(Arc::clone(store), time(0)))
}

/// Returns an ephemeral flow with a further member.
fn ephemeral(number: u32, name: &str, edit: u32) -> Flow {
    flow_with(number, name, &format!(r#""edit":{edit},"properties":{{"ephemeral":true}}"#))
}

/// Returns the same flow without `ephemeral: true`.
fn persistent(number: u32, name: &str, edit: u32) -> Flow {
    flow_with(number, name, &format!(r#""edit":{edit},"properties":{{"ephemeral":false}}"#))
}

/// Returns all listed flows as texts and versions.
async fn listed(repository: &dyn FlowRepository) -> Vec<(String, Version)> {
    let page = repository.list(&ListQuery::default()).await.unwrap_or_else(|error| panic!("list failed: {error:?}"));
    page.items.iter().map(shown).collect()
}

fn shown(stored: &Stored<Flow>) -> (String, Version) {
    (canonical(&stored.item), stored.version.clone())
}
