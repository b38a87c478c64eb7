//! Computes the current flows from the changes in history and journal.

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;

use super::known::{KnownFlow, KnownFlows};
use crate::flow::{Flow, FlowId};
use crate::json::journal::line::{self, Line};
use crate::json::journal::{FlowVersion, Replay, ReplayEvent, Segment, Tombstone};
use crate::repository::Operation;

pub(crate) type Versions = (HashMap<FlowId, FlowVersion>, HashMap<FlowId, Tombstone>);

/// Computes the flows from the history alone.
pub(crate) fn fold_history(segment: &Segment) -> io::Result<Versions> {
    let (mut flows, mut tombstones) = Versions::default();
    segment.each_line(0, |_, text, _| {
        if let Some(Line::Change(change)) = line::parse(text) {
            let (id, meta) = (change.id, change.meta);
            match meta.operation {
                Operation::State => {}
                Operation::Delete => {
                    flows.remove(&id);
                    tombstones.insert(id, meta.tombstone());
                }
                Operation::Create | Operation::Update | Operation::Restore => {
                    tombstones.remove(&id);
                    flows.insert(id, FlowVersion { version: meta.version(), hash: meta.hash, report: None });
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((flows, tombstones))
}

/// Computes the flows from the journal, and their contents since the last checkpoint.
pub(crate) fn fold(replay: &mut Replay, lines: &Segment) -> io::Result<KnownFlows> {
    let flows = replay.flows.drain().map(|(id, known)| (id, KnownFlow { known, flow: None }));
    let after = replay.header.as_ref().map_or(0, |header| header.after);
    let tombstones = replay.tombstones.drain().collect();
    let mut known_flows = KnownFlows { flows: flows.collect(), tombstones, after };
    let mut documents = HashMap::new();
    for event in &replay.events {
        match event {
            ReplayEvent::Tombstone(id, tombstone) => {
                known_flows.flows.remove(id);
                known_flows.tombstones.insert(*id, tombstone.clone());
            }
            ReplayEvent::Changed(replayed) => {
                let id = replayed.id;
                if replayed.seq > replay.file {
                    documents.insert(id, (replayed.offset, replayed.length));
                }
                if replayed.meta.operation == Operation::Delete {
                    known_flows.flows.remove(&id);
                    known_flows.tombstones.insert(id, replayed.meta.tombstone());
                    continue;
                }
                known_flows.tombstones.remove(&id);
                let version = match known_flows.flows.remove(&id) {
                    Some(before) if replayed.meta.operation == Operation::State => before.known.version,
                    _ => replayed.meta.version(),
                };
                let (hash, report) = (replayed.meta.hash, replayed.meta.report(replayed.seq));
                let known = FlowVersion { version, hash, report };
                known_flows.flows.insert(id, KnownFlow { known, flow: None });
            }
        }
    }
    for (id, (offset, length)) in documents {
        if let Some(known) = known_flows.flows.get_mut(&id) {
            known.flow = Some(document(&lines.read(offset, length)?)?);
        }
    }
    Ok(known_flows)
}

pub(crate) fn document(text: &[u8]) -> io::Result<Flow> {
    let Some(Line::Change(change)) = line::parse(text) else { return Err(io::ErrorKind::InvalidData.into()) };
    Flow::parse(change.flow.get()).map_err(io::Error::other)
}
