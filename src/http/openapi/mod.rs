//! The OpenAPI document (<https://spec.openapis.org/oas/v3.1.0>), made of the routes themselves.
//!
//! | file | what |
//! |---|---|
//! | `schemas` | the shapes of flows and of changes of them |
//! | `parameters`, `headers` | what goes with a request, and with an answer |
//! | `answers`, `problems` | the answers that operations share |
//! | `examples` | a real flow, and what is said about it |
//! | `page` | Swagger UI |
//!
//! A handler is registered with its annotation, so there is no route that the document does not have. What layers add
//! to every route is added here to every operation. It is open to everybody, as is the page that shows it: it tells what
//! the program can do and nothing that is stored, and who wants a key learns here how to send it.
//!
//! It promises no more than the server keeps: a member of a flow has whatever shape somebody has stored, because the
//! store refuses nothing for being unknown. The usual shape stands beside "anything". What NDJSON holds is told as an array
//! of what its lines hold, as OpenAPI 3.2 does.

mod answers;
mod examples;
mod headers;
pub(super) mod page;
mod parameters;
mod problems;
pub(super) mod schemas;

pub(super) use answers::{Created, Deleted, ListOfFlows, OneFlow, Saved};
pub(super) use examples::{contents, flow, imported};
pub(super) use parameters::*;
pub(super) use problems::{
    Bodies, Conditional, Creates, Engine, Headers, Imports, NoEntry, OnFlow, OnId, Parameters, Past, Patches, Place,
    Problems, Reads, SameId, Sockets, Streams, Writes,
};

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa::IntoResponses;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, RefOr};

use super::problem::{self, Kind};
use super::{App, access, answer, hosts, merge, stale};

const ABOUT: &str = "Flows are JSON documents that describe media pipelines. This is their store: on PostgreSQL or on one JSON \
    file, the answers are the same.\n\n\
    Every `GET` is also answered as `HEAD`. A query parameter that is not known is refused, so that a misspelled filter does \
    not list everything; names that begin with `_` are passed over. Answers are compressed for those who accept gzip, and \
    bodies may be. `X-Request-Id` tells what the log calls a request; who sends one, of up to 128 visible ASCII characters, \
    decides that.\n\n\
    The `ETag` of a flow is its revision. Sent back as `If-Match` it makes sure that nobody else's change is overwritten. \
    What a running engine reports makes no revision.";

const TAGS: [(&str, &str); 4] = [
    ("flows", "Flows, and parts of them."),
    ("history", "What flows were, and what happens to them."),
    ("catalog", "What else clients ask for."),
    ("service", "What the server says about itself. No key is wanted."),
];

/// The document of the routes that are open, that count as requests, and that are guarded by a key. A server that lets
/// everybody in never answers that it wants one.
pub(super) fn document([open, mut greeting, mut guarded]: [OpenApi; 3], wants_key: bool) -> OpenApi {
    for routes in [&mut greeting, &mut guarded] {
        routes
            .paths
            .paths
            .values_mut()
            .flat_map(operations)
            .for_each(|operation| may_be(operation, Kind::TooManyRequests));
    }
    if wants_key {
        for (path, item) in &mut guarded.paths.paths {
            operations(item).for_each(|operation| behind_the_key(path, operation));
        }
    }
    let mut document = frame();
    for routes in [open, greeting, guarded] {
        document.merge(routes);
    }
    for (path, item) in &mut document.paths.paths {
        for operation in operations(item) {
            if path != hosts::FREE {
                may_be(operation, Kind::Misdirected);
            }
            through_all_layers(operation);
        }
    }
    document
}

fn frame() -> OpenApi {
    let info = InfoBuilder::new().title("Strom's flow store").description(Some(ABOUT));
    let info = info.version(env!("CARGO_PKG_VERSION"));
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas::all())
        .schema_from::<problem::Body<'_>>()
        .schema_from::<problem::Current<'_>>()
        .schema_from::<problem::Conflicts>()
        .schema_from::<problem::Deletion>()
        .schema_from::<stale::Divergence>()
        .schema_from::<answer::Summary<'_>>()
        .schema_from::<merge::Merge>()
        .security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)))
        .security_scheme("header", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))))
        .security_scheme(
            "address",
            SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::with_description(
                "auth_token",
                "For browsers, which cannot give streams of events and WebSockets a header.",
            ))),
        );
    let tags = TAGS.map(|(name, description)| TagBuilder::new().name(name).description(Some(description)).build());
    OpenApiBuilder::new().info(info).components(Some(components.build())).tags(Some(tags)).build()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

/// What `access::require` makes of a route.
fn behind_the_key(path: &str, operation: &mut Operation) {
    let ways = ["bearer", "header", "address"];
    let ways = if access::is_by_address(path) { &ways[..] } else { &ways[..2] };
    let requirements = ways.iter().map(|way| SecurityRequirement::new(*way, [] as [&str; 0]));
    operation.security = Some(requirements.collect());
    operation.responses.responses.extend(answers::Unauthorized::responses());
}

/// Adds what a layer may answer instead of the route, where the route has no answer of that status.
fn may_be(operation: &mut Operation, kind: Kind) {
    for (status, response) in problems::responses(&[kind]) {
        operation.responses.responses.entry(status).or_insert(response);
    }
}

/// What the layers around all routes make of one.
fn through_all_layers(operation: &mut Operation) {
    may_be(operation, Kind::Internal);
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            response.headers.insert("X-Request-Id".to_owned(), headers::x_request_id().into());
        }
    }
}

/// This document.
#[utoipa::path(
    get, path = "/api-docs/openapi.json", tag = "service", operation_id = "openapi",
    responses((status = 200, description = "An OpenAPI document.", body = Document, example = json!({
        "openapi": "3.1.0", "info": { "title": "Strom's flow store", "version": "0.1.0" }, "paths": {}, "components": {}, "tags": [],
    }))),
)]
pub(super) async fn read(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], app.document.clone())
}

/// An OpenAPI document (<https://spec.openapis.org/oas/v3.1.0>).
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "it is text by the time it is sent; this tells its shape")]
struct Document {
    /// Which version of OpenAPI it follows.
    openapi: String,
    /// What it is about.
    info: serde_json::Value,
    /// The operations, by path and method.
    paths: serde_json::Value,
    /// What they share.
    components: serde_json::Value,
    /// What they are about.
    tags: serde_json::Value,
}
