//! What we know of the flows, and what the file says: which of the two is the truth about each.
//!
//! The file is the truth wherever somebody has edited it. Whether somebody has is told flow by flow, by content: one that
//! is as we wrote it, or as it was at any time since, was not edited. So a file that an older Strom has written anew, that
//! was sorted or that came back from a backup is taken for what it is.
//!
//! | the file | and since it was written | becomes |
//! |---|---|---|
//! | has the flow as we wrote it | nothing, or saves | what was saved last |
//! | has it otherwise | nothing | an update by `file` |
//! | has it otherwise | saves that it never had | the update by `file`, then again what was saved: both in the history |
//! | has one that we do not know | nothing, or a deletion | created by `file` |
//! | does not have it | nothing | deleted by `file` |
//! | does not have it | saves that it never had | what was saved: nothing acknowledged is lost |
//! | has it with other reports of an engine | nothing | that, without a record: nobody can tell when |

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::file::{Content, Found};
use super::state::{Deletion, Entry, Hash, Made, State};
use crate::flow::{Flow, FlowId};
use crate::repository::{Author, Operation, Revision, Stamp, Stored, Version};

/// What we know of a flow.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) version: Version,
    pub(super) hash: Hash,
    /// The document; `None` where the file alone has it.
    pub(super) flow: Option<Flow>,
}

/// What we know.
#[derive(Debug, Default)]
pub(super) struct Ours {
    pub(super) flows: HashMap<FlowId, Known>,
    pub(super) gone: HashMap<FlowId, Deletion>,
    /// The flows that have changed since the file was written, and what the file then had of them.
    pub(super) before: HashMap<FlowId, Option<Hash>>,
    /// The contents they have had since.
    pub(super) since: HashSet<(FlowId, Hash)>,
}

impl Ours {
    /// What we know while we run: all of the documents, and how the file is.
    pub(super) fn running(state: &State, written: &State) -> Self {
        let known = |entry: &Arc<Entry>| {
            let Stored { item, version } = entry.stored.clone();
            (item.id(), Known { version, hash: entry.hash, flow: Some(item) })
        };
        let mut before = HashMap::new();
        for entry in state.entries().chain(written.entries()) {
            let id = entry.stored.item.id();
            let (now, then) = (state.get(id), written.get(id));
            let revision = |entry: Option<&Arc<Entry>>| entry.map(|entry| entry.stored.version.revision);
            if revision(now) != revision(then) {
                before.insert(id, then.map(|entry| entry.hash));
            }
        }
        let gone = state.deleted().iter().map(|(id, deletion)| (*id, deletion.clone())).collect();
        Self { flows: state.entries().map(known).collect(), gone, before, since: HashSet::new() }
    }

    fn was_edited(&self, id: FlowId, hash: &Hash) -> bool {
        let written = match self.before.get(&id) {
            Some(before) => *before,
            None => self.flows.get(&id).map(|known| known.hash),
        };
        written != Some(*hash) && !self.since.contains(&(id, *hash))
    }

    /// The flows that the file no longer has and whose documents we do not have either.
    pub(super) fn taken_out(&self, content: &Content) -> HashSet<FlowId> {
        let there = content.ids();
        let missing = self.flows.iter().filter(|(id, known)| known.flow.is_none() && !there.contains(id));
        missing.map(|(id, _)| *id).collect()
    }
}

impl Content {
    /// The flows that stand in the file, readable or not.
    fn ids(&self) -> HashSet<FlowId> {
        let good = self.flows.iter().map(|found| found.flow.id());
        good.chain(self.quarantined.iter().filter_map(|bad| bad.id)).collect()
    }
}

/// What both together come to.
#[derive(Debug)]
pub(super) struct Reconciled {
    pub(super) state: State,
    /// The flows as they stand in the file; where that is not what the state has, under a revision that never was.
    pub(super) in_file: State,
    /// The changes that were found, in an order in which they can be made.
    pub(super) made: Vec<Made>,
    /// Flows that are gone, and no change can tell how.
    pub(super) gone: Vec<(FlowId, Deletion)>,
    /// What somebody should know.
    pub(super) reports: Vec<String>,
    /// What in the file is no flow, where and why.
    pub(super) quarantined: Vec<String>,
    /// Whether the file has just these flows.
    pub(super) is_written: bool,
}

/// `documents` has the documents that only history and journal have.
pub(super) fn reconcile(
    mut ours: Ours,
    content: Content,
    mut documents: HashMap<FlowId, Flow>,
    found: &Stamp,
) -> Reconciled {
    let there = content.ids();
    let Content { flows, members, quarantined } = content;
    let empty = State::new(members, Arc::clone(&quarantined));
    let mut result = Reconciled::new(empty.clone());
    result.quarantined =
        quarantined.iter().map(|bad| format!("{}; it stays in the file as it is", bad.problem)).collect();
    let all: Vec<_> = flows.iter().map(|in_file| (in_file.flow.clone(), in_file.hash, in_file.place)).collect();
    for in_file in flows {
        result.take(&mut ours, in_file, found);
    }
    for (id, known) in oldest_first(std::mem::take(&mut ours.flows)) {
        let is_saved_since = ours.before.contains_key(&id);
        let Known { version, hash, flow } = known;
        match flow.or_else(|| documents.remove(&id)) {
            Some(flow) if is_saved_since => {
                if ours.before[&id].is_some() && !there.contains(&id) {
                    result.reports.push(format!("{id} was taken out of the file, but had been saved since; it stays"));
                }
                result.is_written = false;
                result.state.insert_last(flow, version, hash);
            }
            // Somebody is correcting it; it is not deleted.
            _ if there.contains(&id) => {
                result.gone.push((id, Deletion::by(found, version.revision)));
            }
            Some(flow) => result.made.push(Made::deletion(&Stored { item: flow, version }, hash, found)),
            None => {
                result.reports.push(format!("{id} is no longer in the file, and its document is not in the history"));
                result.gone.push((id, Deletion::by(found, version.revision.next())));
            }
        }
    }
    result.forget(ours.gone);
    result.in_file = if result.is_written { result.state.clone() } else { in_file(empty, all, &result.state) };
    result
}

