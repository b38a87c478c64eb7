//! The files of the page.

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::http::extract::entity_tag::client_has_tag;
use crate::http::respond::{Problem, ProblemKind, RouteResult};

/// The files. A release build contains them; a debug build reads them for each request, so that a reload shows changes.
#[derive(RustEmbed)]
#[folder = "src/http/console/page"]
struct ConsoleFiles;

/// Allows content of this server only, and no inline script or style. The page generates images for downloads.
const POLICY: (HeaderName, &str) = (
    header::CONTENT_SECURITY_POLICY,
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Returns the media type of a file. `None` for files that browsers do not need. The page itself is only at `/`.
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

/// Returns the file, or 304 if the browser has it.
pub(super) fn file_response(name: &str, headers: &HeaderMap) -> RouteResult {
    let missing = || Problem::new(ProblemKind::NoSuchRoute, format!("no file at `/console/{name}`"));
    let media_type = media_type(name).ok_or_else(missing)?;
    let EmbeddedFile { data, metadata } = ConsoleFiles::get(name).ok_or_else(missing)?;
    let tag: String = metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    // Browsers must revalidate, because another version of the program at the same address has other files.
    let etag = format!("\"{tag}\"");
    let cache_headers = [(header::ETAG, etag.as_str()), (header::CACHE_CONTROL, "no-cache")];
    // An invalid header is ignored.
    if client_has_tag(headers, &tag).unwrap_or(false) {
        return Ok((StatusCode::NOT_MODIFIED, cache_headers).into_response());
    }
    let file_headers = [
        (header::CONTENT_TYPE, media_type),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    Ok((cache_headers, file_headers, [POLICY], data.into_owned()).into_response())
}
