//! Applies the edits of the file to the current flows.
//!
//! An edit is a three-way merge of the base, which the editor has read, the edited file, and the current flows. The
//! content and the runtime members of a flow are merged separately. So this works for a file that was sorted, rewritten
//! by an older version, or read long before it was written.
//!
//! | the file, compared with its base | since the base | result |
//! |---|---|---|
//! | contains the flow unchanged | any | the current flow |
//! | contains another content | no save | an update by `file` |
//! | contains another content | a save of other parts | an update by `file` that contains both |
//! | contains another content | a save of the same parts, or a deletion | the edit, then the save or deletion again, both in the history |
//! | contains a new flow | none | created by `file` |
//! | lacks the flow | no save | deleted by `file` |
//! | lacks the flow | a save, or the creation of the flow | the current flow: no acknowledged save is lost |
//! | contains other runtime members | no report | these, as a report by `file` |
//! | contains other runtime members | a report | those of the report |

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::compare::{Comparison, Edit};
use super::known::{KnownFlow, KnownFlows};
use crate::flow::{Flow, FlowId, Refusal};
use crate::json::file::{Content, FileFlow};
use crate::json::journal::{Hash, JournalEntry, Tombstone};
use crate::json::state::{FlowEntry, State};
use crate::repository::{Author, Operation, Revision, Stamp, Stored, Version};

/// An edit that deletes this many flows is reported, and one that deletes most flows.
const MANY: usize = 10;

/// The result of a comparison.
#[derive(Debug)]
pub(crate) struct Reconciled {
    pub(crate) state: State,
    /// The flows in the file.
    pub(crate) in_file: State,
    /// The changes that were found, in a valid order.
    pub(crate) entries: Vec<JournalEntry>,
    /// Tombstones of flows that no change deletes.
    pub(crate) tombstones: Vec<(FlowId, Tombstone)>,
    /// Messages for the operator.
    pub(crate) reports: Vec<String>,
    /// Quarantined values: their path and the reason.
    pub(crate) quarantined: Vec<String>,
    /// Whether the file contains exactly the flows of the state.
    pub(crate) is_written: bool,
}

/// Applies the edits to the current flows.
pub(crate) fn reconcile(now: &State, comparison: Comparison, stamp: &Stamp) -> Reconciled {
    let Comparison { members, quarantined, flows, edits, removed, outdated } = comparison;
    if outdated > 0 {
        tracing::warn!(
            "the edited file is based on an earlier version; {outdated} flows were changed, created or deleted since \
             then and remain as they are"
        );
    }
    let invalid: HashSet<_> = quarantined.iter().filter_map(|bad| bad.id).collect();
    let mut result = Reconciled::new(
        now.in_file_with(members.clone(), quarantined.clone()),
        in_file(State::new(members, quarantined.clone()), &flows, now),
    );
    result.quarantined =
        quarantined.iter().map(|bad| format!("{}; it remains in the file unchanged", bad.problem)).collect();
    for edit in &edits {
        result.edit(&flows[edit.index], edit, stamp);
    }
    let count = result.remove(removed, &invalid, stamp);
    if count >= MANY || count * 2 > now.len() {
        result.reports.push(format!(
            "an edit of the file has deleted {count} of {} flows. To restore them, stop Strom and run `strom undo-edit`",
            now.len()
        ));
    }
    result.arrange(&flows);
    result.is_written = result.state.len() == flows.len() && flows.iter().all(|found| result.contains(found));
    if result.is_written {
        result.in_file = result.state.clone();
    }
    result
}

/// Restores all flows as last saved, for a store without a file.
pub(crate) fn without_file(known_flows: KnownFlows, mut documents: HashMap<FlowId, Flow>, stamp: &Stamp) -> Reconciled {
    let Content { members, quarantined, .. } = Content::empty();
    let empty = State::new(members, quarantined);
    let mut result = Reconciled::new(empty.clone(), empty);
    result.is_written = known_flows.flows.is_empty();
    let count = known_flows.flows.len();
    for (id, tombstone) in known_flows.tombstones {
        result.state.insert_tombstone(id, tombstone);
    }
    for (id, KnownFlow { known, flow }) in oldest_first(known_flows.flows) {
        match flow.or_else(|| documents.remove(&id)) {
            Some(flow) => result.state.insert_known_last(flow, known),
            None => {
                result.reports.push(format!("{id} was only in the missing file and is lost"));
                result.bury(id, Tombstone::by(stamp, known.version.revision.next()));
            }
        }
    }
    if count > 0 {
        result.reports.push(format!(
            "the file is missing or empty; its {count} flows were restored from the journal and the history. To start \
             without flows, stop Strom and remove the journal and the history as well"
        ));
    }
    result
}

