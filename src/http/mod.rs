//! The HTTP interface over a repository: routes, conditions, the one error shape, access.
//!
//! | file | what |
//! |---|---|
//! | `flows`, `edit` | the routes of flows; those that change a part of one |
//! | `export`, `import` | all flows as a file; files of flows |
//! | `history`, `diff` | what flows were; what has changed from one revision to another |
//! | `changes`, `events`, `socket` | what happens to flows: pages, server-sent events, WebSockets |
//! | `hub`, `streams` | the one reader of the feed for all of them; how many may be open, and their end |
//! | `catalog` | what else clients ask for |
//! | `source` | the storage, and its last known flows while it is away |
//! | `service` | health, readiness, version, whether a key is wanted |
//! | `metrics` | what is measured |
//! | `openapi` | the document of all this |
//! | `console` | a page on which people look after flows |
//! | `access` | who may |
//! | `hosts` | by which names, and not by pages of strangers |
//! | `body`, `query`, `condition` | what comes in: documents, parameters, `If-Match` |
//! | `answer`, `saved`, `problem` | what goes out: flows, what is suspicious about them, errors |
//! | `stale`, `merge` | edits of what is no longer current: what has changed, and edits that go together |
//! | `pieces`, `room` | long answers, as fast as they are taken; memory for those that wait |
//! | `idempotency` | creates that are sent twice |
//! | `request_id` | the name of a request in the logs |
//! | `limits` | how many requests |
//! | `server`, `connection`, `settings` | the socket, its connections and its end; how it is served |
//!
//! What it refuses: to answer other origins (there are no CORS headers), to take bodies that do not say they are JSON,
//! and to show what a storage said when it failed.

mod access;
mod answer;
mod body;
mod catalog;
mod changes;
mod condition;
mod connection;
mod console;
mod diff;
mod edit;
mod events;
mod export;
mod flows;
mod history;
mod hosts;
mod hub;
mod idempotency;
mod import;
mod limits;
mod merge;
mod metrics;
mod openapi;
mod pieces;
mod problem;
mod query;
mod request_id;
mod room;
mod saved;
mod server;
mod service;
mod settings;
mod socket;
mod source;
mod stale;
mod streams;

pub use access::{Access, ApiKey, Keys, KeysFile, KeysFileError};
pub use answer::Summary;
pub use history::{Deleted as DeletedFlow, Entry as HistoryEntry, Trash};
pub use hosts::Hosts;
pub use server::{GRACE, serve};
pub use settings::Settings;
pub use source::Source;
pub use streams::Streams;

use std::any::Any;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::metrics::InFlightRequestsLayer;
use tower_http::metrics::in_flight_requests::InFlightRequestsCounter;
use tower_http::trace::TraceLayer;
use tracing::Span;
use tracing::field::{Empty, display};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::metrics::Metrics;
use hub::Hub;
use limits::Limits;
use problem::{Kind, Problem};
use room::Room;

/// What every handler can reach. A request has some copies of it, so a copy is one pointer.
#[derive(Clone)]
struct App(Arc<Parts>);

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

struct Parts {
    source: Source,
    access: Access,
    hosts: Arc<Hosts>,
    limits: Limits,
    metrics: Arc<Metrics>,
    in_flight: InFlightRequestsCounter,
    /// How many more exports may run.
    exports: Arc<Semaphore>,
    room: Room,
    /// How many more imports may run.
    imports: Arc<Semaphore>,
    hub: Arc<Hub>,
    streams: Streams,
    /// The OpenAPI document, as text.
    document: Bytes,
}

/// The OpenAPI document of a server that wants a key.
pub fn openapi() -> utoipa::openapi::OpenApi {
    openapi::document([open(), greeting(), guarded()].map(OpenApiRouter::into_openapi), true)
}

/// All routes over this repository, or over this one with its last known flows. What each router measures is its own.
pub fn router(source: impl Into<Source>, access: Access) -> Router {
    router_with(source, access, Settings::default())
}

