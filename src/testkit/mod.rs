//! The contract of [`FlowRepository`](crate::FlowRepository) as functions, for whoever writes a backend.
//!
//! Each function takes an **empty** repository, keeps one promise in its name, and panics when the backend does not.
//! [`contract_tests!`](crate::contract_tests) makes a test of each; what a backend promises across a restart is checked
//! by [`reopening`], and what one promises that is opened to read only by [`reading`], since only the backend knows how it is
//! opened again; what it keeps by [`retention`], and what a decorator adds
//! to it by [`ephemeral`].
//!
//! ```
//! use std::sync::Arc;
//! # use strom::json::JsonRepository as YourRepository;
//!
//! async fn open() -> Arc<dyn strom::FlowRepository> {
//!     // Empty, and another one at each call.
//! #   let now = strom::testkit::samples::time(0);
//! #   let open = async |place: &str| YourRepository::open(place.as_ref(), now).await;
//!     Arc::new(open("somewhere").await.unwrap())
//! }
//!
//! strom::contract_tests!(open);
//! # fn main() {}
//! ```

pub mod adoption;
pub mod atomicity;
pub mod bulk;
pub mod chance;
pub mod concurrency;
pub mod ephemeral;
pub mod faults;
pub mod feed;
pub mod fidelity;
pub mod filters;
pub mod history;
pub mod inheritance;
pub mod lists;
pub mod measurements;
pub mod paging;
pub mod preconditions;
pub mod reading;
pub mod reopening;
pub mod retention;
pub mod revisions;
pub mod samples;
pub mod service;
pub mod snapshots;

/// A `#[tokio::test]` for each function of the contract.
///
/// The argument is called without arguments and awaited; it gives an `Arc<dyn FlowRepository>` or something that
/// dereferences to one and keeps alive what the repository needs, such as a temporary directory. Tests that need what is
/// not everywhere are ignored with a reason: `contract_tests!(open, ignore = "needs this and that")`.
#[macro_export]
macro_rules! contract_tests {
    ($open:expr $(, ignore = $reason:literal)?) => {
        $crate::contract_tests! { @each $open, ($($reason)?);
            preconditions::puts_check_their_precondition,
            preconditions::deletions_check_their_precondition,
            preconditions::a_stale_change_is_told_the_current_flow,
            revisions::a_new_flow_has_revision_one,
            revisions::changes_to_content_count,
            revisions::deletions_count_and_revisions_never_start_again,
            revisions::runtime_changes_are_stored_without_a_revision,
            revisions::the_same_content_makes_no_revision,
            revisions::times_have_microseconds,
            adoption::a_flow_keeps_the_version_that_it_had,
            adoption::revisions_that_were_given_are_not_given_again,
            adoption::only_free_ids_are_adopted,
            adoption::adoptions_stand_beside_other_changes,
            adoption::impossible_revisions_are_refused,
            inheritance::a_flow_comes_with_its_history,
            inheritance::a_deleted_flow_comes_with_its_history,
            inheritance::a_history_does_not_replace_another_one,
            inheritance::histories_come_to_free_ids_alone,
            inheritance::histories_stand_beside_other_changes,
            inheritance::a_report_comes_with_the_history,
            inheritance::histories_tell_all_flows,
            inheritance::only_histories_of_one_flow_are_taken,
            atomicity::several_changes_are_made_at_once,
            atomicity::one_violation_stops_every_change,
            atomicity::a_large_call_is_all_or_nothing,
            atomicity::all_violations_are_reported_in_order,
            atomicity::two_changes_to_one_flow_are_refused,
            atomicity::no_changes_are_no_error,
            bulk::flows_are_found_by_their_ids,
            bulk::a_list_is_made_as_it_is_read,
            bulk::violations_of_a_list_stop_all_of_it,
            bulk::a_list_that_cannot_be_read_changes_nothing,
            fidelity::documents_come_back_equal,
            fidelity::names_come_back_exactly,
            fidelity::the_deepest_document_comes_back,
            fidelity::heads_are_those_of_the_documents,
            lists::the_default_order_is_by_name_and_id,
            lists::names_compare_by_bytes,
            lists::every_order_is_total,
            lists::summaries_agree_with_lists,
            filters::filters_select_flows,
            filters::name_parts_are_literal,
            filters::containment_follows_postgresql,
            paging::pages_make_up_the_whole_list,
            paging::pages_stay_true_while_flows_come_and_go,
            paging::totals_count_every_page,
            snapshots::snapshots_are_complete_and_in_order,
            snapshots::snapshots_show_one_moment,
            history::every_revision_is_in_the_history,
            history::every_revision_keeps_its_document,
            history::a_deletion_keeps_the_document,
            history::histories_come_in_pages,
            history::reports_and_spellings_are_not_in_the_history,
            history::refused_changes_leave_no_record,
            history::a_flow_is_restored,
            history::a_deleted_flow_is_restored,
            history::only_what_is_restored_is_called_so,
            history::restores_check_their_precondition,
            history::restoring_the_same_makes_no_revision,
            history::an_unknown_revision_is_none,
            history::deleted_flows_are_listed,
            feed::changes_come_in_order,
            feed::feeds_come_in_pages,
            feed::every_change_is_a_place_to_go_on_from,
            feed::now_is_behind_everything,
            feed::reports_are_in_the_feed,
            feed::spellings_are_not_in_the_feed,
            feed::what_changed_nothing_is_not_in_the_feed,
            feed::unknown_places_are_gone,
            feed::a_change_wakes_who_waits,
            feed::change_summaries_agree_with_changes,
            feed::writers_and_readers_at_once,
            feed::a_feed_says_how_far_it_is_behind,
            feed::the_feed_makes_a_copy,
            concurrency::savers_at_once_lose_nothing,
            concurrency::creations_and_deletions_count_on,
            concurrency::one_of_many_wins_each_revision,
            concurrency::dropped_calls_leave_a_good_store,
            measurements::measurements_are_well_formed,
            measurements::feed_lag_is_known_and_falls_to_nothing,
            service::an_open_store_is_ready,
            service::a_closed_store_refuses_calls,
        }
    };
    (@each $open:expr, $reason:tt; $($area:ident::$promise:ident,)*) => {
        $($crate::contract_tests! { @test $open, $reason, $area::$promise })*
    };
    (@test $open:expr, ($($reason:literal)?), $area:ident::$promise:ident) => {
        #[tokio::test(flavor = "multi_thread")]
        $(#[ignore = $reason])?
        async fn $promise() {
            let opened = $open().await;
            let repository = ::std::sync::Arc::<dyn $crate::FlowRepository>::clone(&opened);
            $crate::testkit::$area::$promise(repository).await;
        }
    };
}
