//! The answers that several operations share.

use std::collections::BTreeMap;

use serde_json::json;
use utoipa::IntoResponses;
use utoipa::openapi::example::Example;
use utoipa::openapi::link::{Link, LinkBuilder};
use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::{Content, ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use super::{examples, headers};

/// The type of everything that is no problem and no stream.
const JSON: &str = "application/json";

macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident => [$($status:literal: $response:expr),+ $(,)?];)*) => {$(
        $(#[$doc])*
        pub(in crate::http) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                [$(($status.to_owned(), $response.build().into())),+].into()
            }
        }
    )*};
}

answers! {
    /// A list of flows.
    ListOfFlows => [
        "200": ResponseBuilder::new()
            .description("Flows, whole or as summaries.")
            .header("Strom-Stale", headers::strom_stale())
            .content(JSON, lists())
            .link("next_page", next_page()),
    ];
    /// A flow, or that it has not changed.
    OneFlow => [
        "200": revision("The flow.")
            .header("Strom-Stale", headers::strom_stale())
            .content(JSON, content("FlowAnswer", examples::flow_answer())),
        "304": revision("The flow is at a revision that you have.").header("Strom-Stale", headers::strom_stale()),
    ];
    /// A flow that has changed.
    Saved => [
        "200": revision("The flow as it is now.").content(JSON, content("SavedFlow", examples::saved())),
        "204": revision("As 200, for those who `Prefer` no body.")
            .header("Preference-Applied", headers::preference_applied()),
    ];
    /// A flow that is new; with [`Saved`] where both can happen.
    Created => ["201": created()];
    /// A flow that was there.
    Deleted => ["204": ResponseBuilder::new().description("The flow is gone; its history is kept.")];
    /// Nobody may.
    Unauthorized => [
        "401": ResponseBuilder::new()
            .description("A key is wanted, and this is none.")
            .header("WWW-Authenticate", headers::www_authenticate()),
    ];
}

fn revision(description: &str) -> ResponseBuilder {
    ResponseBuilder::new().description(description).header("ETag", headers::etag())
}

fn content(schema: &str, example: serde_json::Value) -> Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).example(Some(example)).build()
}

fn created() -> ResponseBuilder {
    let response = revision("The new flow; without a body for those who `Prefer` none.")
        .header("Location", headers::location())
        .header("Preference-Applied", headers::preference_applied())
        .header("Idempotency-Replayed", headers::idempotency_replayed())
        .content(JSON, content("SavedFlow", examples::saved()));
    FOLLOWING.iter().fold(response, |response, operation| response.link(*operation, link(operation)))
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
    let examples = [("full", example("Whole documents", full)), ("summary", example("A page of summaries", summaries))];
    ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples).build()
}

fn next_page() -> Link {
    LinkBuilder::new().operation_id("list_flows").parameter("cursor", "$response.body#/next_cursor").build()
}

/// What can be done with a new flow.
const FOLLOWING: [&str; 8] = [
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
