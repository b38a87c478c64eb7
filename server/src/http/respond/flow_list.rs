//! Responses with lists of flows, sent chunk by chunk.

use std::{iter, mem};

use axum::http::header;
use axum::response::{IntoResponse, Response};
use strom_store::flow::{Flow, Head};
use strom_store::repository::{Page, Stored};

use super::chunks::{self, MAX_CHUNK};
use super::memory_budget::Reservation;
use super::summary::Summary;
use super::validators::{ListHasher, Validators};

/// Returns `{"flows": […]}` with whole documents.
pub(crate) fn flows(page: Page<Stored<Flow>>, reservation: Reservation, validators: &Validators) -> Response {
    list(page, reservation, validators, |chunk, stored| {
        chunk.extend_from_slice(stored.item.document().get().as_bytes());
    })
}

/// Returns the validators of a list of documents.
pub(crate) fn flows_validators(page: &Page<Stored<Flow>>) -> Validators {
    validators(page, |hasher, stored| {
        hasher.add(stored.item.document().get().as_bytes());
        hasher.add_time(stored.version.updated_at);
    })
}

/// Returns the validators of a list of summaries.
pub(crate) fn summaries_validators(page: &Page<Stored<Head>>) -> Validators {
    validators(page, |hasher, stored| {
        hasher.add(&serde_json::to_vec(&Summary::of(stored)).expect("a summary becomes JSON"));
        hasher.add_time(stored.version.updated_at);
    })
}

fn validators<T>(page: &Page<T>, add: fn(&mut ListHasher, &T)) -> Validators {
    let mut hasher = ListHasher::default();
    page.items.iter().for_each(|item| add(&mut hasher, item));
    hasher.add(closing(page).as_bytes());
    hasher.finish()
}

/// Returns `{"flows": […]}` with summaries.
pub(crate) fn summaries(page: Page<Stored<Head>>, reservation: Reservation, validators: &Validators) -> Response {
    list(page, reservation, validators, |chunk, stored| {
        serde_json::to_writer(chunk, &Summary::of(stored)).expect("a summary becomes JSON, and memory takes it");
    })
}

/// Drops each item after writing it, so that the list is never in memory twice. Releases the reservation at the end.
fn list<T: Send + 'static>(
    page: Page<T>,
    reservation: Reservation,
    validators: &Validators,
    write: fn(&mut Vec<u8>, &T),
) -> Response {
    let mut opening = br#"{"flows":["#.to_vec();
    let mut closing = Some((closing(&page), reservation));
    let mut items = page.items.into_iter();
    let mut separator = "";
    let chunks = iter::from_fn(move || {
        closing.as_ref()?;
        let mut chunk = mem::take(&mut opening);
        while chunk.len() < MAX_CHUNK {
            let Some(item) = items.next() else {
                let (closing, _reservation) = closing.take()?;
                chunk.extend(closing.into_bytes());
                break;
            };
            chunk.extend_from_slice(mem::replace(&mut separator, ",").as_bytes());
            write(&mut chunk, &item);
        }
        Some(chunk.into())
    });
    (validators.headers(), [(header::CONTENT_TYPE, "application/json")], chunks::body(chunks)).into_response()
}

/// Returns the text after the last flow. A cursor is URL-safe text and needs no escapes.
fn closing<T>(page: &Page<T>) -> String {
    let next = page.next.as_ref().map(|cursor| format!(r#","next_cursor":"{cursor}""#)).unwrap_or_default();
    let total = page.total.map(|total| format!(r#","total":{total}"#)).unwrap_or_default();
    format!("]{next}{total}}}")
}
