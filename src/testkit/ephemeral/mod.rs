//! What [`Ephemeral`] promises over any repository: each function takes an **empty** one and
//! decorates it. [`ephemeral_tests!`](crate::ephemeral_tests) makes a test of each. That it keeps the rest of the
//! contract is checked by running [`contract_tests!`](crate::contract_tests) over a decorated repository.

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

/// A `#[tokio::test]` for each promise. The argument is that of [`contract_tests!`](crate::contract_tests).
#[macro_export]
macro_rules! ephemeral_tests {
    ($open:expr) => {
        $crate::contract_tests! { @each $open, ();
            ephemeral::ephemeral_flows_are_served_and_never_stored,
            ephemeral::their_revisions_count_and_are_no_other_flow_s,
            ephemeral::reports_to_them_make_no_revision,
            ephemeral::their_history_is_what_they_are,
            ephemeral::they_have_a_limit_that_says_so,
            ephemeral::a_closed_store_has_none,
            ephemeral::flows_come_into_memory,
            ephemeral::flows_leave_memory,
            ephemeral::what_others_stored_stays_stored_until_it_is_changed,
            ephemeral::restores_go_where_the_document_says,
            ephemeral::no_revision_means_two_contents,
            ephemeral::a_flow_that_moves_is_never_missing_nor_there_twice,
            ephemeral::both_answer_one_list,
            ephemeral::what_others_store_under_their_ids_is_hidden,
            ephemeral::preconditions_hold_over_both,
            ephemeral::calls_over_both_are_all_or_nothing,
            ephemeral::violations_of_both_are_reported_in_order,
            ephemeral::one_of_many_wins_wherever_the_flow_goes,
        }
    };
}

/// Decorated at the beginning of 2026.
fn over(store: &Arc<dyn FlowRepository>) -> Arc<Ephemeral> {
    Arc::new(Ephemeral::over(Arc::clone(store), time(0)))
}

/// A flow that is ephemeral, with another member.
fn scratch(number: u32, name: &str, edit: u32) -> Flow {
    flow_with(number, name, &format!(r#""edit":{edit},"properties":{{"ephemeral":true}}"#))
}

/// The same flow, to be stored.
fn kept(number: u32, name: &str, edit: u32) -> Flow {
    flow_with(number, name, &format!(r#""edit":{edit},"properties":{{"ephemeral":false}}"#))
}

/// Everything that is listed, as texts and versions.
async fn listed(repository: &dyn FlowRepository) -> Vec<(String, Version)> {
    let page = repository.list(&ListQuery::default()).await.unwrap_or_else(|error| panic!("list failed: {error:?}"));
    page.items.iter().map(shown).collect()
}

fn shown(stored: &Stored<Flow>) -> (String, Version) {
    (canonical(&stored.item), stored.version.clone())
}
