//! The wording of problems of reads. Errors of the storage do not know the request, and state what happened to a change.

use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;

/// The problem in the words of a read. [`Problem`](super::Problem) adds it to its response.
#[derive(Debug, Clone)]
pub(super) struct ReadProblem(pub(super) Vec<u8>);

/// Replaces the problem of a read: nothing could have been written, so the client learns only what it can do.
pub(crate) async fn word_for_reads(request: Request, next: Next) -> Response {
    let is_read = request.method().is_safe();
    let mut response = next.run(request).await;
    if let Some(ReadProblem(document)) = response.extensions_mut().remove().filter(|_| is_read) {
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = document.into();
    }
    response
}
