//! The contract of [`FlowRepository`](crate::FlowRepository) as functions, for authors of a backend.
//!
//! Each function receives an **empty** repository, checks the promise in its name, and panics if the backend breaks
//! it. [`contract_tests!`](crate::contract_tests) turns each function into a test. Further modules need more than an
//! empty repository:
//!
//! - [`reopening`]: the contract across a restart
//! - [`reading`]: the contract of a read-only repository
//! - [`retention`]: the contract of deleting expired revisions
//! - [`ephemeral`]: the contract of the decorator for ephemeral flows
//!
//! ```
//! use std::sync::Arc;
//! # use strom_store::json::JsonRepository as YourRepository;
//!
//! async fn open() -> Arc<dyn strom_store::FlowRepository> {
//!     // Returns a new, empty repository at each call.
//! #   let now = chrono::Utc::now();
//! #   let open = async |path: &str| YourRepository::open(path.as_ref(), now).await;
//!     Arc::new(open("somewhere").await.unwrap())
//! }
//!
//! strom_store::contract_tests!(open);
//! # fn main() {}
//! ```

pub mod adoption;
pub mod atomicity;
pub mod bulk;
pub(crate) mod chance;
pub mod concurrency;
pub mod ephemeral;
pub mod feed;
pub(crate) mod feed_reader;
pub mod fidelity;
pub mod filters;
pub mod history;
pub(crate) mod history_reader;
pub mod inheritance;
pub mod lists;
pub mod measurements;
pub(crate) mod orders;
pub mod paging;
pub mod preconditions;
pub mod reading;
pub mod reopening;
pub mod reports;
pub mod retention;
pub mod revisions;
pub(crate) mod samples;
pub mod service;
pub mod snapshots;
mod waiting;

/// Defines a `#[tokio::test]` for each function of the contract.
///
/// The macro calls the argument without arguments and awaits it. The result is an `Arc<dyn FlowRepository>` or
/// dereferences to one. It may own what the repository needs, such as a temporary directory. Tests with special
/// requirements can be ignored: `contract_tests!(open, ignore = "needs a special server")`.
#[macro_export]
macro_rules! contract_tests {
    ($open:expr $(, ignore = $reason:literal)?) => {
        $crate::contract_tests! { @each $open, ($($reason)?);
            preconditions::puts_check_their_precondition,
            preconditions::deletions_check_their_precondition,
            preconditions::stale_put_returns_the_current_flow,
            revisions::a_new_flow_has_revision_one,
            revisions::content_changes_increment_the_revision,
            revisions::deletions_increment_the_revision_and_recreations_continue_it,
            revisions::reports_are_stored_without_a_new_revision,
            revisions::equal_content_creates_no_revision,
            revisions::times_are_truncated_to_microseconds,
            reports::exact_preconditions_fail_after_a_report,
            reports::replacements_without_a_read_undo_no_report,
            reports::concurrent_edits_and_reports_are_both_stored,
            reports::saved_documents_keep_reports,
            adoption::adopted_flow_keeps_its_version,
            adoption::adoption_does_not_reuse_revisions,
            adoption::adoption_over_an_existing_flow_is_rejected,
            adoption::adoptions_and_other_changes_share_a_call,
            adoption::adoption_with_an_invalid_revision_is_rejected,
            inheritance::inherited_flow_keeps_its_history,
            inheritance::inherited_deleted_flow_can_be_restored,
            inheritance::inherited_history_keeps_existing_revisions,
            inheritance::history_for_an_id_in_use_is_rejected,
            inheritance::histories_and_other_changes_share_a_call,
            inheritance::inherited_flow_keeps_its_last_report,
            inheritance::histories_contain_all_revisions_of_all_flows,
            inheritance::chronicle_requires_a_valid_history_of_one_flow,
            atomicity::changes_of_every_kind_are_applied_in_one_call,
            atomicity::one_violation_prevents_every_change,
            atomicity::large_call_is_atomic,
            atomicity::all_violations_are_reported_in_order,
            atomicity::two_changes_to_one_flow_are_rejected,
            atomicity::empty_list_of_changes_succeeds,
            bulk::get_each_returns_existing_flows_once,
            bulk::lazy_list_has_the_effect_of_a_list_in_memory,
            bulk::violations_in_a_lazy_list_prevent_every_change,
            bulk::unreadable_list_changes_nothing,
            fidelity::documents_are_returned_unchanged,
            fidelity::names_are_returned_exactly,
            fidelity::document_with_maximum_nesting_is_stored,
            fidelity::heads_agree_with_documents,
            lists::the_default_order_is_by_name_and_id,
            lists::names_compare_by_bytes,
            lists::every_order_is_total,
            lists::summaries_agree_with_lists,
            filters::filters_work_alone_and_together,
            filters::name_parts_are_case_insensitive_and_literal,
            filters::containment_has_jsonb_semantics,
            paging::pages_add_up_to_the_whole_list,
            paging::list_cursors_stay_valid_while_flows_are_created_and_deleted,
            paging::totals_count_the_flows_of_all_pages,
            snapshots::snapshots_are_complete_and_in_order,
            snapshots::snapshots_contain_each_call_entirely_or_not_at_all,
            history::history_contains_every_revision,
            history::every_revision_has_its_document,
            history::deletion_record_contains_the_document,
            history::history_pages_go_from_newest_to_oldest,
            history::reports_and_other_spellings_are_not_in_the_history,
            history::failed_call_leaves_no_record,
            history::restore_creates_a_revision,
            history::deleted_flow_can_be_restored,
            history::each_change_of_a_call_is_recorded_with_its_operation,
            history::restores_check_their_precondition,
            history::restoring_the_current_content_creates_no_revision,
            history::unknown_revision_is_none,
            history::deleted_flows_are_listed_latest_first,
            feed::feed_has_the_order_of_the_histories,
            feed::pages_add_up_to_the_feed,
            feed::feed_continues_after_every_cursor,
            feed::since_now_excludes_past_changes,
            feed::feed_contains_the_newest_report,
            feed::other_spellings_are_not_in_the_feed,
            feed::calls_without_effect_are_not_in_the_feed,
            feed::unknown_cursor_returns_gone,
            feed::change_wakes_a_waiting_reader,
            feed::change_summaries_agree_with_changes,
            feed::concurrent_readers_receive_every_change_once,
            feed::feed_page_reports_the_newest_cursor,
            feed::applying_the_feed_produces_a_copy,
            concurrency::concurrent_saves_are_not_lost,
            concurrency::concurrent_creations_and_deletions_leave_no_gap_in_revisions,
            concurrency::one_of_many_concurrent_changes_succeeds,
            concurrency::dropped_calls_leave_a_consistent_store,
            measurements::measurements_are_well_formed,
            measurements::feed_lag_falls_to_zero,
            service::open_store_is_ready,
            service::closed_store_rejects_calls,
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
