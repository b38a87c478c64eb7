//! Flows on their way out. Documents are copied as they are stored, never parsed again.

use std::{iter, mem};

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::condition;
use super::merge::Merge;
use super::openapi::schemas;
use super::pieces::{self, PIECE};
use super::room::Place;
use super::saved::Warned;
use crate::flow::{Flow, FlowId, GstState, Head};
use crate::repository::{Page, Revision, Stored};

/// Flows may hold passphrases and are for those who asked; who keeps them asks whether they are still true.
const CACHE_CONTROL: &str = "private, no-cache";

/// Of answers that are true for a moment.
pub(super) const NO_STORE: (HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

/// Whether the client would rather have this type than JSON, or as much (RFC 9110, section 12.5.1). It has to be named:
/// who takes anything gets JSON.
pub(super) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let fields = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<_> = fields.flat_map(|field| field.split(',')).map(weighed).collect();
    let weight = |wanted: &str| {
        let named = ranges.iter().filter(|(range, _)| range.eq_ignore_ascii_case(wanted));
        named.map(|(_, weight)| *weight).max().unwrap_or(0)
    };
    weight(media_type) > 0 && weight(media_type) >= weight("application/json")
}

/// A media range, and its weight in thousandths; 0 is "not this one". A weight that is none counts as that too, so that
/// nobody is sent a stream by mistake.
fn weighed(range: &str) -> (&str, u16) {
    let mut parts = range.split(';').map(str::trim);
    let range = parts.next().unwrap_or_default();
    let mut parameters = parts.filter_map(|parameter| parameter.split_once('='));
    let weight = match parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("q")) {
        Some((_, weight)) => weight.trim().parse().ok().filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(0.0),
        None => 1.0,
    };
    (range, (weight * 1_000.0) as u16)
}

/// `{"flow": …}` with its entity tag.
pub(super) fn flow(status: StatusCode, flow: &Flow, revision: Revision) -> Response {
    flow_with(status, flow, revision, &[], None)
}

/// The same, with `warnings` where there are any, and `merge` where something was merged.
pub(super) fn flow_with(
    status: StatusCode,
    flow: &Flow,
    revision: Revision,
    warnings: &[Warned],
    merge: Option<&Merge>,
) -> Response {
    let mut body = format!(r#"{{"flow":{}"#, flow.document().get());
    if !warnings.is_empty() {
        let warnings = serde_json::to_string(warnings).expect("strings become JSON");
        body.push_str(&format!(r#","warnings":{warnings}"#));
    }
    if let Some(merge) = merge {
        let merge = serde_json::to_string(merge).expect("strings and numbers become JSON");
        body.push_str(&format!(r#","merge":{merge}"#));
    }
    body.push('}');
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, CACHE_CONTROL)];
    (status, headers, [(header::ETAG, condition::etag(revision))], body).into_response()
}

/// 304: the client has this revision.
pub(super) fn not_modified(revision: Revision) -> Response {
    let cache = [(header::CACHE_CONTROL, CACHE_CONTROL)];
    (StatusCode::NOT_MODIFIED, cache, [(header::ETAG, condition::etag(revision))]).into_response()
}

/// `{"flows": […]}` with whole documents.
pub(super) fn flows(page: Page<Stored<Flow>>, place: Place) -> Response {
    list(page, place, |piece, stored| piece.extend_from_slice(stored.item.document().get().as_bytes()))
}

/// `{"flows": […]}` with summaries.
pub(super) fn summaries(page: Page<Stored<Head>>, place: Place) -> Response {
    list(page, place, |piece, stored| {
        serde_json::to_writer(piece, &Summary::of(stored)).expect("a summary becomes JSON, and memory takes it");
    })
}

/// What is known of a flow without its document, as lists show it with `view=summary`. For writing it as JSON.
#[derive(Serialize, ToSchema)]
pub struct Summary<'a> {
    #[schema(value_type = Uuid)]
    id: FlowId,
    name: &'a str,
    #[schema(value_type = schemas::GstState)]
    state: GstState,
    auto_restart: bool,
    revision: u64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    size: u64,
    elements: u32,
    blocks: u32,
    links: u32,
}

impl<'a> Summary<'a> {
    /// What is known of this flow.
    pub fn of(Stored { item: head, version }: &'a Stored<Head>) -> Self {
        Self {
            id: head.id,
            name: &head.name,
            state: head.state,
            auto_restart: head.auto_restart,
            revision: version.revision.number(),
            created_at: version.created_at,
            updated_at: version.updated_at,
            size: head.size,
            elements: head.elements,
            blocks: head.blocks,
            links: head.links,
        }
    }
}

/// Sends the list piece by piece, letting go of each flow behind it: never the list twice in memory.
fn list<T: Send + 'static>(page: Page<T>, place: Place, write: fn(&mut Vec<u8>, &T)) -> Response {
    let mut opening = br#"{"flows":["#.to_vec();
    let mut closing = Some((closing(&page), place));
    let mut items = page.items.into_iter();
    let mut separator = "";
    let pieces = iter::from_fn(move || {
        closing.as_ref()?;
        let mut piece = mem::take(&mut opening);
        while piece.len() < PIECE {
            let Some(item) = items.next() else {
                let (closing, _place) = closing.take()?;
                piece.extend(closing.into_bytes());
                break;
            };
            piece.extend_from_slice(mem::replace(&mut separator, ",").as_bytes());
            write(&mut piece, &item);
        }
        Some(piece.into())
    });
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, CACHE_CONTROL)];
    (headers, pieces::body(pieces)).into_response()
}

/// What follows the last flow. A cursor is URL-safe text and needs no escapes.
fn closing<T>(page: &Page<T>) -> String {
    let next = page.next.as_ref().map(|cursor| format!(r#","next_cursor":"{cursor}""#)).unwrap_or_default();
    let total = page.total.map(|total| format!(r#","total":{total}"#)).unwrap_or_default();
    format!("]{next}{total}}}")
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, header};

    use super::accepts;

    #[test]
    fn a_type_is_wanted_by_its_name_and_as_much_as_json() {
        let events = "text/event-stream";
        for (fields, wanted) in [
            (&[events] as &[&str], true),
            (&["Text/Event-Stream"], true),
            (&["text/event-stream;q=0.1, */*"], true),
            (&["application/json, text/event-stream"], true),
            (&["application/json;q=0.5", "text/event-stream ; Q=0.5"], true),
            (&["text/event-stream;charset=utf-8;q=1.000"], true),
            (&[], false),
            (&["*/*"], false),
            (&["text/*"], false),
            (&["text/event-stream;q=0"], false),
            (&["text/event-stream;q=0.000, */*"], false),
            (&["text/event-stream;q=2"], false),
            (&["text/event-stream;q=NaN"], false),
            (&["text/event-streams"], false),
            (&["text/event-stream;q=0.4, application/json;q=0.5"], false),
        ] {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(header::ACCEPT, field.parse().unwrap());
            }
            assert_eq!(accepts(&headers, events), wanted, "{fields:?}");
        }
    }
}
