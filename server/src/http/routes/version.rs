//! `GET /api/version`

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use utoipa::ToSchema;

use crate::commit::Commit;
use crate::http::app::App;

/// The version of this binary and its source.
#[derive(Serialize, ToSchema)]
#[schema(as = Version)]
pub(crate) struct VersionInfo {
    version: &'static str,
    git_hash: &'static str,
    git_tag: &'static str,
    git_branch: &'static str,
    git_dirty: bool,
    #[schema(value_type = DateTime<Utc>)]
    build_timestamp: String,
}

/// Returns the version of the program and the commit that it was built from.
///
/// Without git at build time, the strings are `unknown` and the timestamp is the start of 1970. `git_tag` is `""` if no tag
/// points to the commit. `build_timestamp` is the time of the commit, which keeps builds reproducible.
#[utoipa::path(
    get, path = "/api/version", tag = "service", operation_id = "version",
    responses((status = 200, description = "The version.", body = VersionInfo, example = json!({
        "version": "0.1.0", "git_hash": "0629e8a", "git_tag": "", "git_branch": "main", "git_dirty": false,
        "build_timestamp": "2026-03-19T10:00:00Z",
    }))),
)]
pub(crate) async fn version(State(app): State<App>) -> Json<VersionInfo> {
    let Commit { hash, tag, branch, dirty, seconds } = app.stack.commit();
    let committed = DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::UNIX_EPOCH);
    Json(VersionInfo {
        version: env!("CARGO_PKG_VERSION"),
        git_hash: hash,
        git_tag: tag,
        git_branch: branch,
        git_dirty: dirty,
        build_timestamp: committed.to_rfc3339_opts(SecondsFormat::Secs, true),
    })
}
