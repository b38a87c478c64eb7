//! The routes, whole answers compared, over each backend.

mod access;
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

/// Runs each function over an empty repository of each backend.
macro_rules! over_both_backends {
    ($($module:ident::$test:ident,)*) => {
        mod json {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                let opened = crate::support::json::open().await;
                super::$module::$test(opened.clone()).await;
            })*
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                let opened = crate::support::postgres::open().await;
                super::$module::$test(opened.clone()).await;
            })*
        }
    };
}

over_both_backends! {
    routes::the_server_tells_about_itself,
    routes::a_flow_is_created_read_replaced_and_deleted,
    routes::an_old_client_creates_with_name_and_description,
    routes::properties_are_replaced_and_two_of_them_kept,
    routes::flows_are_not_started_here,
    routes::what_is_not_there_is_said_in_json,
    routes::numbers_are_kept,
    conditions::a_replacement_can_ask_for_a_revision,
    conditions::a_put_can_create,
    conditions::a_deletion_can_ask_for_a_revision,
    conditions::new_properties_can_ask_for_a_revision,
    conditions::what_is_known_is_not_sent,
    conditions::conditions_that_make_no_sense_are_refused,
    conditions::concurrent_properties_are_all_stored,
    lists::filters_and_pages,
    lists::summaries,
    lists::wrong_parameters_are_named,
    bodies::bad_documents_are_refused_and_nothing_is_written,
    bodies::bodies_must_be_json,
    bodies::bodies_have_a_limit,
    access::without_the_key_nothing_is_shown,
    metrics::requests_and_calls_are_counted,
    metrics::clients_cannot_make_up_labels,
    metrics::no_key_is_wanted_and_nothing_of_flows_shown,
    metrics::streams_count_when_they_end,
    metrics::abandoned_requests_are_counted,
    saves::a_reported_state_makes_no_revision,
    saves::a_create_that_is_sent_twice_creates_once,
    saves::a_client_may_prefer_no_body,
    saves::what_is_suspicious_is_said_and_stored,
    saves::two_flows_that_claim_one_port_are_told_apart,
    saves::clients_find_the_collections_they_ask_for,
    exports::an_export_is_the_file_of_a_json_store,
    exports::an_export_of_nothing_is_an_empty_file,
    exports::an_export_takes_filters_and_hides_secrets,
    encodings::pieces_are_compressed_to_their_end,
    exports::readers_that_take_nothing_are_few,
    imports::flows_are_taken_in_every_shape,
    imports::a_taken_id_is_treated_as_asked,
    imports::newer_flows_win_where_that_is_asked,
    imports::clones_get_ids_of_their_own,
    imports::one_bad_flow_refuses_all,
    imports::a_dry_run_tells_and_writes_nothing,
    imports::an_export_imports_as_unchanged,
    imports::what_is_suspicious_is_reported,
    imports::wrong_requests_are_told_what_is_wrong,
    imports::a_body_that_breaks_off_stores_nothing,
    imports::who_replaces_flows_gets_his_turn,
    imports::imports_and_edits_at_once_lose_nothing,
    encodings::answers_are_compressed_for_those_who_ask,
    encodings::bodies_may_be_compressed_and_are_limited_as_what_they_hold,
    encodings::requests_have_a_name,
    histories::a_history_has_every_revision,
    histories::any_two_revisions_are_compared,
    histories::flows_are_restored,
    changes::changes_follow_each_other,
    changes::who_waits_is_told_at_once_and_else_of_nothing,
    changes::wrong_places_are_told,
    changes::events_go_on_where_they_were_cut_off,
    editors::the_second_of_two_editors_is_told,
    merges::edits_of_two_editors_are_merged,
    merges::a_merge_says_what_it_did,
    merges::a_merge_asks_for_one_revision,
    merges::a_merge_keeps_what_an_engine_reports,
    merges::edits_at_once_are_all_merged,
    crowd::nothing_that_a_crowd_does_is_lost,
    changes::pages_with_documents_are_bounded_and_nothing_is_left_out,
    streams::many_streams_see_each_change_once_and_cost_what_one_costs,
    streams::who_is_too_slow_for_memory_goes_on_from_the_storage,
    streams::streams_go_on_when_the_storage_is_back,
    streams::streams_are_told_that_changes_are_gone,
    streams::streams_end_when_they_are_told_to,
    streams::streams_are_limited_and_counted,
    saves::patches_change_a_part,
    saves::patches_at_once_are_all_kept,
    sockets::sockets_tell_what_happens,
    sockets::sockets_are_for_those_who_may,
    access::a_key_in_the_address_opens_the_streams_alone,
    access::each_key_writes_under_its_name,
    access::a_read_only_key_changes_nothing,
    access::the_streams_of_a_withdrawn_key_end,
    limits::an_address_has_a_limit_of_its_own,
    limits::a_key_has_a_limit_of_its_own,
    limits::who_guesses_shuts_nobody_out,
    hosts::a_server_of_this_machine_answers_to_its_names,
    hosts::pages_of_strangers_change_nothing,
    ephemeral::an_ephemeral_flow_goes_through_every_route,
    ephemeral::conditions_hold_where_a_flow_comes_and_goes,
    ephemeral::a_stored_flow_becomes_ephemeral_and_is_stored_again,
    ephemeral::lists_have_both_and_exports_what_is_stored,
    ephemeral::an_import_keeps_ephemeral_flows_in_memory,
    ephemeral::an_ephemeral_create_that_is_sent_twice_creates_once,
    ephemeral::too_large_ephemeral_flows_are_told_so,
    openapi::every_answer_is_declared,
    openapi::keys_are_wanted_where_it_is_declared,
    openapi::refusals_of_layers_are_declared,
    openapi::nothing_else_is_answered,
    openapi::parameters_are_as_declared,
    openapi::every_operation_is_told,
}
