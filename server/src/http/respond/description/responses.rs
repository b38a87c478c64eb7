//! Successful responses that several operations share, and 401.

use std::collections::BTreeMap;

use serde_json::json;
use utoipa::IntoResponses;
use utoipa::openapi::example::Example;
use utoipa::openapi::link::{Link, LinkBuilder};
use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::{Content, ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use super::{examples, headers};

const JSON: &str = "application/json";

macro_rules! responses {
    ($($(#[$doc:meta])* $name:ident => [$($status:literal: $response:expr),+ $(,)?];)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                [$(($status.to_owned(), $response.build().into())),+].into()
            }
        }
    )*};
}

responses! {
    /// A list of flows.
    ListOfFlows => [
        "200": ResponseBuilder::new()
            .description("Flows as complete documents or as summaries.")
            .header("Strom-Stale", headers::strom_stale())
            .header("ETag", headers::list_etag())
            .header("Last-Modified", headers::last_modified())
            .content(JSON, lists())
            .link("next_page", next_page()),
        "304": list_not_modified(),
    ];
    /// The 304 of a list.
    ListNotModified => ["304": list_not_modified()];
    /// A flow, or 304.
    OneFlow => [
        "200": revision("The flow.")
            .header("Strom-Stale", headers::strom_stale())
            .content(JSON, content("FlowAnswer", examples::flow_answer())),
        "304": revision("The flow is at a revision that the client already \
                         has.").header("Strom-Stale", headers::strom_stale()),
    ];
    /// A saved flow.
    Saved => [
        "200": revision("The saved flow.").content(JSON, content("SavedFlow", examples::saved())),
    ];
    /// A created flow. Routes that create or replace also name [`Saved`].
    Created => ["201": created()];
    /// A deleted flow.
    Deleted => ["204": ResponseBuilder::new().description("The flow was deleted. Its history is retained.")];
    /// A request without a valid key.
    Unauthorized => [
        "401": ResponseBuilder::new()
            .description("The key is missing or invalid.")
            .header("WWW-Authenticate", headers::www_authenticate()),
    ];
}

fn list_not_modified() -> ResponseBuilder {
    let response = ResponseBuilder::new().description("The client already has the list.");
    response.header("Strom-Stale", headers::strom_stale()).header("ETag", headers::list_etag())
}

fn revision(description: &str) -> ResponseBuilder {
    ResponseBuilder::new().description(description).header("ETag", headers::etag())
}

fn content(schema: &str, example: serde_json::Value) -> Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).example(Some(example)).build()
}

fn created() -> ResponseBuilder {
    let response = revision("The new flow.")
        .header("Location", headers::location())
        .content(JSON, content("SavedFlow", examples::saved()));
    NEW_FLOW_OPERATIONS.iter().fold(response, |response, operation| response.link(*operation, link(operation)))
}

fn lists() -> Content {
    let schema = AnyOfBuilder::new().item(Ref::from_schema_name("Flows")).item(Ref::from_schema_name("Summaries"));
    let example = |summary, value| {
        let mut example = Example::new();
        (example.summary, example.value) = (String::from(summary), Some(value));
        example
    };
    let full = json!({ "flows": [examples::flow()] });
    let summaries = json!({ "flows": [examples::summary()], "next_cursor": examples::cursor(), "total": 7 });
    let examples =
        [("full", example("Complete documents", full)), ("summary", example("A page of summaries", summaries))];
    ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples).build()
}

fn next_page() -> Link {
    LinkBuilder::new().operation_id("list_flows").parameter("cursor", "$response.body#/next_cursor").build()
}

/// Operations on a new flow.
const NEW_FLOW_OPERATIONS: [&str; 8] = [
    "get_flow",
    "put_flow",
    "patch_flow",
    "replace_properties",
    "report_state",
    "list_history",
    "restore_flow",
    "delete_flow",
];

fn link(operation: &str) -> Link {
    LinkBuilder::new().operation_id(operation).parameter("id", "$response.body#/flow/id").build()
}
