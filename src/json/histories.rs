//! All histories, flow after flow: the log is in the order of the changes, so where each revision stands is found first.

use std::ops::ControlFlow;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tokio::task::spawn_blocking;

use super::broken_off;
use super::line::{self, Line};
use super::log::{Log, unreadable};
use crate::flow::{Flow, FlowId};
use crate::repository::{Operation, Record, RepositoryError, Result, Revision};

/// How many records are read at once, and how many bytes of them at most, one apart.
const CHUNK: usize = 256;
const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// Where a revision stands.
struct Place {
    id: FlowId,
    revision: Revision,
    is_in_journal: bool,
    offset: u64,
    length: usize,
}

/// Every revision of every flow: by flow, then ascending. Takes some 50 bytes of memory for each.
pub(super) fn stream(log: Log) -> BoxStream<'static, Result<Record<Flow>>> {
    let found = async move {
        let found = spawn_blocking(move || Ok((places(&log)?, log))).await.unwrap_or_else(broken_off)?;
        Ok::<_, RepositoryError>(stream::try_unfold(found, |(mut places, log)| async move {
            if places.is_empty() {
                return Ok(None);
            }
            let taking = spawn_blocking(move || {
                let records = take(&log, &mut places)?;
                Ok(Some((stream::iter(records).map(Ok), (places, log))))
            });
            taking.await.unwrap_or_else(broken_off)
        }))
    };
    stream::once(found).try_flatten().try_flatten().boxed()
}

/// The last one first.
fn places(log: &Log) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    log.each_place(|is_in_journal, offset, text| {
        if let Some(Line::Change(change)) = line::parse(text)
            && change.facts.operation != Operation::State
        {
            let (id, revision) = (change.id, change.facts.revision);
            places.push(Place { id, revision, is_in_journal, offset, length: text.len() });
        }
        Ok(ControlFlow::Continue(()))
    })?;
    places.sort_by_key(|place| std::cmp::Reverse((place.id, place.revision)));
    Ok(places)
}

/// Reads the next ones, at least one.
fn take(log: &Log, places: &mut Vec<Place>) -> Result<Vec<Record<Flow>>> {
    let mut records = Vec::new();
    let mut bytes = 0;
    while let Some(place) = places.pop_if(|next| records.is_empty() || bytes + next.length <= CHUNK_BYTES) {
        bytes += place.length;
        let segment = if place.is_in_journal { &log.journal } else { &log.history };
        let Some(segment) = segment else { continue };
        let text = segment.read(place.offset, place.length).map_err(unreadable)?;
        let Some(Line::Change(change)) = line::parse(&text) else {
            return Err(unreadable(std::io::Error::other(format!("revision {} of {}", place.revision, place.id))));
        };
        records.push(log.record(change)?);
        if records.len() == CHUNK {
            break;
        }
    }
    Ok(records)
}
