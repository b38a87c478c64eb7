//! Assembles the OpenAPI document from the descriptions of the routes.

use utoipa::IntoResponses;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::server::ServerBuilder;
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, RefOr};

use crate::http::extract::query::is_page;
use crate::http::guard::{API, UNCHECKED_PATH, accepts_key_in_query};
use crate::http::respond::description::{Unauthorized, headers, responses, schemas};
use crate::http::respond::{Conflicts, CurrentFlow, Deletion, Divergence, Merge, ProblemBody, ProblemKind, Summary};

const ABOUT: &str = "A store for flows: JSON documents that describe media pipelines. Responses are the same with a \
    PostgreSQL database and with a JSON file.\n\n\
    Every `GET` also supports `HEAD`. The server rejects unknown query parameters, so that a misspelled filter does not \
    list all flows. It ignores parameters whose name starts with `_`. Responses are compressed with gzip if the client \
    accepts it. Request bodies may be compressed with gzip. The response header `X-Request-Id` identifies the request in \
    the log. A client may send its own value of up to 128 visible ASCII characters.\n\n\
    The `ETag` of a flow is its revision. A client that sends it back as `If-Match` never overwrites the change of \
    another client. Engine reports create no revision.";

const TAGS: [(&str, &str); 4] = [
    ("flows", "Flows and parts of flows."),
    ("history", "Histories, deleted flows and the change feed."),
    ("catalog", "Catalogs of elements, blocks, sources and interfaces."),
    ("service", "State and version of the server. These routes require no key."),
];

/// Assembles the document from the public, the limited and the authenticated routes, and adds what the layers do. A server
/// without keys never returns 401.
pub(crate) fn document([public, mut limited, mut authenticated]: [OpenApi; 3], requires_key: bool) -> OpenApi {
    for routes in [&mut limited, &mut authenticated] {
        routes
            .paths
            .paths
            .values_mut()
            .flat_map(operations)
            .for_each(|operation| add_problem(operation, ProblemKind::TooManyRequests));
    }
    if requires_key {
        for (path, item) in &mut authenticated.paths.paths {
            operations(item).for_each(|operation| require_key(path, operation));
        }
    }
    let mut document = empty_document();
    for routes in [public, limited, authenticated] {
        document.merge(routes);
    }
    for (path, item) in &mut document.paths.paths {
        for operation in operations(item) {
            if path != UNCHECKED_PATH {
                add_problem(operation, ProblemKind::Misdirected);
            }
            if path.starts_with(API) {
                add_problem(operation, ProblemKind::ForeignOrigin);
            }
            if path == "/ready" {
                add_problem(operation, ProblemKind::TooManyRequests);
            }
            if !is_page(path) {
                add_problem(operation, ProblemKind::InvalidParameter);
            }
            add_outer_layers(operation);
        }
    }
    document
}

/// Returns the document without operations.
fn empty_document() -> OpenApi {
    let info = InfoBuilder::new().title("Strom's flow store").description(Some(ABOUT));
    let info = info.version(env!("CARGO_PKG_VERSION"));
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas::all())
        .schema_from::<ProblemBody<'_>>()
        .schema_from::<CurrentFlow<'_>>()
        .schema_from::<Conflicts>()
        .schema_from::<Deletion>()
        .schema_from::<Divergence>()
        .schema_from::<Summary<'_>>()
        .schema_from::<Merge>()
        .security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)))
        .security_scheme("header", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))))
        .security_scheme(
            "address",
            SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::with_description(
                "auth_token",
                "For browsers, which cannot set headers of event streams and WebSockets.",
            ))),
        );
    let tags = TAGS.map(|(name, description)| TagBuilder::new().name(name).description(Some(description)).build());
    let server = ServerBuilder::new().url("/").description(Some("The server that serves this document.")).build();
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([server]))
        .components(Some(components.build()))
        .tags(Some(tags))
        .build()
}

pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

/// Adds the effects of `guard::authenticated`.
fn require_key(path: &str, operation: &mut Operation) {
    let ways = ["bearer", "header", "address"];
    let ways = if accepts_key_in_query(path) { &ways[..] } else { &ways[..2] };
    let requirements = ways.iter().map(|way| SecurityRequirement::new(*way, [] as [&str; 0]));
    operation.security = Some(requirements.collect());
    operation.responses.responses.extend(Unauthorized::responses());
}

/// Adds a problem that a layer may return instead of the route, unless the route has a response with this status.
fn add_problem(operation: &mut Operation, kind: ProblemKind) {
    for (status, response) in responses(&[kind]) {
        operation.responses.responses.entry(status).or_insert(response);
    }
}

/// Adds the effects of the layers around all routes.
fn add_outer_layers(operation: &mut Operation) {
    add_problem(operation, ProblemKind::Internal);
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            response.headers.insert("X-Request-Id".to_owned(), headers::x_request_id().into());
        }
    }
}
