//! The knowledge of journal and history about the flows, independently of the file.

use std::collections::{HashMap, HashSet};

use crate::flow::{Flow, FlowId};
use crate::json::file::Content;
use crate::json::journal::{FlowVersion, Tombstone};
use crate::json::state::State;
use crate::repository::Version;

/// The knowledge of journal and history about a flow.
#[derive(Debug, Clone)]
pub(crate) struct KnownFlow {
    pub(crate) known: FlowVersion,
    /// The document. `None` if the flow has not changed since the last checkpoint.
    pub(crate) flow: Option<Flow>,
}

/// The knowledge of journal and history about all flows.
#[derive(Debug, Default)]
pub(crate) struct KnownFlows {
    pub(crate) flows: HashMap<FlowId, KnownFlow>,
    pub(crate) tombstones: HashMap<FlowId, Tombstone>,
    /// The last change before the journal. Only `flows.json` contains the reports up to it.
    pub(crate) after: u64,
}

impl KnownFlows {
    /// Returns the flows whose current documents only the log contains, because the file was edited. If the file may be
    /// based on an earlier version, these may be all flows: their reports may be outdated as well.
    pub(crate) fn edited(&self, content: &Content, may_be_outdated: bool) -> HashSet<FlowId> {
        let in_file: HashMap<_, _> = content.flows.iter().map(|found| (found.flow.id(), found.hash)).collect();
        let unchanged = self.flows.iter().filter(|(_, known)| known.flow.is_none());
        let edited: HashSet<_> = unchanged
            .clone()
            .filter(|(id, known)| in_file.get(*id) != Some(&known.known.hash))
            .map(|(id, _)| *id)
            .collect();
        if may_be_outdated && !edited.is_empty() { unchanged.map(|(id, _)| *id).collect() } else { edited }
    }

    /// Builds the state before the edits of the file. `documents` contains documents of the log.
    pub(crate) fn into_state(self, content: &Content, mut documents: HashMap<FlowId, Flow>) -> BeforeEdit {
        let mut in_file: HashMap<_, _> = content.flows.iter().map(|found| (found.flow.id(), found)).collect();
        let state = State::new(content.members.clone(), content.quarantined.clone());
        let mut result = BeforeEdit { state, unknown: HashSet::new(), lost: Vec::new() };
        let mut without_position = Vec::new();
        for (id, KnownFlow { known, flow }) in self.flows {
            let found = in_file.remove(&id);
            let from_log = documents.remove(&id).and_then(|flow| flow.checked().ok());
            let from_log = from_log.filter(|(_, hash)| *hash == known.hash).map(|(flow, _)| flow);
            let is_report_in_file = known.report.as_ref().is_some_and(|report| report.seq <= self.after);
            let from_log = match found.filter(|_| is_report_in_file) {
                Some(found) => from_log.and_then(|flow| flow.with_runtime_of(&found.flow).ok()),
                None => from_log,
            };
            let from_file = found.filter(|found| found.hash == known.hash).map(|found| found.flow.clone());
            match (flow.or(from_log).or(from_file), found) {
                (Some(flow), Some(found)) => result.state.insert_known(flow, known, found.position),
                (Some(flow), None) => without_position.push((flow, known)),
                (None, Some(found)) => {
                    result.unknown.insert(id);
                    result.state.insert_known(found.flow.clone(), known, found.position);
                }
                (None, None) => result.lost.push((id, known.version)),
            }
        }
        without_position.sort_by_key(|(_, known)| (known.version.created_at, known.version.updated_at));
        for (flow, known) in without_position {
            result.state.insert_known_last(flow, known);
        }
        for (id, tombstone) in self.tombstones {
            result.state.insert_tombstone(id, tombstone);
        }
        result
    }
}

/// The flows before the edits of the file.
#[derive(Debug)]
pub(crate) struct BeforeEdit {
    pub(crate) state: State,
    /// Flows whose document is unknown. The state has that of the edited file instead.
    pub(crate) unknown: HashSet<FlowId>,
    /// Flows whose document is unknown and that the file lacks as well.
    pub(crate) lost: Vec<(FlowId, Version)>,
}
