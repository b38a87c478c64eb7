//! `GET /api/flows/export`: a consistent snapshot of all flows.
//!
//! The server forwards flows as the storage returns them, so only a few are in memory. An export holds a snapshot of the storage,
//! which is a connection in PostgreSQL. So at most [`MAX_EXPORTS`] run concurrently, and the server aborts the export of a client
//! that reads nothing.
//!
//! SQL can store a document that this version rejects. An export with a filter or without secrets must parse documents: it omits
//! such a flow, and `/ready` names the flow until it is corrected or deleted. Any other export contains the document as it is.

use std::io;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use futures::stream::{self, BoxStream, StreamExt};
use strom_store::flow::Flow;
use strom_store::listing::Matcher;
use strom_store::repository::{RepositoryError, Stored};

use crate::http::app::{App, MAX_EXPORTS};
use crate::http::extract::query::{ExportQuery, Secrets};
use crate::http::extract::{accepts, parameters};
use crate::http::respond::chunks::{self, ChunkSender, MAX_CHUNK};
use crate::http::respond::description::{Parameters, Problems, Reads, examples, schemas};
use crate::http::respond::{PRIVATE_NO_STORE, RouteResult};
use crate::http::unreadable::Unreadable;

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExportFormat {
    /// `{"version": 1, "flows": […]}`.
    File,
    /// One flow per line (<https://github.com/ndjson/ndjson-spec>).
    Lines,
}

impl ExportFormat {
    fn accepted_by(headers: &HeaderMap) -> Self {
        if accepts(headers, Self::Lines.media_type()) { Self::Lines } else { Self::File }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::File => "application/json",
            Self::Lines => "application/x-ndjson",
        }
    }

    /// Returns the text before the first flow, between two flows, and after the last one.
    fn separators(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::File => ("{\"version\":1,\"flows\":[\n", ",\n", "\n]}\n"),
            Self::Lines => ("", "\n", "\n"),
        }
    }
}

/// Exports all flows from one snapshot, as a `flows.json` file or as NDJSON.
#[utoipa::path(
    get, path = "/api/flows/export", tag = "flows", operation_id = "export_flows",
    description = "The default format is a `flows.json` file. With `Accept: application/x-ndjson`, the response \
                   contains one flow per line.",
    params(parameters::FilterParameters, parameters::ExportParameters),
    responses(
        (
            status = 200, description = "The flows, ordered by name.",
            headers(("Content-Disposition" = String, description = "The suggested file name.")),
            content(
                (schemas::FlowsFile = "application/json", example = json!({ "version": 1, "flows": [examples::flow()] })),
                (Vec<schemas::Flow> = "application/x-ndjson", example = json!([examples::flow()])),
            ),
        ),
        Problems<(Parameters, Reads)>,
    ),
)]
pub(crate) async fn export(State(app): State<App>, RawQuery(query): RawQuery, headers: HeaderMap) -> RouteResult {
    let query = ExportQuery::parse(query.as_deref())?;
    let format = ExportFormat::accepted_by(&headers);
    let Ok(permit) = Arc::clone(&app.export_permits).try_acquire_owned() else {
        return Err(RepositoryError::Busy(format!("{MAX_EXPORTS} exports are running")).into());
    };
    // Fused, because the snapshot of an empty storage ends before the first flow.
    let mut flows = app.repository().snapshot().fuse();
    // The first flow is read before the response starts, so that an outage becomes a status code.
    let first = flows.next().await.transpose()?;
    let flows = stream::iter(first.map(Ok)).chain(flows).boxed();
    let body = chunks::produced(async move |sender: ChunkSender| {
        let _permit = permit;
        let written = write(flows, &query, format, &sender, &app.unreadable).await;
        written.inspect_err(|error| tracing::warn!(%error, "an export was aborted"))
    });
    let name = if format == ExportFormat::File { "flows.json" } else { "flows.ndjson" };
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [
        (header::CONTENT_TYPE, format.media_type()),
        (header::CONTENT_DISPOSITION, disposition.as_str()),
        PRIVATE_NO_STORE,
        (header::VARY, "accept"),
    ];
    Ok((headers, body).into_response())
}

async fn write(
    mut flows: BoxStream<'static, Result<Stored<Flow>, RepositoryError>>,
    query: &ExportQuery,
    format: ExportFormat,
    sender: &ChunkSender,
    unreadable: &Unreadable,
) -> io::Result<()> {
    let matcher = Matcher::new(&query.filter).map_err(io::Error::other)?;
    let (before, between, after) = format.separators();
    let mut chunk = before.as_bytes().to_vec();
    let mut is_first = true;
    while let Some(stored) = flows.next().await.transpose().map_err(io::Error::other)? {
        let flow = stored.item;
        // A document that SQL wrote may be invalid. It must not fail the export of all other flows.
        let selected = matcher.matches(&flow).and_then(|is_match| match (is_match, query.secrets) {
            (false, _) => Ok(None),
            (true, Secrets::Kept) => Ok(Some(None)),
            (true, Secrets::Redacted) => flow.redacted().map(|redacted| Some(Some(redacted))),
        });
        let flow = match selected {
            Ok(None) => continue,
            Ok(Some(redacted)) => redacted.unwrap_or(flow),
            Err(refusal) => {
                unreadable.add(flow.head(), &refusal);
                continue;
            }
        };
        if !std::mem::replace(&mut is_first, false) {
            chunk.extend_from_slice(between.as_bytes());
        }
        chunk.extend_from_slice(flow.document().get().as_bytes());
        if chunk.len() >= MAX_CHUNK {
            sender.send(std::mem::take(&mut chunk).into()).await.map_err(io::Error::other)?;
        }
    }
    if !(is_first && format == ExportFormat::Lines) {
        chunk.extend_from_slice(after.as_bytes());
    }
    sender.send(chunk.into()).await.map_err(io::Error::other)
}