/// As [`router`], with other settings than the default.
pub fn router_with(source: impl Into<Source>, access: Access, settings: Settings) -> Router {
    let Settings { hosts, rate_limit, streams } = settings;
    let limits = Limits::new(rate_limit);
    let source = source.into();
    let metrics = Arc::new(Metrics::of(Arc::clone(&source.repository)));
    let source = source.map(|_| metrics.observed());
    let (in_flight_layer, in_flight) = InFlightRequestsLayer::pair();
    let exports = Arc::new(Semaphore::new(export::AT_ONCE));
    let imports = Arc::new(Semaphore::new(import::AT_ONCE));
    let room = Room::default();
    let hub = Hub::new(Arc::clone(&source.repository));
    let hosts = Arc::new(hosts);
    let [open, greeting, guarded] = [open(), greeting(), guarded()].map(OpenApiRouter::split_for_parts);
    let document = openapi::document([open.1, greeting.1, guarded.1], access.asks_for_a_key());
    let document = document.to_json().expect("strings, numbers and lists become JSON").into();
    let parts =
        Parts { source, access, hosts, limits, metrics, in_flight, exports, imports, room, hub, streams, document };
    let app = App(Arc::new(parts));
    let open = open.0.method_not_allowed_fallback(method_not_allowed);
    let routes = open.merge(greet(greeting.0, &app)).merge(guard(guarded.0, &app)).with_state(app.clone());
    let routes = routes.layer(middleware::from_fn_with_state(app.clone(), hosts::guard));
    let routes = routes.layer(CatchPanicLayer::custom(panicked)).layer(CompressionLayer::new()).layer(
        TraceLayer::new_for_http()
            .make_span_with(|request: &Request| {
                // The path alone: a query may hold a key.
                let (path, id) = (request.uri().path(), request_id::of(request));
                let peer = request.extensions().get().map(|ConnectInfo::<SocketAddr>(peer)| display(*peer));
                // Who it is shows when the key has been looked at.
                tracing::info_span!("http", method = %request.method(), path, id, peer, author = Empty)
            })
            .on_request(())
            .on_response(|response: &Response, took: Duration, _: &Span| {
                let (status, ms) = (response.status().as_u16(), took.as_millis() as u64);
                tracing::info!(status, ms, created = created(response), "answered");
            })
            .on_body_chunk(())
            .on_eos(())
            .on_failure(()),
    );
    // Around everything else: what a client gets is counted, whoever answered.
    let routes = routes.layer(middleware::from_fn_with_state(app, metrics::count)).layer(in_flight_layer);
    routes.layer(middleware::from_fn(request_id::name))
}

/// The routes that need no key. None of them shows what is stored.
fn open() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(service::health)).routes(routes!(service::ready)).routes(routes!(metrics::read))
}

/// Those of them that count as requests: programs that watch a server have no need of them.
fn greeting() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(service::version))
        .routes(routes!(service::auth_status))
        .routes(routes!(openapi::read))
        .routes(routes!(openapi::page::page))
        .routes(routes!(openapi::page::page_with_slash))
        .routes(routes!(openapi::page::file))
        .routes(routes!(console::page))
        .routes(routes!(console::file))
        .routes(routes!(console::file_in_folder))
}

/// The routes that need the key where there is one.
fn guarded() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(flows::list, flows::create))
        .routes(routes!(export::export))
        .routes(routes!(import::import))
        .routes(routes!(flows::read, flows::put_flow, flows::replace, edit::patch, flows::delete))
        .routes(routes!(edit::replace_properties))
        .routes(routes!(edit::report_state))
        .routes(routes!(history::list))
        .routes(routes!(history::read))
        .routes(routes!(history::restore))
        .routes(routes!(diff::read))
        .routes(routes!(history::trash))
        .routes(routes!(changes::read))
        .routes(routes!(socket::connect))
        .routes(routes!(saved::check))
        .routes(routes!(flows::start))
        .routes(routes!(flows::stop))
        .routes(routes!(catalog::elements))
        .routes(routes!(catalog::blocks))
        .routes(routes!(catalog::sources))
        .routes(routes!(catalog::network_interfaces))
}

/// What stands before those that count.
fn greet(routes: Router<App>, app: &App) -> Router<App> {
    let counted = middleware::from_fn_with_state(app.clone(), access::greet);
    routes.method_not_allowed_fallback(method_not_allowed).layer(counted)
}

/// What stands before those that need the key; a path that does not exist is behind it too.
fn guard(routes: Router<App>, app: &App) -> Router<App> {
    routes
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(no_such_route)
        // A body is limited as what becomes of it, not as what arrives.
        .layer(RequestDecompressionLayer::new().pass_through_unaccepted(true))
        .layer(DefaultBodyLimit::max(body::MAX_BODY))
        .layer(middleware::from_fn_with_state(app.clone(), access::require))
}

/// The id of the flow that was created.
fn created(response: &Response) -> Option<&str> {
    let location = response.headers().get(header::LOCATION).filter(|_| response.status() == StatusCode::CREATED)?;
    location.to_str().ok()?.strip_prefix("/api/flows/")
}

async fn no_such_route(request: Request) -> Problem {
    Problem::new(Kind::NoSuchRoute, format!("there is nothing at `{}`", request.uri().path()))
}

async fn method_not_allowed(request: Request) -> Problem {
    Problem::new(Kind::MethodNotAllowed, format!("`{}` is not a method of this path", request.method()))
}

/// The panic hook has told the log what happened.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::new(Kind::Internal, "the operator finds the reason in the log").into_response()
}
