//! Reads a journal and detects damage.
//!
//! Changes are numbered without gaps, and each change of a call names the first and last change of the call. So the
//! reader can tell a torn end from damage. A torn end was never acknowledged and is cut off. Anything else is damage.
//! The reader accepts intact lines on either side of the damage, because each one contains its document.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::entry::{ChangeMeta, FlowVersion, Tombstone};
use super::line::{self, Change, Header, Line};
use super::segment::Segment;
use crate::flow::FlowId;

/// The content of a journal.
#[derive(Debug)]
pub(crate) struct Replay {
    /// The first line. `None` if it is damaged.
    pub(crate) header: Option<Header<'static>>,
    pub(crate) flows: HashMap<FlowId, FlowVersion>,
    /// The marks of the runtime members that `flows.json` had contained when the journal began.
    pub(crate) read: HashMap<FlowId, Vec<u64>>,
    pub(crate) tombstones: HashMap<FlowId, Tombstone>,
    pub(crate) events: Vec<ReplayEvent>,
    /// The offsets of the first change and of the end of the last valid line.
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// The content after this offset may not have been on the disk when the last line was written.
    pub(crate) synced: u64,
    /// The number of the last change.
    pub(crate) last: u64,
    /// The last change that `flows.json` contains.
    pub(crate) file: u64,
    /// The last changes that earlier versions of `flows.json` contained.
    pub(crate) files: Vec<u64>,
    /// A description of the damage. A damaged journal must not be appended to.
    pub(crate) damage: Option<String>,
}

/// A change or tombstone, in the order of the lines.
#[derive(Debug)]
pub(crate) enum ReplayEvent {
    Changed(Replayed),
    Tombstone(FlowId, Tombstone),
}

/// A change without its document, which is in the line at this offset.
#[derive(Debug, Clone)]
pub(crate) struct Replayed {
    pub(crate) offset: u64,
    pub(crate) length: usize,
    pub(crate) seq: u64,
    pub(crate) id: FlowId,
    pub(crate) meta: ChangeMeta,
    synced: u64,
    call: (u64, u64),
}

impl Replayed {
    fn new(change: Change<'_>, offset: u64, length: usize) -> Self {
        let Change { seq, synced, call, id, meta, .. } = change;
        Self { offset, length, seq, id, meta, synced, call }
    }
}

impl Replay {
    /// Gives the changes new numbers without gaps. `file` is the new number of the last change that `flows.json` contains.
    pub(crate) fn renumber(&mut self, after: u64, file: u64) {
        let changed = self.events.iter_mut().filter_map(|event| match event {
            ReplayEvent::Changed(replayed) => Some(replayed),
            ReplayEvent::Tombstone(..) => None,
        });
        changed.zip(after + 1..).for_each(|(replayed, seq)| replayed.seq = seq);
        self.file = file;
    }

    /// Adds flows and tombstones that a damaged journal no longer contains.
    pub(crate) fn add_missing(&mut self, flows: HashMap<FlowId, FlowVersion>, tombstones: HashMap<FlowId, Tombstone>) {
        for (id, known) in flows {
            if !self.tombstones.contains_key(&id) {
                self.flows.entry(id).or_insert(known);
            }
        }
        for (id, tombstone) in tombstones {
            if !self.flows.contains_key(&id) {
                self.tombstones.entry(id).or_insert(tombstone);
            }
        }
    }
}