/// What becomes of the flows when there is no file: all of them are as they were saved last.
pub(super) fn without_file(ours: Ours, mut documents: HashMap<FlowId, Flow>, found: &Stamp) -> Reconciled {
    let Content { members, quarantined, .. } = Content::empty();
    let empty = State::new(members, quarantined);
    let mut result = Reconciled::new(empty.clone());
    result.in_file = empty;
    result.is_written = ours.flows.is_empty();
    let count = ours.flows.len();
    for (id, Known { version, hash, flow }) in oldest_first(ours.flows) {
        match flow.or_else(|| documents.remove(&id)) {
            Some(flow) => result.state.insert_last(flow, version, hash),
            None => {
                result.reports.push(format!("{id} was in the missing file only, and is lost"));
                result.gone.push((id, Deletion::by(found, version.revision.next())));
            }
        }
    }
    if count > 0 {
        result.reports.push(format!(
            "there is no file, or nothing in it; its {count} flows were put together from journal and history. To begin \
             without flows, stop Strom and move these away as well"
        ));
    }
    result.forget(ours.gone);
    result
}

/// Flows that have no place in the file, in the order in which they will get one.
fn oldest_first(flows: HashMap<FlowId, Known>) -> Vec<(FlowId, Known)> {
    let mut flows: Vec<_> = flows.into_iter().collect();
    flows.sort_by_key(|(_, known)| (known.version.created_at, known.version.updated_at));
    flows
}

/// The flows as they stand in the file.
fn in_file(mut in_file: State, flows: Vec<(Flow, Hash, u64)>, state: &State) -> State {
    for (flow, hash, place) in flows {
        match state.get(flow.id()).filter(|entry| entry.hash == hash) {
            Some(entry) => in_file.share(entry),
            None => {
                let never = Version {
                    revision: Revision::new(0),
                    created_at: DateTime::UNIX_EPOCH,
                    updated_at: DateTime::UNIX_EPOCH,
                    author: Author::file(),
                };
                in_file.insert(flow, never, hash, place);
            }
        }
    }
    in_file
}

impl Reconciled {
    fn new(state: State) -> Self {
        Self {
            in_file: state.clone(),
            state,
            made: Vec::new(),
            gone: Vec::new(),
            reports: Vec::new(),
            quarantined: Vec::new(),
            is_written: true,
        }
    }

    /// Remembers the last revisions of all that is not there.
    fn forget(&mut self, gone: HashMap<FlowId, Deletion>) {
        let deleted = self
            .made
            .iter()
            .filter(|made| made.facts.operation == Operation::Delete)
            .map(|made| (made.flow.id(), made.facts.deletion()));
        let all: Vec<_> = deleted.chain(self.gone.iter().cloned()).chain(gone).collect();
        for (id, deletion) in all {
            if self.state.get(id).is_none() && !self.state.deleted().contains_key(&id) {
                self.state.forget(id, deletion);
            }
        }
    }

    /// A flow that the file has.
    fn take(&mut self, ours: &mut Ours, in_file: Found, found: &Stamp) {
        let Found { flow, hash, place } = in_file;
        let id = flow.id();
        let was_edited = ours.was_edited(id, &hash);
        let Some(known) = ours.flows.remove(&id) else {
            if !was_edited && ours.before.contains_key(&id) {
                // Deleted since the file was written.
                self.is_written = false;
                return;
            }
            let revision = ours.gone.get(&id).map_or(Revision::FIRST, |deletion| deletion.revision.next());
            let made = Made::by(found, Operation::Create, revision, found.at, hash, flow);
            self.state.insert(made.flow.clone(), made.facts.version(), hash, place);
            self.made.push(made);
            return;
        };
        if !was_edited {
            let saved = known.flow.filter(|_| ours.before.contains_key(&id));
            self.is_written &= saved.is_none();
            self.state.insert(saved.unwrap_or(flow), known.version, known.hash, place);
            return;
        }
        let created_at = known.version.created_at;
        let update = Made::by(found, Operation::Update, known.version.revision.next(), created_at, hash, flow);
        let mut last = update.clone();
        self.made.push(update);
        if let Some(saved) = known.flow.filter(|_| ours.before.contains_key(&id)) {
            self.reports.push(format!(
                "{id} was edited in the file, and saved since the file was written; what was saved is there as revision \
                 {}, the edit as revision {} in its history",
                last.facts.revision.next(),
                last.facts.revision
            ));
            // The author of what was saved stays; that it was put back is told by the operation.
            let by = Stamp { at: found.at, author: known.version.author };
            last = Made::by(&by, Operation::Restore, last.facts.revision.next(), created_at, known.hash, saved);
            self.made.push(last.clone());
            self.is_written = false;
        }
        self.state.insert(last.flow.clone(), last.facts.version(), last.facts.hash, place);
    }
}

/// The changes that are found in a file are made by whoever wrote it, when it was written.
pub(super) fn found_at(at: DateTime<Utc>) -> Stamp {
    Stamp::new(at, Author::file())
}
