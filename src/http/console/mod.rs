//! The console: a page on which people look after flows.
//!
//! It is plain files that a browser runs as they are, below `page/`; a program that was built for release has them inside,
//! and one that was built for debugging reads them when they are asked for, so that whoever works on the page only reloads
//! it. The page asks nobody but this server for anything, and its content security policy holds it to that. The files want
//! no key: they show no flow, and somebody without a key has to see where to give one.
//!
//! Where people are on the page stands behind the `#` of its address, which browsers keep to themselves: so there is one
//! page, and no route for each of its views. A folder has no folders of its own, because OpenAPI knows no parameter that
//! stands for several parts of a path.

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::flows::Answer;
use super::openapi::{ConsoleFile, ConsoleFolder, IfPageChanged, NoEntry, Problems};
use super::problem::{Kind, Problem};

/// What the page is made of.
#[derive(RustEmbed)]
#[folder = "src/http/console/page"]
struct Page;

/// Nothing from elsewhere, no script or style in the page itself. Pictures are made by the page too: for downloads.
const POLICY: (HeaderName, &str) = (
    header::CONTENT_SECURITY_POLICY,
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The console: a page for browsers.
#[utoipa::path(
    get, path = "/", tag = "service", operation_id = "console",
    params(IfPageChanged),
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html", example = json!("<!doctype html>")),
        (status = 304, description = "You have it."),
    ),
)]
pub(super) async fn page(headers: HeaderMap) -> Answer {
    answer("index.html", &headers)
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
pub(super) async fn file(Path(file): Path<String>, headers: HeaderMap) -> Answer {
    answer(&file, &headers)
}

/// A file of a folder of the console.
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
pub(super) async fn file_in_folder(Path((folder, file)): Path<(String, String)>, headers: HeaderMap) -> Answer {
    answer(&format!("{folder}/{file}"), &headers)
}

/// The page itself is at `/` alone, and what tells developers about the files is not for browsers.
fn media_type(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "html" if name == "index.html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

fn answer(name: &str, headers: &HeaderMap) -> Answer {
    let nothing = || Problem::new(Kind::NoSuchRoute, format!("there is nothing at `/console/{name}`"));
    let media_type = media_type(name).ok_or_else(nothing)?;
    let EmbeddedFile { data, metadata } = Page::get(name).ok_or_else(nothing)?;
    let tag: String = metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{tag}\"");
    // Another program at the same address has other files: so browsers always ask, and are mostly told that they have it.
    let of_all = [(header::ETAG, tag.as_str()), (header::CACHE_CONTROL, "no-cache")];
    if is_known(headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, of_all).into_response());
    }
    let of_files = [
        (header::CONTENT_TYPE, media_type),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    Ok((of_all, of_files, [POLICY], data.into_owned()).into_response() as Response)
}

/// Whether the client has what bears this tag. What it says otherwise is no error: it gets the file.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let fields = headers.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    let mut tags = fields.flat_map(|field| field.split(',')).map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}
