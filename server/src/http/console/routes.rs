//! `GET /` and `GET /console/…`

use axum::extract::Path;
use axum::http::HeaderMap;

use super::files::file_response;
use crate::http::extract::parameter_builders::{describe_parameters, header, matching, path, text};
use crate::http::respond::RouteResult;
use crate::http::respond::description::{NoEntry, Problems};

/// The pattern of a file name.
const FILE_NAME: &str = "^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)+$";

describe_parameters! {
    /// Returns a file of the console.
    ConsoleFile => [path("file", "A file of the page.", matching(FILE_NAME), "main.js".into())];
    /// A file in a folder of the console.
    ConsoleFolder => [
        path("folder", "A folder of the page.", matching("^[a-z]+$"), "views".into()),
        path("file", "A file of it.", matching(FILE_NAME), "list.js".into()),
    ];
    /// A conditional read of a file.
    IfPageChanged => [
        header("If-None-Match", "The response is 304 if the file has one of these entity tags.", text()),
    ];
}

/// The console: a page for browsers.
#[utoipa::path(
    get, path = "/", tag = "service", operation_id = "console",
    params(IfPageChanged),
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html", example = json!("<!doctype html>")),
        (status = 304, description = "You have it."),
    ),
)]
pub(crate) async fn page(headers: HeaderMap) -> RouteResult {
    file_response("index.html", &headers)
}

/// A file of the console.
#[utoipa::path(
    get, path = "/console/{file}", tag = "service", operation_id = "console_file",
    params(ConsoleFile, IfPageChanged),
    responses(
        (status = 200, description = "The file.", content(
            (String = "text/javascript", example = json!("import { … }")),
            (String = "text/css", example = json!(":root { … }")),
            (String = "image/svg+xml", example = json!("<svg>…</svg>")),
        )),
        (status = 304, description = "You have it."),
        Problems<NoEntry>,
    ),
)]
pub(crate) async fn file(Path(file): Path<String>, headers: HeaderMap) -> RouteResult {
    file_response(&file, &headers)
}

/// Returns a file in a folder of the console.
#[utoipa::path(
    get, path = "/console/{folder}/{file}", tag = "service", operation_id = "console_file_in_folder",
    params(ConsoleFolder, IfPageChanged),
    responses(
        (status = 200, description = "The file.", content(
            (String = "text/javascript", example = json!("import { … }")),
            (String = "text/css", example = json!(".graph { … }")),
            (String = "text/plain", example = json!("A licence.")),
        )),
        (status = 304, description = "You have it."),
        Problems<NoEntry>,
    ),
)]
pub(crate) async fn file_in_folder(Path((folder, file)): Path<(String, String)>, headers: HeaderMap) -> RouteResult {
    file_response(&format!("{folder}/{file}"), &headers)
}