/// Returns the length without the zeros that were written ahead.
pub(crate) fn written_length(file: &File) -> io::Result<u64> {
    const PART: u64 = 1 << 16;
    let mut end = file.metadata()?.len();
    while end > 0 {
        let start = end.saturating_sub(PART);
        let mut part = vec![0; (end - start) as usize];
        file.read_exact_at(&mut part, start)?;
        if let Some(last) = part.iter().rposition(|byte| *byte != 0) {
            return Ok(start + last as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Reads this length of the journal.
pub(crate) fn replay(file: &Arc<File>, length: u64) -> io::Result<Replay> {
    let whole = Segment { file: Arc::clone(file), start: 0, end: length, last: 0 };
    let mut lines = Lines::default();
    whole.each_line(0, |offset, text, is_whole| {
        lines.take(offset, text, is_whole);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(lines.finish())
}

#[derive(Default)]
struct Lines {
    header: Option<Header<'static>>,
    flows: HashMap<FlowId, FlowVersion>,
    read: HashMap<FlowId, Vec<u64>>,
    tombstones: HashMap<FlowId, Tombstone>,
    events: Vec<ReplayEvent>,
    base_lines: u64,
    start: u64,
    /// The end of the last line that can be parsed.
    end: u64,
    file: u64,
    files: Vec<u64>,
    /// The offset of the first damaged line.
    unreadable: Option<u64>,
    /// The offset of the first line that contains zeros. No acknowledged line does: the zeros were written ahead of
    /// it.
    unwritten: Option<u64>,
}

impl Lines {
    fn take(&mut self, offset: u64, text: &[u8], is_whole: bool) {
        let end = offset + text.len() as u64 + 1;
        let Some(line) = line::parse(text).filter(|_| is_whole) else {
            self.unreadable.get_or_insert(offset);
            if text.contains(&0) {
                self.unwritten.get_or_insert(offset);
            }
            return;
        };
        let is_base = self.events.is_empty() && self.header.as_ref().is_some_and(|h| self.base_lines < h.lines);
        match line {
            Line::Header(header) if offset == 0 && header.strom == "journal" => {
                self.file = header.after;
                self.files.push(header.after);
                self.header = Some(Header { strom: "journal".into(), ..header });
                self.start = end;
            }
            Line::Base(id, flow, read) if is_base => {
                self.flows.insert(id, flow);
                self.read.insert(id, read);
                (self.base_lines, self.start) = (self.base_lines + 1, end);
            }
            Line::Tombstone(id, tombstone) if is_base => {
                self.tombstones.insert(id, tombstone);
                (self.base_lines, self.start) = (self.base_lines + 1, end);
            }
            Line::Tombstone(id, tombstone) => self.events.push(ReplayEvent::Tombstone(id, tombstone)),
            Line::File(seq) => {
                self.file = self.file.max(seq);
                self.files.push(seq);
            }
            Line::Change(change) => {
                self.events.push(ReplayEvent::Changed(Replayed::new(change, offset, text.len())));
            }
            Line::Header(_) | Line::Base(..) => {
                self.unreadable.get_or_insert(offset);
                return;
            }
        }
        self.end = end;
    }

    /// Evaluates the lines.
    fn finish(mut self) -> Replay {
        self.cut_unwritten();
        let half = self.incomplete_calls();
        let mut torn = self.unreadable;
        self.events.retain(|event| match event {
            ReplayEvent::Changed(replayed) if half.contains(&replayed.call.0) => {
                torn = Some(torn.map_or(replayed.offset, |at| at.min(replayed.offset)));
                false
            }
            _ => true,
        });
        let after = self.header.as_ref().map_or(0, |header| header.after);
        let last = changes(&self.events).next_back().map_or(after, |replayed| replayed.seq);
        let has_gaps = (after + 1..).zip(changes(&self.events)).any(|(expected, replayed)| expected != replayed.seq);
        let goes_on = torn.is_some_and(|at| changes(&self.events).any(|replayed| replayed.offset > at));
        let damage = match &self.header {
            None => Some("its first line cannot be read".to_owned()),
            Some(header) if header.lines != self.base_lines => {
                Some("the list of its initial flows is incomplete".to_owned())
            }
            Some(_) if goes_on || has_gaps => {
                let place = torn.map_or_else(String::new, |at| format!(" after byte {at}"));
                Some(format!("lines are missing or unreadable{place}, but valid lines follow"))
            }
            Some(_) => None,
        };
        let end = torn.filter(|_| !goes_on).unwrap_or(self.end);
        let known = changes(&self.events).map(|replayed| replayed.synced).max().unwrap_or(after);
        // A note after the last known synced change may be lost.
        let known = changes(&self.events).take_while(|replayed| replayed.seq <= known).last();
        let unsure = known.map_or(self.start, |replayed| replayed.offset + replayed.length as u64 + 1);
        let Self { header, flows, read, tombstones, events, start, file, files, .. } = self;
        let (start, synced, file) = (start.min(end), unsure.min(end), file.min(last));
        Replay { header, flows, read, tombstones, events, start, end, synced, last, file, files, damage }
    }

    /// Discards what follows the zeros, unless a later line proves that it was synced. It was appended together with
    /// the missing lines, reached the disk before them, and was never acknowledged.
    fn cut_unwritten(&mut self) {
        let Some(at) = self.unwritten.filter(|at| self.unreadable == Some(*at)) else { return };
        let before = changes(&self.events).filter(|replayed| replayed.offset < at).map(|replayed| replayed.seq).max();
        let last = before.or(self.header.as_ref().map(|header| header.after)).unwrap_or(0);
        let was_synced = changes(&self.events).any(|replayed| replayed.offset > at && replayed.synced > last);
        if !was_synced {
            self.events.retain(|event| !matches!(event, ReplayEvent::Changed(replayed) if replayed.offset > at));
            self.end = self.end.min(at);
        }
    }

    /// Returns the first numbers of the calls of which a change is missing. They were never acknowledged, unless a
    /// later line proves that they were synced.
    fn incomplete_calls(&self) -> HashSet<u64> {
        let mut present: HashMap<(u64, u64), u64> = HashMap::new();
        let mut synced = self.file;
        for replayed in changes(&self.events) {
            *present.entry(replayed.call).or_default() += 1;
            synced = synced.max(replayed.synced);
        }
        let is_half = |((first, last), count): &((u64, u64), u64)| *count <= last - first && *last > synced;
        present.into_iter().filter(is_half).map(|((first, _), _)| first).collect()
    }
}

fn changes(events: &[ReplayEvent]) -> impl DoubleEndedIterator<Item = &Replayed> {
    events.iter().filter_map(|event| match event {
        ReplayEvent::Changed(replayed) => Some(replayed),
        ReplayEvent::Tombstone(..) => None,
    })
}