/// Returns flows without a position in the file, in the order in which they get one.
fn oldest_first(flows: HashMap<FlowId, KnownFlow>) -> Vec<(FlowId, KnownFlow)> {
    let mut flows: Vec<_> = flows.into_iter().collect();
    flows.sort_by_key(|(_, flow)| (flow.known.version.created_at, flow.known.version.updated_at));
    flows
}

/// Returns the flows as the file contains them.
fn in_file(mut in_file: State, flows: &[FileFlow], now: &State) -> State {
    for FileFlow { flow, hash, position } in flows {
        match now.get(flow.id()) {
            Some(entry) if entry.has_text_of(flow) && entry.position == *position => in_file.share(entry),
            _ => {
                let never = Version {
                    revision: Revision::new(0),
                    created_at: DateTime::UNIX_EPOCH,
                    updated_at: DateTime::UNIX_EPOCH,
                    author: Author::file(),
                };
                in_file.insert(flow.clone(), never, *hash, *position);
            }
        }
    }
    in_file
}

impl Reconciled {
    fn new(state: State, in_file: State) -> Self {
        Self {
            state,
            in_file,
            entries: Vec::new(),
            tombstones: Vec::new(),
            reports: Vec::new(),
            quarantined: Vec::new(),
            is_written: false,
        }
    }

    /// Records the loss of flows whose documents are unknown and that the file lacks.
    pub(crate) fn lose(&mut self, lost: Vec<(FlowId, Version)>, stamp: &Stamp) {
        for (id, version) in lost {
            if self.state.quarantined().iter().any(|bad| bad.id == Some(id)) {
                self.bury(id, Tombstone::by(stamp, version.revision));
                continue;
            }
            self.reports.push(format!("{id} was removed from the file, and the history does not contain its document"));
            self.bury(id, Tombstone::by(stamp, version.revision.next()));
        }
    }

    /// Removes a flow without a change.
    fn bury(&mut self, id: FlowId, tombstone: Tombstone) {
        self.state.insert_tombstone(id, tombstone.clone());
        self.tombstones.push((id, tombstone));
    }

    /// Applies the edit of a flow.
    fn edit(&mut self, found: &FileFlow, edit: &Edit, stamp: &Stamp) {
        let id = found.flow.id();
        let Some(now) = self.state.get(id).cloned() else {
            if edit.is_content {
                self.create(found, edit.base.is_some(), stamp);
            }
            return;
        };
        let base = edit.base.as_ref().filter(|_| edit.is_content && now.hash != found.hash);
        let content = match base {
            _ if !edit.is_content || now.hash == found.hash => Ok(now.stored.item.clone()),
            Some((hash, _)) if *hash == now.hash => Ok(found.flow.clone()),
            Some((_, Some(base))) => found.flow.merged(base, &now.stored.item).map_err(|error| error.to_string()),
            _ => Err("the version that was edited is unknown".to_owned()),
        };
        let merged = content.and_then(|content| {
            let flow = with_runtime(&content, &now, &found.flow, &edit.read);
            flow.and_then(|flow| flow.checked()).map_err(|refusal| refusal.to_string())
        });
        match merged {
            Ok((flow, hash)) => {
                let Version { revision, created_at, .. } = now.stored.version;
                let (operation, revision) = match hash == now.hash {
                    true if now.has_text_of(&flow) => return,
                    true => (Operation::State, revision),
                    false => (Operation::Update, revision.next()),
                };
                let entry = JournalEntry::by(stamp, operation, revision, created_at, hash, flow);
                self.put(entry, &now);
            }
            Err(reason) => self.conflict(found, &now, &reason, stamp),
        }
    }

    /// Stores an entry at the position of a flow. A report leaves its version unchanged.
    fn put(&mut self, entry: JournalEntry, now: &FlowEntry) {
        let version = match entry.meta.operation {
            Operation::State => now.stored.version.clone(),
            _ => entry.meta.version(),
        };
        self.state.insert(entry.flow.clone(), version, entry.meta.hash, now.position);
        self.entries.push(entry);
    }

