//! The report of an import.

use std::io::{self, Write};
use std::mem;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::http::respond::chunks::{self, ChunkSender, MAX_CHUNK};
use crate::http::respond::{MEDIA_TYPE, PRIVATE_NO_STORE, Problem, ProblemKind};
use crate::transfer::Report;

/// Returns the report, or a problem with the report if flows were refused.
pub(super) fn report_response(report: Report) -> Response {
    let refused = report.counts.refused;
    let problem = (report.is_refused() && !report.dry_run).then(|| match report.has_bad_documents {
        true => Problem::new(ProblemKind::FlowsRefused, format!("nothing was written; {refused} flows were refused")),
        false => {
            let detail =
                format!("nothing was written; {refused} flows exist with different content (see `on_conflict`)");
            Problem::new(ProblemKind::FlowsExist, detail)
        }
    });
    let (status, media_type) = match &problem {
        Some(problem) => (problem.status(), MEDIA_TYPE),
        None => (StatusCode::OK, "application/json"),
    };
    let body = chunks::produced(async move |sender: ChunkSender| {
        let writing = spawn_blocking(move || {
            let mut out = ChunkWriter { handle: &Handle::current(), sender: &sender, chunk: Vec::new() };
            write(&report, problem.as_ref(), &mut out).and_then(|()| out.flush())
        });
        let written = writing.await.unwrap_or_else(|panicked| Err(io::Error::other(panicked)));
        written.inspect_err(|error| tracing::warn!(%error, "the report of an import was aborted"))
    });
    let headers = [(header::CONTENT_TYPE, media_type), PRIVATE_NO_STORE];
    (status, headers, body).into_response()
}

fn write(report: &Report, problem: Option<&Problem>, out: &mut ChunkWriter<'_>) -> io::Result<()> {
    match problem.map(Problem::document) {
        Some(mut document) => {
            document.pop();
            out.write_all(&document)?;
            out.write_all(b",")?;
        }
        None => out.write_all(b"{")?,
    }
    report.write_members(out)?;
    out.write_all(b"}")
}

/// Sends written bytes in chunks, and waits until the client reads them.
struct ChunkWriter<'a> {
    handle: &'a Handle,
    sender: &'a ChunkSender,
    chunk: Vec<u8>,
}

impl Write for ChunkWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= MAX_CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let chunk = mem::take(&mut self.chunk);
        self.handle.block_on(self.sender.send(chunk.into())).map_err(io::Error::other)
    }
}
