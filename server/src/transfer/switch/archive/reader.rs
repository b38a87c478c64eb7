//! Reads and checks archives.

use std::io::{self, Read};
use std::sync::Arc;

use sha2::Digest;

use super::error::ArchiveError;
use super::format::{Contents, FORMAT, FirstLine, FlowLine, Origin};
use super::lines::Lines;
use crate::transfer::progress::Progress;
use crate::transfer::switch::hash::Hash;
use crate::transfer::switch::histories::{HistoryReader, parse_records};
use crate::transfer::switch::items::FlowReader;
use crate::transfer::switch::source::Switch;
use strom_store::flow::Flow;
use strom_store::repository::{FeedCursor, Stored};

impl Switch {
    /// Returns whether a file is an archive of any version, by its first line.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn is_archive(input: impl Read) -> io::Result<bool> {
        let first = Lines::of(input).and_then(|mut lines| {
            let first = lines.next()?.ok_or(ArchiveError::Foreign)?;
            let first: FirstLine<'_> = serde_json::from_str(first).map_err(|_| ArchiveError::Foreign)?;
            Ok(first.strom == "archive")
        });
        match first {
            Err(ArchiveError::Read(error)) => Err(error),
            first => Ok(first.unwrap_or(false)),
        }
    }

    /// Reads and checks a complete archive. Rejects an archive with any error.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub fn read_archive(
        input: impl Read,
        progress: Arc<dyn Progress>,
    ) -> Result<(Self, Origin, Contents), ArchiveError> {
        let mut lines = Lines::of(input)?;
        let first = lines.next()?.ok_or(ArchiveError::Foreign)?;
        let first: FirstLine<'_> = serde_json::from_str(first).map_err(|_| ArchiveError::Foreign)?;
        let origin = match (&*first.strom, first.format, first.origin) {
            ("archive", FORMAT, Some(origin)) => origin,
            ("archive", format, _) if format > FORMAT => return Err(ArchiveError::Newer(format)),
            _ => return Err(ArchiveError::Foreign),
        };
        let (mut flows, mut histories) = (FlowReader::begin()?, HistoryReader::begin()?);
        let contents = loop {
            let digest = lines.digest.clone();
            let number = lines.number + 1;
            let Some(line) = lines.next()? else { return Err(ArchiveError::Torn(number)) };
            if line.starts_with(r#"{"flows":"#)
                && let Ok(contents) = serde_json::from_str::<Contents>(line)
            {
                if Hash(digest.finalize().into()).to_string() != contents.sha256 {
                    return Err(ArchiveError::Checksum);
                }
                break contents;
            }
            let added = add_line(line, &mut flows, &mut histories);
            added.map_err(|problem| ArchiveError::Damaged { line: number, problem })?;
            progress.read(flows.count());
        };
        if lines.next()?.is_some() {
            let problem = "nothing comes behind the line that says how many flows there are".to_owned();
            return Err(ArchiveError::Damaged { line: lines.number, problem });
        }
        let all = flows.finish()?;
        let switch = Self {
            spool: all.spool,
            progress,
            items: all.items,
            histories: Some(Arc::new(histories.finish()?)),
            refused: Vec::new(),
            faults: Vec::new(),
            feed_end: FeedCursor::NOWHERE,
        };
        if (switch.items.len(), switch.deleted().len()) != (contents.flows, contents.deleted) {
            return Err(ArchiveError::Checksum);
        }
        Ok((switch, origin, contents))
    }
}

/// Adds the flow and the history of a line. Returns a description of the problem if the line is invalid.
fn add_line(line: &str, flows: &mut FlowReader, histories: &mut HistoryReader) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let line: FlowLine<'_> = serde_json::from_str(line).map_err(|error| text(&error))?;
    let records = line.history.map(|history| parse_records(history.get())).transpose().map_err(|error| text(&error))?;
    let current = match (line.flow, line.version) {
        (Some(flow), Some(version)) => {
            Some(Stored { item: Flow::parse(flow.get()).map_err(|error| text(&error))?, version: version.version() })
        }
        _ if line.deleted.is_some() && records.is_some() => None,
        _ => return Err("neither a flow nor the history of a deleted flow".to_owned()),
    };
    if let Some(stored) = &current {
        flows.add(stored).map_err(|error| text(&error))?;
    }
    histories.add(current, records.unwrap_or_default()).map_err(|error| text(&error))?;
    let refused = flows.refused().iter().chain(&histories.refused).next();
    refused.map_or(Ok(()), |obstacle| Err(obstacle.reason.clone()))
}
