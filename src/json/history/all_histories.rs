//! Streams all histories, flow by flow. The log is in the order of the changes, so the first pass finds the location
//! of each revision.

use std::ops::ControlFlow;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use super::log::{Log, unreadable};
use crate::flow::{Flow, FlowId};
use crate::json::blocking::blocking;
use crate::json::journal::line::{self, Line};
use crate::repository::{Operation, Record, RepositoryError, Result, Revision};

/// The maximum number of records per read, and their maximum size unless one record is larger.
const CHUNK: usize = 256;
const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// The location of a revision in the log.
struct LineLocation {
    id: FlowId,
    revision: Revision,
    is_in_journal: bool,
    offset: u64,
    length: usize,
}

/// Streams every revision of every flow, ordered by flow and revision. Needs about 50 bytes of memory per revision.
pub(crate) fn stream(log: Log) -> BoxStream<'static, Result<Record<Flow>>> {
    let found = async move {
        let found = blocking(move || Ok((locations(&log)?, log))).await?;
        Ok::<_, RepositoryError>(stream::try_unfold(found, |(mut locations, log)| async move {
            if locations.is_empty() {
                return Ok(None);
            }
            let taking = blocking(move || {
                let records = read_chunk(&log, &mut locations)?;
                Ok(Some((stream::iter(records).map(Ok), (locations, log))))
            });
            taking.await
        }))
    };
    stream::once(found).try_flatten().try_flatten().boxed()
}

/// Returns the locations of all revisions, the last one first.
fn locations(log: &Log) -> Result<Vec<LineLocation>> {
    let mut locations = Vec::new();
    log.each_location(|is_in_journal, offset, text| {
        if let Some(Line::Change(change)) = line::parse(text)
            && change.meta.operation != Operation::State
        {
            let (id, revision) = (change.id, change.meta.revision);
            locations.push(LineLocation { id, revision, is_in_journal, offset, length: text.len() });
        }
        Ok(ControlFlow::Continue(()))
    })?;
    locations.sort_by_key(|location| std::cmp::Reverse((location.id, location.revision)));
    Ok(locations)
}

/// Reads the next records, at least one.
fn read_chunk(log: &Log, locations: &mut Vec<LineLocation>) -> Result<Vec<Record<Flow>>> {
    let mut records = Vec::new();
    let mut bytes = 0;
    while let Some(location) = locations.pop_if(|next| records.is_empty() || bytes + next.length <= CHUNK_BYTES) {
        bytes += location.length;
        let segment = if location.is_in_journal { &log.journal } else { &log.history };
        let Some(segment) = segment else { continue };
        let text = segment.read(location.offset, location.length).map_err(unreadable)?;
        let Some(Line::Change(change)) = line::parse(&text) else {
            return Err(unreadable(std::io::Error::other(format!(
                "revision {} of {}",
                location.revision, location.id
            ))));
        };
        records.push(log.record(change)?);
        if records.len() == CHUNK {
            break;
        }
    }
    Ok(records)
}
