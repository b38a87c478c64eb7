//! `GET /api/flows/export`: the file of a JSON store, or one flow a line, as of one moment.
//!
//! Flows are passed on as the storage gives them; however many there are, only a few wait here. A reader holds the
//! storage's snapshot, which in PostgreSQL is one of five connections, so there are never more than [`AT_ONCE`], and one
//! who takes nothing is dropped (`pieces`).

use std::io;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use futures::stream::{self, BoxStream, StreamExt};

use super::App;
use super::answer::accepts;
use super::flows::Answer;
use super::openapi::{self, Parameters, Problems, Reads, schemas};
use super::pieces::{PIECE, Pieces};
use super::query::{Export, Secrets};
use crate::flow::Flow;
use crate::listing::Matcher;
use crate::repository::{RepositoryError, Stored};

/// So many exports run at a time.
pub(super) const AT_ONCE: usize = 2;

/// How flows follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// `{"version": 1, "flows": […]}`.
    File,
    /// One flow a line (<https://github.com/ndjson/ndjson-spec>).
    Lines,
}

impl Format {
    fn of(headers: &HeaderMap) -> Self {
        if accepts(headers, Self::Lines.media_type()) { Self::Lines } else { Self::File }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::File => "application/json",
            Self::Lines => "application/x-ndjson",
        }
    }

    /// What stands before the first flow, between two, and behind the last.
    fn marks(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::File => ("{\"version\":1,\"flows\":[\n", ",\n", "\n]}\n"),
            Self::Lines => ("", "\n", "\n"),
        }
    }
}

/// All flows as the file of a JSON store, or one a line, as of one moment.
#[utoipa::path(
    get, path = "/api/flows/export", tag = "flows", operation_id = "export_flows",
    description = "The file with `Accept: application/json` and by default, one flow a line with `Accept: application/x-ndjson`.",
    params(openapi::Filter, openapi::Secrets),
    responses(
        (
            status = 200, description = "The flows, by name.",
            headers(("Content-Disposition" = String, description = "What to call the file.")),
            content(
                (schemas::FlowsFile = "application/json", example = json!({ "version": 1, "flows": [openapi::flow()] })),
                (Vec<schemas::Flow> = "application/x-ndjson", example = json!([openapi::flow()])),
            ),
        ),
        Problems<(Parameters, Reads)>,
    ),
)]
pub(super) async fn export(State(app): State<App>, RawQuery(query): RawQuery, headers: HeaderMap) -> Answer {
    let export = Export::parse(query.as_deref().unwrap_or_default())?;
    let format = Format::of(&headers);
    let Ok(running) = Arc::clone(&app.exports).try_acquire_owned() else {
        return Err(RepositoryError::Busy(format!("{AT_ONCE} exports are running")).into());
    };
    // An empty storage has ended before the first flow, and what has ended must not be asked again.
    let mut flows = app.source.repository.snapshot().fuse();
    // A storage that is away says so at the first flow, while there can be an answer that says it too.
    let first = flows.next().await.transpose()?;
    let flows = stream::iter(first.map(Ok)).chain(flows).boxed();
    let (pieces, body) = Pieces::channel();
    tokio::spawn(async move {
        let _running = running;
        if let Err(error) = write(flows, &export, format, &pieces).await {
            tracing::warn!(%error, "an export was broken off");
            pieces.break_off(error).await;
        }
    });
    let name = if format == Format::File { "flows.json" } else { "flows.ndjson" };
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [
        (header::CONTENT_TYPE, format.media_type()),
        (header::CONTENT_DISPOSITION, disposition.as_str()),
        (header::CACHE_CONTROL, "private, no-store"),
        (header::VARY, "accept"),
    ];
    Ok((headers, body).into_response())
}

async fn write(
    mut flows: BoxStream<'static, Result<Stored<Flow>, RepositoryError>>,
    export: &Export,
    format: Format,
    pieces: &Pieces,
) -> io::Result<()> {
    let matcher = Matcher::new(&export.filter).map_err(io::Error::other)?;
    let (before, between, behind) = format.marks();
    let mut piece = before.as_bytes().to_vec();
    let mut is_first = true;
    while let Some(stored) = flows.next().await.transpose().map_err(io::Error::other)? {
        let flow = stored.item;
        if !matcher.matches(&flow).map_err(io::Error::other)? {
            continue;
        }
        if !std::mem::replace(&mut is_first, false) {
            piece.extend_from_slice(between.as_bytes());
        }
        match export.secrets {
            Secrets::Kept => piece.extend_from_slice(flow.document().get().as_bytes()),
            Secrets::Redacted => {
                let redacted = flow.redacted().map_err(io::Error::other)?;
                piece.extend_from_slice(redacted.document().get().as_bytes());
            }
        }
        if piece.len() >= PIECE {
            pieces.send(std::mem::take(&mut piece).into()).await.map_err(io::Error::other)?;
        }
    }
    if !(is_first && format == Format::Lines) {
        piece.extend_from_slice(behind.as_bytes());
    }
    pieces.send(piece.into()).await.map_err(io::Error::other)
}