    /// Records the edit of a flow in its history, and then the current version again.
    fn conflict(&mut self, found: &FileFlow, now: &FlowEntry, reason: &str, stamp: &Stamp) {
        let id = found.flow.id();
        let Version { revision, created_at, author, .. } = now.stored.version.clone();
        let (edited, restored) = (revision.next(), revision.next().next());
        self.reports.push(format!(
            "{id} was edited in the file and saved by a client: {reason}. The saved version is revision {restored}, the \
             edit is revision {edited} in its history"
        ));
        let update = JournalEntry::by(stamp, Operation::Update, edited, created_at, found.hash, found.flow.clone());
        self.entries.push(update);
        // The author of the save stays. The operation shows that it was restored.
        let by = Stamp { at: stamp.at, author };
        let saved = now.stored.item.clone();
        self.put(JournalEntry::by(&by, Operation::Restore, restored, created_at, now.hash, saved), now);
    }

    /// Creates a flow. If it was deleted after the editor had read it, records the edit in the history only.
    fn create(&mut self, found: &FileFlow, is_deleted: bool, stamp: &Stamp) {
        let FileFlow { flow, hash, position } = found;
        let id = flow.id();
        let tombstone = self.state.deleted().get(&id).cloned();
        let revision = tombstone.as_ref().map_or(Revision::FIRST, |tombstone| tombstone.revision.next());
        let entry = JournalEntry::by(stamp, Operation::Create, revision, stamp.at, *hash, flow.clone());
        let stored = Stored { item: flow.clone(), version: entry.meta.version() };
        self.entries.push(entry);
        match tombstone.filter(|_| is_deleted) {
            None => self.state.insert(stored.item, stored.version, *hash, *position),
            Some(Tombstone { author, .. }) => {
                let deletion = JournalEntry::deletion(&stored, *hash, &Stamp { at: stamp.at, author });
                self.reports.push(format!(
                    "{id} was edited in the file, but was deleted after the editor had read it. It remains deleted; the \
                     edit is revision {revision} in its history"
                ));
                self.state.insert_tombstone(id, deletion.meta.tombstone());
                self.entries.push(deletion);
            }
        }
    }

    /// Deletes the flows that the file lacks, unless they were saved since they were read. Returns their number.
    fn remove(&mut self, removed: Vec<(FlowId, Option<Hash>)>, invalid: &HashSet<FlowId>, stamp: &Stamp) -> usize {
        let mut deleted = Vec::new();
        for (id, version) in removed {
            let Some(now) = self.state.get(id).cloned() else { continue };
            if Some(now.hash) == version {
                deleted.push(now);
            } else if !invalid.contains(&id) {
                self.reports.push(format!("{id} was removed from the file, but was saved later; it remains"));
            }
        }
        deleted.sort_by_key(|now| (now.stored.version.created_at, now.stored.version.updated_at));
        let mut count = 0;
        for now in deleted {
            let id = now.stored.item.id();
            if invalid.contains(&id) {
                // An editor may be correcting the flow, so it is not deleted.
                self.bury(id, Tombstone::by(stamp, now.stored.version.revision));
                continue;
            }
            let entry = JournalEntry::deletion(&now.stored, now.hash, stamp);
            self.state.insert_tombstone(id, entry.meta.tombstone());
            self.entries.push(entry);
            count += 1;
        }
        count
    }

    /// Gives the flows their positions in the file. Flows that it lacks come last, the oldest first.
    fn arrange(&mut self, flows: &[FileFlow]) {
        let mut ids = HashSet::new();
        for FileFlow { flow, position, .. } in flows {
            ids.insert(flow.id());
            if let Some(entry) = self.state.get(flow.id()).filter(|entry| entry.position != *position).cloned() {
                self.state.reposition(&entry, *position);
            }
        }
        let mut others: Vec<_> = self.state.entries().filter(|entry| !ids.contains(&entry.stored.item.id())).collect();
        others.sort_by_key(|entry| (entry.stored.version.created_at, entry.stored.version.updated_at));
        for entry in others.into_iter().cloned().collect::<Vec<_>>() {
            self.state.reposition_last(&entry);
        }
    }

    fn contains(&self, found: &FileFlow) -> bool {
        self.state.get(found.flow.id()).is_some_and(|entry| entry.has_text_of(&found.flow))
    }
}

/// Merges the runtime members of an edited flow with the current ones.
fn with_runtime(content: &Flow, now: &FlowEntry, edited: &Flow, read: &HashSet<u64>) -> Result<Flow, Refusal> {
    let current = &now.stored.item;
    let merged = content.with_runtime(current, edited, read)?;
    // Otherwise the order of the members would change, and with it the text of the file.
    for original in [content, current] {
        if merged.same_as(original)? {
            return Ok(original.clone());
        }
    }
    Ok(merged)
}

/// Returns the stamp of changes that were found in a file: its modification time and the author `file`.
pub(crate) fn file_stamp(at: DateTime<Utc>) -> Stamp {
    Stamp::new(at, Author::file())
}
