//! All routes and the layers around them.

use axum::extract::Request;
use axum::response::Response;
use axum::{Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::metrics::InFlightRequestsLayer;
use tower_http::trace::TraceLayer;
use tracing::Span;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::console;
use super::extract::query::{KnownParameters, check_parameters};
use super::guard::{Access, authenticated, check_host, limited, permit_origins, resolve_client};
use super::observe::{count_request, log_response, request_id, request_span};
use super::openapi::{document, route, share_parameters, swagger_ui};
use super::respond::{add_policies, negotiate_encoding, word_for_reads};
use super::routes::{
    auth_status, catalog, changes, diff, export, fallback, flows, health, history, import, metrics, ready, restore,
    revision, socket, sources, trash, version,
};
use super::settings::Settings;
use crate::stack::Stack;

/// Returns the OpenAPI document of a server with a key.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let routes = [public_routes(), limited_routes(), authenticated_routes()];
    share_parameters(document(routes.map(OpenApiRouter::into_openapi), true))
}

/// Returns the routes over this stack with default settings.
pub fn router(stack: impl Into<Stack>, access: Access) -> Router {
    router_with(stack, access, Settings::default())
}

/// Returns the routes over this stack.
pub fn router_with(stack: impl Into<Stack>, access: Access, settings: Settings) -> Router {
    let (in_flight_layer, in_flight) = InFlightRequestsLayer::pair();
    let routes = [public_routes(), limited_routes(), authenticated_routes()].map(OpenApiRouter::split_for_parts);
    let [(public, public_api), (limited, limited_api), (authenticated, authenticated_api)] = routes;
    let document = document([public_api, limited_api, authenticated_api], access.requires_key());
    let known = KnownParameters::of(&document);
    let document = share_parameters(document).to_json().expect("strings, numbers and lists become JSON").into();
    let app = App::new(stack.into(), access, settings, in_flight, document);
    let [public, limited, authenticated] = [public, limited, authenticated]
        .map(|routes| routes.layer(middleware::from_fn_with_state(known.clone(), check_parameters)));
    let public = public.method_not_allowed_fallback(fallback::other_method);
    let routes = public.merge(limit(limited, &app)).merge(authenticate(authenticated, &app)).with_state(app.clone());
    let routes = routes.layer(middleware::from_fn_with_state(app.clone(), check_host));
    let routes = routes.layer(middleware::from_fn(word_for_reads));
    let routes = routes.layer(CatchPanicLayer::custom(fallback::panicked)).layer(CompressionLayer::new());
    let routes = routes.layer(middleware::from_fn_with_state(app.clone(), permit_origins));
    let routes = routes.layer(middleware::from_fn(negotiate_encoding)).layer(middleware::from_fn(add_policies)).layer(
        TraceLayer::new_for_http()
            .make_span_with(request_span as fn(&Request) -> Span)
            .on_request(())
            .on_response(log_response as fn(&Response, std::time::Duration, &Span))
            .on_body_chunk(())
            .on_eos(())
            .on_failure(()),
    );
    // Outermost, so that the metrics count every response, whichever layer sends it.
    let routes = routes.layer(middleware::from_fn_with_state(app.clone(), resolve_client));
    let routes = routes.layer(middleware::from_fn_with_state(app, count_request)).layer(in_flight_layer);
    routes.layer(middleware::from_fn(request_id::assign_id))
}

/// Routes without a key and without a rate limit, for programs that monitor the server. They reveal nothing of the flows.
fn public_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(health::health)).routes(routes!(ready::ready)).routes(routes!(metrics::metrics))
}

/// Routes without a key and with a rate limit. They reveal nothing of the flows.
fn limited_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(version::version))
        .routes(routes!(auth_status::auth_status))
        .routes(routes!(route::openapi))
        .routes(routes!(swagger_ui::page))
        .routes(routes!(swagger_ui::page_with_slash))
        .routes(routes!(swagger_ui::file))
        .routes(routes!(console::routes::page))
        .routes(routes!(console::routes::file))
        .routes(routes!(console::routes::file_in_folder))
}

/// Routes that require a key, if the server has keys.
fn authenticated_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(flows::list::list, flows::create::create))
        .routes(routes!(export::export))
        .routes(routes!(import::import))
        .routes(routes!(
            flows::get::get,
            flows::put::put,
            flows::post::post,
            flows::patch::patch,
            flows::delete::delete
        ))
        .routes(routes!(flows::properties::replace_properties))
        .routes(routes!(flows::state::report_state))
        .routes(routes!(history::history))
        .routes(routes!(revision::revision))
        .routes(routes!(restore::restore))
        .routes(routes!(diff::diff))
        .routes(routes!(trash::trash))
        .routes(routes!(changes::changes))
        .routes(routes!(socket::socket))
        .routes(routes!(flows::check::check))
        .routes(routes!(flows::check_document::check_document))
        .routes(routes!(flows::engine::start))
        .routes(routes!(flows::engine::stop))
        .routes(routes!(catalog::elements))
        .routes(routes!(catalog::blocks))
        .routes(routes!(sources::sources))
        .routes(routes!(catalog::network_interfaces))
}

fn limit(routes: Router<App>, app: &App) -> Router<App> {
    let limited = middleware::from_fn_with_state(app.clone(), limited);
    routes.method_not_allowed_fallback(fallback::other_method).layer(limited)
}

/// The fallback for unknown paths also requires a key.
fn authenticate(routes: Router<App>, app: &App) -> Router<App> {
    routes
        .method_not_allowed_fallback(fallback::other_method)
        .fallback(fallback::no_such_route)
        // The limit applies to the decompressed body.
        .layer(RequestDecompressionLayer::new().pass_through_unaccepted(true))
        .layer(middleware::from_fn_with_state(app.clone(), authenticated))
}
