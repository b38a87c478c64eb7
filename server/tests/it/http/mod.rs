//! Tests of the HTTP routes on each backend. Most compare whole responses.

mod access;
mod acknowledged;
mod bodies;
mod changes;
pub(crate) mod client;
mod conditions;
mod console;
mod crowd;
mod document;
mod editors;
mod encodings;
mod ephemeral;
mod exports;
mod failures;
mod given;
mod histories;
mod hosts;
mod imports;
mod last_known;
mod limits;
mod lists;
mod merges;
mod metrics;
mod openapi;
mod routes;
mod saves;
mod sockets;
mod streams;
mod streams_program;
mod swagger;

use strom_test_support::eventually::HANGS;

/// Runs each test on an empty repository of each backend.
macro_rules! on_both_backends {
    ($($module:ident::$test:ident,)*) => {
        mod json {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                let opened = strom_test_support::json::open().await;
                super::$module::$test(opened.clone()).await;
            })*
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                let opened = strom_test_support::postgres::open().await;
                super::$module::$test(opened.clone()).await;
            })*
        }
    };
}

on_both_backends! {
    routes::service_routes_report_version_and_state,
    routes::a_flow_can_be_created_read_replaced_and_deleted,
    routes::a_create_without_id_assigns_one,
    routes::replaced_properties_preserve_created_at_and_started_at,
    routes::start_and_stop_return_501,
    routes::unknown_paths_return_json_404,
    routes::numbers_are_returned_without_loss,
    conditions::put_honours_if_match,
    conditions::put_with_if_none_match_creates_a_new_flow_only,
    conditions::delete_honours_if_match,
    conditions::patch_of_properties_honours_if_match,
    conditions::matching_if_none_match_returns_304,
    conditions::invalid_preconditions_return_400,
    conditions::concurrent_patches_of_properties_are_all_stored,
    lists::lists_are_filtered_sorted_and_paged,
    lists::summary_view_returns_head_and_counts,
    lists::invalid_list_parameters_return_400,
    bodies::invalid_documents_are_rejected_and_not_stored,
    bodies::envelopes_and_byte_order_marks_are_accepted,
    given::given_routes_return_the_types_of_the_contract,
    bodies::bodies_that_are_not_json_are_rejected,
    bodies::bodies_over_the_limit_return_413,
    access::requests_without_a_key_return_401,
    metrics::requests_and_calls_are_counted,
    metrics::unknown_paths_and_methods_share_a_label,
    metrics::metrics_need_no_key_and_contain_no_flows,
    metrics::streams_are_counted_when_they_end,
    metrics::abandoned_requests_are_counted,
    saves::a_reported_state_creates_no_revision,
    saves::an_edit_keeps_reports_that_the_document_does_not_show,
    saves::a_repeated_create_with_a_chosen_id_creates_one_flow,
    saves::a_replacement_reads_the_flow_only_after_a_report,
    saves::a_suspicious_flow_is_stored_with_warnings,
    saves::check_reports_port_conflicts_with_other_flows_and_a_save_does_not,
    saves::catalog_routes_return_collections,
    exports::an_export_has_the_format_of_flows_json,
    exports::an_export_of_an_empty_store_contains_no_flows,
    exports::an_export_applies_filters_and_redacts_secrets,
    encodings::streamed_bodies_are_compressed_completely,
    exports::exports_of_stalled_clients_are_limited,
    imports::import_accepts_every_format,
    imports::on_conflict_applies_to_existing_flows,
    imports::on_conflict_newer_replaces_older_flows,
    imports::on_conflict_clone_assigns_new_ids,
    imports::one_invalid_flow_rejects_the_import,
    imports::a_dry_run_reports_and_writes_nothing,
    imports::an_export_is_imported_as_unchanged,
    imports::an_import_reports_warnings,
    imports::invalid_import_requests_are_rejected,
    imports::an_incomplete_body_stores_nothing,
    imports::a_replacing_import_completes_during_edits,
    imports::concurrent_imports_and_edits_lose_nothing,
    encodings::excluding_every_encoding_does_not_fail_a_request,
    encodings::responses_are_compressed_on_request,
    encodings::compressed_bodies_are_limited_by_their_decoded_size,
    encodings::every_response_has_a_request_id,
    histories::history_returns_every_revision,
    histories::diff_compares_any_two_revisions,
    histories::the_trash_has_pages,
    saves::a_document_is_checked_without_saving_it,
    saves::responses_contain_at_most_100_warnings,
    lists::lists_have_validators,
    lists::unknown_parameters_are_rejected_on_every_route,
    histories::restore_stores_an_older_revision_as_a_new_one,
    changes::pages_of_changes_have_no_gaps_or_duplicates,
    changes::a_waiting_client_receives_a_change_or_an_empty_page,
    changes::invalid_cursors_are_rejected,
    changes::event_streams_resume_after_the_last_event,
    editors::an_outdated_edit_returns_412_with_difference,
    merges::edits_of_different_members_are_merged,
    merges::a_merge_describes_both_edits,
    merges::a_merge_without_exactly_one_etag_returns_400,
    merges::a_merge_preserves_runtime_members,
    merges::concurrent_edits_are_all_merged,
    crowd::concurrent_random_edits_lose_nothing,
    changes::pages_with_documents_are_bounded_and_complete,
    streams::many_streams_receive_each_change_once_and_share_reads,
    streams::a_slow_stream_reads_discarded_changes_from_the_storage,
    streams::streams_continue_after_an_outage,
    streams::streams_report_expired_changes,
    streams::open_and_new_streams_end_after_shutdown,
    streams::more_than_2000_event_streams_return_503,
    saves::patches_change_only_the_named_members,
    saves::concurrent_patches_are_all_stored,
    saves::edits_and_reports_do_not_undo_each_other,
    sockets::sockets_send_an_event_per_change,
    sockets::sockets_answer_close_frames,
    sockets::sockets_check_keys_and_origins,
    access::a_key_in_the_query_is_accepted_only_for_streams,
    access::changes_record_the_name_of_the_key_as_author,
    access::a_read_only_key_cannot_write,
    access::streams_of_a_removed_key_end,
    limits::rate_limit_applies_per_address,
    limits::requests_over_a_socket_have_exactly_one_host,
    limits::rate_limit_applies_per_key,
    limits::trusted_proxies_name_the_client,
    hosts::permitted_origins_can_use_the_api,
    hosts::responses_have_policies,
    limits::wrong_keys_do_not_lock_out_valid_keys,
    hosts::a_loopback_server_accepts_only_loopback_names,
    hosts::cross_origin_changes_are_rejected,
    ephemeral::every_route_works_with_an_ephemeral_flow,
    ephemeral::preconditions_apply_to_ephemeral_flows,
    ephemeral::a_flow_can_become_ephemeral_and_stored_again,
    ephemeral::lists_contain_ephemeral_flows_and_exports_do_not,
    ephemeral::an_import_does_not_store_ephemeral_flows,
    ephemeral::a_repeated_create_of_a_deleted_ephemeral_flow_gets_a_higher_revision,
    ephemeral::ephemeral_flows_over_the_memory_limit_return_507,
    openapi::every_response_is_declared,
    openapi::keys_are_required_where_declared,
    openapi::responses_of_layers_are_declared,
    openapi::undeclared_methods_and_paths_are_rejected,
    openapi::the_server_accepts_exactly_the_declared_parameters,
    openapi::every_operation_has_a_description,
}
