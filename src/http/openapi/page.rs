//! Swagger UI (<https://swagger.io/tools/swagger-ui/>): the document as a page on which it can be tried.
//!
//! The page is inside of the program, and asks nobody but this server for anything; its content security policy holds
//! it to that.

use std::sync::{Arc, LazyLock};

use axum::extract::Path;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa_swagger_ui::{Config, SwaggerFile};

use super::super::flows::Answer;
use super::super::problem::{Kind, Problem};
use super::problems::{NoEntry, Problems};

/// Where the page has its files. From the root, so that it does not matter how its address ends.
const FILES: &str = "/swagger-ui/";

/// What the page asks for.
pub(super) const SERVED: [&str; 7] = [
    "favicon-16x16.png",
    "favicon-32x32.png",
    "index.css",
    "swagger-initializer.js",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
    "swagger-ui.css",
];

/// Scripts and everything else from here alone. The page styles its parts one by one and draws its icons in addresses.
const POLICY: (HeaderName, &str) = (
    header::CONTENT_SECURITY_POLICY,
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Swagger's would have its own server look at the document.
static CONFIG: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::from("/api-docs/openapi.json").validator_url("none")));

/// The document as a page on which it can be tried.
#[utoipa::path(
    get, path = "/swagger-ui", tag = "service", operation_id = "swagger_ui",
    responses((status = 200, description = "A page.", body = String, content_type = "text/html", example = json!("<!DOCTYPE html>"))),
)]
pub(in crate::http) async fn page() -> Answer {
    let SwaggerFile { bytes, .. } = found("index.html")?;
    let page = String::from_utf8_lossy(&bytes).replace("\"./", "\"").replace("href=\"", "href=\"/swagger-ui/");
    let page = page.replace("src=\"", "src=\"/swagger-ui/");
    Ok(answer("text/html; charset=utf-8", page))
}

/// The same page, for those who add a slash.
#[utoipa::path(
    get, path = "/swagger-ui/", tag = "service", operation_id = "swagger_ui_with_slash",
    responses((status = 200, description = "A page.", body = String, content_type = "text/html", example = json!("<!DOCTYPE html>"))),
)]
pub(in crate::http) async fn page_with_slash() -> Answer {
    page().await
}

/// A file of the page.
#[utoipa::path(
    get, path = "/swagger-ui/{file}", tag = "service", operation_id = "swagger_ui_file",
    params(super::parameters::File),
    responses(
        (status = 200, description = "The file.", content(
            (String = "text/css", example = json!(".swagger-ui { … }")),
            (String = "text/javascript", example = json!("window.onload = …")),
            ("image/png", example = json!("\u{89}PNG…")),
        )),
        Problems<NoEntry>,
    ),
)]
pub(in crate::http) async fn file(Path(file): Path<String>) -> Answer {
    match SERVED.contains(&file.as_str()) {
        true => found(&file).map(|SwaggerFile { content_type, bytes, .. }| answer(&content_type, bytes.into_owned())),
        false => Err(no_such_file(&file)),
    }
}

fn found(file: &str) -> Result<SwaggerFile<'static>, Problem> {
    utoipa_swagger_ui::serve(file, Arc::clone(&CONFIG)).ok().flatten().ok_or_else(|| no_such_file(file))
}

fn no_such_file(file: &str) -> Problem {
    Problem::new(Kind::NoSuchRoute, format!("there is nothing at `{FILES}{file}`"))
}

fn answer(content_type: &str, bytes: impl IntoResponse) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "public, max-age=3600"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (StatusCode::OK, [POLICY], headers, bytes).into_response()
}
