//! Finds what an editor has changed in the file. Reads the log, so it runs while saves continue.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::base::{Base, FileVersions};
use super::timeline::Timeline;
use crate::flow::{Flow, FlowId};
use crate::json::file::{Content, FileFlow, Member, Quarantined};
use crate::json::history::Log;
use crate::json::journal::Hash;
use crate::json::state::State;

/// The edits in a file.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) members: Arc<[Member]>,
    pub(crate) quarantined: Arc<[Quarantined]>,
    /// All flows in the file.
    pub(crate) flows: Vec<FileFlow>,
    pub(crate) edits: Vec<Edit>,
    /// Flows that an editor has removed or made invalid, and their version in the base.
    pub(crate) removed: Vec<(FlowId, Option<Hash>)>,
    /// The number of flows that are newer than the file, although the file was written later.
    pub(crate) outdated: usize,
}

/// An edited flow.
#[derive(Debug)]
pub(crate) struct Edit {
    /// The index in the list of flows.
    pub(crate) index: usize,
    /// Whether more than runtime members was edited.
    pub(crate) is_content: bool,
    /// The version that was edited, and its document if known. `None` if the editor has added the flow.
    pub(crate) base: Option<(Hash, Option<Flow>)>,
    /// The marks of the runtime members that the editor may have read.
    pub(crate) read: HashSet<u64>,
}

/// What a comparison is based on.
pub(crate) struct Knowledge<'a> {
    pub(crate) state: &'a State,
    pub(crate) log: &'a Log,
    pub(crate) versions: &'a FileVersions,
    /// Flows whose current document is unknown. The state has that of the file instead.
    pub(crate) unknown: &'a HashSet<FlowId>,
    /// Returns the marks of the runtime members of a flow that the file has contained, as far as the log lacks them.
    pub(crate) read: &'a dyn Fn(FlowId) -> HashSet<u64>,
}

/// Finds the edits in a file.
pub(crate) fn compare(content: Content, known: &Knowledge<'_>) -> Comparison {
    let state = known.state;
    let ids = content.ids();
    let Content { mut flows, members, quarantined } = content;
    let mut different = Vec::new();
    for (index, found) in flows.iter_mut().enumerate() {
        match state.get(found.flow.id()) {
            // One copy of the document is enough.
            Some(entry) if entry.hash == found.hash && entry.has_text_of(&found.flow) => {
                found.flow = entry.stored.item.clone();
            }
            _ => different.push(index),
        }
    }
    let is_invalid = |id: &FlowId| ids.contains(id);
    let in_file: HashMap<_, _> = flows.iter().map(|found| (found.flow.id(), found.hash)).collect();
    let missing: Vec<_> = state.ids().filter(|id| !in_file.contains_key(id)).collect();
    let mut result = Comparison { members, quarantined, flows, edits: Vec::new(), removed: Vec::new(), outdated: 0 };
    if different.is_empty() && missing.is_empty() {
        return result;
    }
    let changed: HashSet<_> = different.iter().map(|index| result.flows[*index].flow.id()).collect();
    let written = known.versions.written;
    let timeline = Timeline::read(known.log, written, &changed).unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot read the log; an edit of an earlier version of the file is not recognised");
        Timeline::default()
    });
    let unclear = ids.iter().filter(|id| !in_file.contains_key(id)).copied().collect();
    let base = Base::find(&timeline, state, &in_file, &unclear, known.versions);
    let is_outdated = base.seq() < written;
    for index in different {
        let FileFlow { flow, hash, .. } = &result.flows[index];
        let id = flow.id();
        // The editor may have added the flow before.
        let version = || base.version(id).or_else(|| timeline.edited_after(id, base.seq()).next());
        let version = if known.unknown.contains(&id) { state.hash(id) } else { version() };
        let is_content = version != Some(*hash)
            && (known.unknown.contains(&id)
                || known.versions.is_only_last
                || !timeline.is_outdated(id, *hash, base.seq()));
        if !is_content && state.hash(id) != Some(*hash) && (is_outdated || version != Some(*hash)) {
            result.outdated += 1;
        }
        let mut read = timeline.runtime_of(id);
        read.extend((known.read)(id));
        if is_content || has_edited_runtime(state, flow, &read) {
            result.edits.push(Edit { index, is_content, base: version.map(|version| (version, None)), read });
        }
    }
    for id in missing {
        match base.version(id) {
            None if !is_invalid(&id) => result.outdated += usize::from(is_outdated),
            // A client has restored the flow that the editor had removed before.
            Some(version) if state.hash(id) == Some(version) && timeline.is_saved_after(id, base.seq()) => {
                result.outdated += 1;
            }
            version => result.removed.push((id, version)),
        }
    }
    add_documents(&mut result, &base, known);
    result
}

fn has_edited_runtime(state: &State, flow: &Flow, read: &HashSet<u64>) -> bool {
    let Some(now) = state.get(flow.id()) else { return false };
    let (Ok(now), Ok(marks)) = (now.stored.item.runtime_marks(), flow.runtime_marks()) else { return false };
    marks.iter().any(|mark| !now.contains(mark) && !read.contains(mark))
}

/// Adds the documents that merges need. If an edit may have started from several versions of a flow, chooses the one that
/// is closest to it.
fn add_documents(comparison: &mut Comparison, base: &Base<'_>, known: &Knowledge<'_>) {
    let Comparison { flows, edits, .. } = comparison;
    let edits: Vec<_> = edits.iter_mut().filter(|edit| edit.is_content && edit.base.is_some()).collect();
    let mut wanted = HashSet::new();
    let mut choices = Vec::new();
    for edit in &edits {
        let id = flows[edit.index].flow.id();
        let mut versions = if known.unknown.contains(&id) { Vec::new() } else { base.versions(id) };
        if let Some((version, _)) = edit.base.as_ref().filter(|_| versions.is_empty()) {
            versions.push(*version);
        }
        let now = known.state.hash(id);
        wanted.extend(versions.iter().filter(|version| Some(**version) != now).map(|version| (id, *version)));
        choices.push(versions);
    }
    let documents = known.log.versions(&wanted).unwrap_or_default();
    for (edit, versions) in edits.into_iter().zip(choices) {
        let edited = &flows[edit.index].flow;
        let id = edited.id();
        let document = |hash: Hash| match known.state.get(id).filter(|entry| entry.hash == hash) {
            Some(entry) if !known.unknown.contains(&id) => Some(entry.stored.item.clone()),
            _ => {
                let mut edited = known.versions.edited.iter().filter_map(|(_, edited)| edited.get(id));
                let edited = edited.find(|entry| entry.hash == hash).map(|entry| entry.stored.item.clone());
                edited.or_else(|| documents.get(&(id, hash)).cloned())
            }
        };
        let distance = |hash: &Hash| {
            let difference = document(*hash).and_then(|document| document.difference(edited).ok());
            difference.map_or(usize::MAX, |difference| difference.changes.len() + difference.more)
        };
        // The newest one comes first, and wins if several are equally close.
        let closest =
            if versions.len() > 1 { versions.into_iter().min_by_key(distance) } else { versions.into_iter().next() };
        if let Some(hash) = closest {
            edit.base = Some((hash, document(hash)));
        }
    }
}
