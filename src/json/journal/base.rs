//! The first lines of a journal: the flows before its first change, without documents.

use std::io::{self, Write};

use super::entry::{FlowVersion, Tombstone};
use super::line::{self, FORMAT, Header};
use crate::flow::FlowId;
use crate::json::state::State;

/// The state at the beginning of a journal.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) log: u64,
    /// The number of the last change before the journal.
    pub(crate) after: u64,
    /// The number of the last change in the history.
    pub(crate) kept: u64,
    /// The flows, and the marks of the runtime members that `flows.json` contains and has contained.
    pub(crate) flows: Vec<(FlowId, FlowVersion, Vec<u64>)>,
    pub(crate) tombstones: Vec<(FlowId, Tombstone)>,
}

impl Base {
    /// Builds the base of a journal that begins at this state. `read` returns the marks of a flow.
    pub(crate) fn of(state: &State, log: u64, after: u64, kept: u64, read: impl Fn(FlowId) -> Vec<u64>) -> Self {
        let with_marks = |id, version| (id, version, read(id));
        let flows = state.entries().map(|entry| with_marks(entry.stored.item.id(), entry.version()));
        let tombstones = state.deleted().iter().map(|(id, tombstone)| (*id, tombstone.clone()));
        Self { log, after, kept, flows: flows.collect(), tombstones: tombstones.collect() }
    }

    pub(crate) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let lines = (self.flows.len() + self.tombstones.len()) as u64;
        let mut text = Vec::new();
        let Self { log, after, kept, .. } = *self;
        let header = Header { strom: "journal".into(), format: FORMAT, log, after, kept, lines };
        line::print_header(&mut text, &header);
        out.write_all(&text)?;
        for (id, flow, read) in &self.flows {
            text.clear();
            line::print_base(&mut text, *id, flow, read);
            out.write_all(&text)?;
        }
        for (id, tombstone) in &self.tombstones {
            text.clear();
            line::print_tombstone(&mut text, *id, tombstone);
            out.write_all(&text)?;
        }
        Ok(())
    }
}
