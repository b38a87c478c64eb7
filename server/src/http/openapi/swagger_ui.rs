//! Swagger UI (<https://swagger.io/tools/swagger-ui/>): a page that shows the document and sends requests.
//!
//! The program contains the page. The page sends requests only to this server; its content security policy enforces it.

use std::sync::{Arc, LazyLock};

use axum::extract::Path;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa_swagger_ui::{Config, SwaggerFile};

use crate::http::extract::parameter_builders::{describe_parameters, one_of, path};
use crate::http::respond::description::{NoEntry, Problems};
use crate::http::respond::{Problem, ProblemKind, RouteResult};

/// The path of the page's files. Absolute, so that the page works with and without a slash at the end of its URL.
const FILES: &str = "/swagger-ui/";

/// The files that the page requests.
const SERVED: [&str; 7] = [
    "favicon-16x16.png",
    "favicon-32x32.png",
    "index.css",
    "swagger-initializer.js",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
    "swagger-ui.css",
];

/// Allows content of this server only. The page uses inline styles and icons in `data:` URLs.
const POLICY: (HeaderName, &str) = (
    header::CONTENT_SECURITY_POLICY,
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Without the validator of swagger.io, which would send the document to another server.
static CONFIG: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::from("/api-docs/openapi.json").validator_url("none")));

describe_parameters! {
    /// The file of the page.
    SwaggerFileName => [path("file", "A file of the page.", one_of(&SERVED), "index.css".into())];
}

/// Returns a page that shows this document and can send requests.
#[utoipa::path(
    get, path = "/swagger-ui", tag = "service", operation_id = "swagger_ui",
    responses((status = 200, description = "A page.", body = String, content_type = "text/html", example = json!("<!DOCTYPE html>"))),
)]
pub(crate) async fn page() -> RouteResult {
    let SwaggerFile { bytes, .. } = find("index.html")?;
    let page = String::from_utf8_lossy(&bytes).replace("\"./", "\"").replace("href=\"", "href=\"/swagger-ui/");
    let page = page.replace("src=\"", "src=\"/swagger-ui/");
    Ok(response("text/html; charset=utf-8", page))
}

/// Returns the same page for a path with a trailing slash.
#[utoipa::path(
    get, path = "/swagger-ui/", tag = "service", operation_id = "swagger_ui_with_slash",
    responses((status = 200, description = "A page.", body = String, content_type = "text/html", example = json!("<!DOCTYPE html>"))),
)]
pub(crate) async fn page_with_slash() -> RouteResult {
    page().await
}

/// Returns a file of the page.
#[utoipa::path(
    get, path = "/swagger-ui/{file}", tag = "service", operation_id = "swagger_ui_file",
    params(SwaggerFileName),
    responses(
        (status = 200, description = "The file.", content(
            (String = "text/css", example = json!(".swagger-ui { … }")),
            (String = "text/javascript", example = json!("window.onload = …")),
            ("image/png", example = json!("the bytes of an image")),
        )),
        Problems<NoEntry>,
    ),
)]
pub(crate) async fn file(Path(file): Path<String>) -> RouteResult {
    match SERVED.contains(&file.as_str()) {
        true => find(&file).map(|SwaggerFile { content_type, bytes, .. }| response(&content_type, bytes.into_owned())),
        false => Err(no_such_file(&file)),
    }
}

fn find(file: &str) -> Result<SwaggerFile<'static>, Problem> {
    utoipa_swagger_ui::serve(file, Arc::clone(&CONFIG)).ok().flatten().ok_or_else(|| no_such_file(file))
}

fn no_such_file(file: &str) -> Problem {
    Problem::new(ProblemKind::NoSuchRoute, format!("no file at `{FILES}{file}`"))
}

fn response(content_type: &str, bytes: impl IntoResponse) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "public, max-age=3600"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (StatusCode::OK, [POLICY], headers, bytes).into_response()
}
