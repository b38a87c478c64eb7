//! `POST /api/flows/import`: imports a file, an array, NDJSON or single flows. All flows or none.
//!
//! The server reads and checks the body while it arrives, and stores the documents in a temporary file. So an import may be larger
//! than the memory, and a client that disconnects during the upload changes nothing.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use strom_store::repository::{Author, RepositoryError, Stamp};
use tokio::task::spawn_blocking;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::import_report::report_response;
use crate::clock;
use crate::http::app::{App, MAX_IMPORTS};
use crate::http::extract::import_body::import_body;
use crate::http::extract::media_type::{check_encoding, check_json_or_lines, is_lines};
use crate::http::extract::parameters;
use crate::http::extract::query::import_options;
use crate::http::respond::RouteResult;
use crate::http::respond::description::{Imports, Parameters, Problems, Writes, examples, schemas};
use crate::transfer::{Import, InputError, Progress};

/// Interval of log lines about the progress of an import.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// Imports flows, all or nothing.
#[utoipa::path(
    post, path = "/api/flows/import", tag = "flows", operation_id = "import_flows",
    params(parameters::ImportParameters),
    request_body(content(
        (schemas::Import = "application/json", example = json!({ "version": 1, "flows": [examples::flow()] })),
        (schemas::ImportLines = "application/x-ndjson", example = json!([examples::flow()])),
    )),
    responses(
        (status = 200, description = "The report of the \
                                      import.", body = schemas::ImportReport, example = json!(examples::imported())),
        Problems<(Parameters, Imports, Writes)>,
    ),
)]
pub(crate) async fn import(
    State(app): State<App>,
    Extension(author): Extension<Author>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> RouteResult {
    let options = import_options(query.as_deref())?;
    check_encoding(&headers)?;
    check_json_or_lines(&headers)?;
    let Ok(permit) = Arc::clone(&app.import_permits).try_acquire_owned() else {
        return Err(RepositoryError::Busy(format!("{MAX_IMPORTS} imports are running")).into());
    };
    let input = SyncIoBridge::new(StreamReader::new(Box::pin(import_body(body))));
    // The task returns the permit, because it continues for a while after the client has disconnected.
    let read = spawn_blocking(move || (Import::read(input, Arc::new(ProgressLog::default())), permit)).await;
    let (import, _permit) = read.map_err(|panicked| RepositoryError::Failed(panicked.into()))?;
    let import = match import {
        // An NDJSON export without flows is empty.
        Err(InputError::Empty) if is_lines(&headers) => Import::none()?,
        import => import?,
    };
    let stamp = Stamp::new(clock::now(), author);
    let report = import.run(app.repository(), options, |_| clock::new_id(), stamp).await?;
    Ok(report_response(report))
}

/// Logs the progress of an import.
#[derive(Debug)]
struct ProgressLog(Mutex<Instant>);

impl Default for ProgressLog {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl ProgressLog {
    fn is_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.elapsed() >= LOG_INTERVAL;
        if is_due {
            *last = Instant::now();
        }
        is_due
    }
}

impl Progress for ProgressLog {
    fn read(&self, flows: usize) {
        if self.is_due() {
            tracing::info!(flows, "reading an import");
        }
    }

    fn handed_over(&self, flows: usize, of: usize) {
        if self.is_due() {
            tracing::info!(flows, of, "storing an import");
        }
    }
}
