//! `ETag` and `Last-Modified` of lists.
//!
//! The tag is a hash of the body: a list also changes when a flow is deleted, stops matching a filter or is reported on, which no
//! revision shows. For the same reason the server returns 304 for `If-None-Match` only. The latest modification in a list may be
//! earlier than before, so `If-Modified-Since` would hide deletions; `Last-Modified` is for people.

use std::hash::{DefaultHasher, Hasher};

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::cache::PRIVATE_NO_CACHE;
use super::problem::Problem;
use crate::http::extract::entity_tag;

/// The validators of a list.
#[derive(Debug, Clone)]
pub(crate) struct Validators {
    opaque: String,
    modified: Option<DateTime<Utc>>,
}

/// Collects the parts of a list.
#[derive(Debug, Default)]
pub(crate) struct ListHasher {
    hasher: DefaultHasher,
    modified: Option<DateTime<Utc>>,
}

impl ListHasher {
    pub(crate) fn add(&mut self, part: &[u8]) {
        self.hasher.write(part);
        self.hasher.write_usize(part.len());
    }

    /// Adds the time of an item.
    pub(crate) fn add_time(&mut self, at: DateTime<Utc>) {
        self.modified = self.modified.max(Some(at));
    }

    pub(crate) fn finish(self) -> Validators {
        Validators { opaque: format!("list-{:016x}", self.hasher.finish()), modified: self.modified }
    }
}

impl Validators {
    /// Returns 304 if the client has this list.
    pub(crate) fn not_modified(&self, headers: &HeaderMap) -> Result<Option<Response>, Problem> {
        let is_known = entity_tag::client_has_tag(headers, &self.opaque)?;
        Ok(is_known.then(|| (StatusCode::NOT_MODIFIED, self.headers()).into_response()))
    }

    /// Returns the headers of the list.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let (cache_control, policy) = PRIVATE_NO_CACHE;
        headers.insert(cache_control, HeaderValue::from_static(policy));
        let tag = HeaderValue::try_from(format!("\"{}\"", self.opaque));
        headers.insert(header::ETAG, tag.expect("hexadecimal digits in quotes are a header value"));
        // RFC 9110, section 5.6.7.
        let modified = self.modified.map(|at| at.format("%a, %d %b %Y %H:%M:%S GMT").to_string());
        if let Some(modified) = modified.and_then(|modified| HeaderValue::try_from(modified).ok()) {
            headers.insert(header::LAST_MODIFIED, modified);
        }
        headers
    }
}

/// Returns a short list as JSON, or 304.
pub(crate) fn json_list(
    headers: &HeaderMap,
    list: &impl Serialize,
    times: impl IntoIterator<Item = DateTime<Utc>>,
) -> Result<Response, Problem> {
    let body = Bytes::from(serde_json::to_vec(list).expect("strings and numbers become JSON"));
    let mut hasher = ListHasher::default();
    hasher.add(&body);
    times.into_iter().for_each(|at| hasher.add_time(at));
    let validators = hasher.finish();
    Ok(match validators.not_modified(headers)? {
        Some(response) => response,
        None => (validators.headers(), [(header::CONTENT_TYPE, "application/json")], body).into_response(),
    })
}
