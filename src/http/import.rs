//! `POST /api/flows/import`: flows of a file, an array, NDJSON or single ones, all or nothing.
//!
//! The body is read as it comes and checked while it does; its documents wait in a temporary file. So an import may be
//! larger than the memory, and a client who leaves in the middle has stored nothing.

use std::fmt::Debug;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use futures::stream::{self, Stream, StreamExt};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::App;
use super::body::{check_encoding, check_type_of_many, is_of_many};
use super::flows::Answer;
use super::idempotency::Key;
use super::openapi::{self, Imports, Parameters, Problems, Writes, schemas};
use super::pieces::{PIECE, Pieces};
use super::problem::{self, Kind, Problem};
use super::query;
use super::saved::prefers_minimal;
use crate::clock;
use crate::repository::{Author, RepositoryError, Stamp};
use crate::transfer::{Import, InputError, Progress, Report};

/// So many imports run at a time; each has a file of up to [`LARGEST`].
pub(super) const AT_ONCE: usize = 2;
/// The largest body, in bytes.
const LARGEST: u64 = 1 << 30;
/// How long the next piece of a body may take.
const STALLED: Duration = Duration::from_secs(30);
/// How often the log is told how an import gets on.
const NEWS: Duration = Duration::from_secs(5);

/// Imports flows, all or none.
#[utoipa::path(
    post, path = "/api/flows/import", tag = "flows", operation_id = "import_flows",
    params(openapi::Import, openapi::Once),
    request_body(content(
        (schemas::Import = "application/json", example = json!({ "version": 1, "flows": [openapi::flow()] })),
        (schemas::ImportLines = "application/x-ndjson", example = json!([openapi::flow()])),
    )),
    responses(
        (status = 200, description = "What came of it.", body = schemas::ImportReport, example = json!(openapi::imported())),
        Problems<(Parameters, Imports, Writes)>,
    ),
)]
pub(super) async fn import(
    State(app): State<App>,
    Extension(author): Extension<Author>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let options = query::import(query.as_deref().unwrap_or_default())?;
    let key = Key::of(&headers, &author)?;
    check_encoding(&headers)?;
    check_type_of_many(&headers)?;
    let Ok(running) = Arc::clone(&app.imports).try_acquire_owned() else {
        return Err(RepositoryError::Busy(format!("{AT_ONCE} imports are running")).into());
    };
    let input = SyncIoBridge::new(StreamReader::new(Box::pin(incoming(body))));
    // A client who leaves does not end the reading at once.
    let read = spawn_blocking(move || (Import::read(input, Arc::new(News::default())), running)).await;
    let (import, _running) = read.map_err(|panicked| RepositoryError::Failed(panicked.into()))?;
    let import = match import {
        // An export of no flows as NDJSON.
        Err(InputError::Empty) if is_of_many(&headers) => Import::none()?,
        import => import?,
    };
    let clone_id = |id| key.as_ref().map_or_else(clock::new_id, |key| key.id_of_clone(id));
    let stamp = Stamp::new(clock::now(), author);
    let report = import.run(&*app.source.repository, options, clone_id, stamp).await?;
    Ok(answer(report, !prefers_minimal(&headers)))
}

/// A body as it comes, which must neither be too long nor let wait for it.
fn incoming(body: Body) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::unfold((body.into_data_stream(), 0), async |(mut pieces, mut length)| {
        let piece = match timeout(STALLED, pieces.next()).await {
            Ok(piece) => piece?.map_err(io::Error::other),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        length += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        let piece = if length > LARGEST { Err(io::ErrorKind::FileTooLarge.into()) } else { piece };
        Some((piece, (pieces, length)))
    })
}

impl From<InputError> for Problem {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Empty => Self::new(Kind::InvalidBody, "the body is empty"),
            InputError::Malformed(detail) => Self::new(Kind::InvalidBody, detail),
            InputError::TooLarge(detail) => Self::new(Kind::TooLarge, detail),
            InputError::Broken(error) => match error.kind() {
                io::ErrorKind::TimedOut => {
                    Self::new(Kind::SlowBody, format!("nothing came for {} seconds", STALLED.as_secs()))
                }
                io::ErrorKind::FileTooLarge => {
                    Self::new(Kind::TooLarge, format!("the body has over {LARGEST} bytes; import it in parts"))
                }
                _ => Self::new(Kind::InvalidBody, "the body broke off"),
            },
            InputError::NotKept(error) => {
                tracing::error!(%error, directory = %std::env::temp_dir().display(), "an import cannot be put aside");
                Self::unavailable("nothing was written; the server has no room to put the import aside", STALLED)
            }
        }
    }
}

/// The report, or the problem with the report of those that were refused.
fn answer(report: Report, with_flows: bool) -> axum::response::Response {
    let refused = report.counts.refused;
    let problem = (report.is_refused() && !report.dry_run).then(|| match report.has_bad_documents {
        true => Problem::new(Kind::FlowsRefused, format!("nothing was written; {refused} flows are refused")),
        false => {
            let detail = format!("nothing was written; {refused} flows exist with another content, see `on_conflict`");
            Problem::new(Kind::FlowsExist, detail)
        }
    });
    let (status, media_type) = match &problem {
        Some(problem) => (problem.status(), problem::MEDIA_TYPE),
        None => (StatusCode::OK, "application/json"),
    };
    let (pieces, body) = Pieces::channel();
    spawn_blocking(move || {
        let handle = Handle::current();
        let mut out = Out { handle: &handle, pieces: &pieces, piece: Vec::new() };
        let written = write(&report, problem.as_ref(), with_flows, &mut out).and_then(|()| out.flush());
        if let Err(error) = written {
            tracing::warn!(%error, "the report of an import was broken off");
            handle.block_on(pieces.break_off(error));
        }
    });
    let headers = [(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "private, no-store")];
    (status, headers, body).into_response()
}

fn write(report: &Report, problem: Option<&Problem>, with_flows: bool, out: &mut Out<'_>) -> io::Result<()> {
    match problem.map(Problem::document) {
        Some(mut document) => {
            document.pop();
            out.write_all(&document)?;
            out.write_all(b",")?;
        }
        None => out.write_all(b"{")?,
    }
    report.write_members(out, with_flows)?;
    out.write_all(b"}")
}

/// Sends what is written in pieces, and waits for the reader.
struct Out<'a> {
    handle: &'a Handle,
    pieces: &'a Pieces,
    piece: Vec<u8>,
}

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        self.handle.block_on(self.pieces.send(piece.into())).map_err(io::Error::other)
    }
}

/// Tells the log.
#[derive(Debug)]
struct News(Mutex<Instant>);

impl Default for News {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl News {
    fn is_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.elapsed() >= NEWS;
        if is_due {
            *last = Instant::now();
        }
        is_due
    }
}

impl Progress for News {
    fn read(&self, flows: usize) {
        if self.is_due() {
            tracing::info!(flows, "an import is read");
        }
    }

    fn handed_over(&self, flows: usize, of: usize) {
        if self.is_due() {
            tracing::info!(flows, of, "an import is stored");
        }
    }
}
