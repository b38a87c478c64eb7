//! What a journal says: what there was before it, what was changed, and whether it can be believed.
//!
//! Changes are numbered without gaps, and a call that made several says which. So what is missing is known: a torn end is
//! what was never acknowledged and is cut off; anything else is damage. Lines that are whole are believed on either side
//! of the damage, since each has its document.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::line::{self, Change, Header, Line};
use super::segment::Segment;
use super::state::{Deletion, Facts, Hash};
use crate::flow::FlowId;
use crate::repository::Version;

/// A journal that was read.
#[derive(Debug)]
pub(super) struct Replay {
    /// The first line; `None` when it cannot be read.
    pub(super) header: Option<Header<'static>>,
    pub(super) flows: HashMap<FlowId, (Version, Hash)>,
    pub(super) gone: HashMap<FlowId, Deletion>,
    pub(super) events: Vec<Event>,
    /// Where the changes begin and where the last line that is believed ends.
    pub(super) start: u64,
    pub(super) end: u64,
    /// What comes behind this place may not have been on the disk when the last line was written.
    pub(super) synced: u64,
    /// The number of the last change.
    pub(super) last: u64,
    /// `flows.json` has every change up to this one.
    pub(super) file: u64,
    /// What is damaged, in words. The file must then not be appended to.
    pub(super) damage: Option<String>,
}

/// What happened, in the order of the lines.
#[derive(Debug)]
pub(super) enum Event {
    Changed(Told),
    Gone(FlowId, Deletion),
}

/// A change without its document, which stands in the line at this place.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) offset: u64,
    pub(super) length: usize,
    pub(super) seq: u64,
    pub(super) id: FlowId,
    pub(super) facts: Facts,
    synced: u64,
    call: (u64, u64),
}

impl Told {
    fn new(change: Change<'_>, offset: u64, length: usize) -> Self {
        let Change { seq, synced, call, id, facts, .. } = change;
        Self { offset, length, seq, id, facts, synced, call }
    }
}

impl Replay {
    /// Adds the flows that a damaged journal does not tell of any more.
    pub(super) fn add_missing(&mut self, flows: HashMap<FlowId, (Version, Hash)>, gone: HashMap<FlowId, Deletion>) {
        for (id, known) in flows {
            if !self.gone.contains_key(&id) {
                self.flows.entry(id).or_insert(known);
            }
        }
        for (id, deletion) in gone {
            if !self.flows.contains_key(&id) {
                self.gone.entry(id).or_insert(deletion);
            }
        }
    }
}

/// Reads the whole file.
pub(super) fn replay(file: &Arc<File>) -> io::Result<Replay> {
    let length = file.metadata()?.len();
    let whole = Segment { file: Arc::clone(file), start: 0, end: length, last: 0 };
    let mut lines = Lines::default();
    whole.each_line(0, |offset, text, is_whole| {
        lines.take(offset, text, is_whole);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(lines.judge())
}

#[derive(Default)]
struct Lines {
    header: Option<Header<'static>>,
    flows: HashMap<FlowId, (Version, Hash)>,
    gone: HashMap<FlowId, Deletion>,
    events: Vec<Event>,
    base_lines: u64,
    start: u64,
    /// Behind the last line of any kind that can be read.
    end: u64,
    file: u64,
    /// Where the first line begins that cannot be read.
    unreadable: Option<u64>,
    /// Where the first line begins that has zeros in it, which no line has that was on the disk before it was acknowledged:
    /// they were written ahead of it.
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
                self.header = Some(Header { strom: "journal".into(), ..header });
                self.start = end;
            }
            Line::Base(id, version, hash) if is_base => {
                self.flows.insert(id, (version, hash));
                (self.base_lines, self.start) = (self.base_lines + 1, end);
            }
            Line::Gone(id, deletion) if is_base => {
                self.gone.insert(id, deletion);
                (self.base_lines, self.start) = (self.base_lines + 1, end);
            }
            Line::Gone(id, deletion) => self.events.push(Event::Gone(id, deletion)),
            Line::File(seq) => self.file = self.file.max(seq),
            Line::Change(change) => {
                self.events.push(Event::Changed(Told::new(change, offset, text.len())));
            }
            Line::Header(_) | Line::Base(..) => {
                self.unreadable.get_or_insert(offset);
                return;
            }
        }
        self.end = end;
    }

    /// What all of the lines come to.
    fn judge(mut self) -> Replay {
        self.cut_unwritten();
        let half = self.half_calls();
        let mut torn = self.unreadable;
        self.events.retain(|event| match event {
            Event::Changed(told) if half.contains(&told.call.0) => {
                torn = Some(torn.map_or(told.offset, |at| at.min(told.offset)));
                false
            }
            _ => true,
        });
        let after = self.header.as_ref().map_or(0, |header| header.after);
        let last = changes(&self.events).next_back().map_or(after, |told| told.seq);
        let has_gaps = (after + 1..).zip(changes(&self.events)).any(|(expected, told)| expected != told.seq);
        let goes_on = torn.is_some_and(|at| changes(&self.events).any(|told| told.offset > at));
        let damage = match &self.header {
            None => Some("its first line cannot be read".to_owned()),
            Some(header) if header.lines != self.base_lines => {
                Some("it does not tell all of the flows that it began with".to_owned())
            }
            Some(_) if goes_on || has_gaps => {
                let place = torn.map_or_else(String::new, |at| format!(" from byte {at} on"));
                Some(format!("lines are missing or cannot be read{place}, and others come behind them"))
            }
            Some(_) => None,
        };
        let end = torn.filter(|_| !goes_on).unwrap_or(self.end);
        let known = changes(&self.events).map(|told| told.synced).max().unwrap_or(after);
        // Of a note behind the last of these nobody knows.
        let known = changes(&self.events).take_while(|told| told.seq <= known).last();
        let unsure = known.map_or(self.start, |told| told.offset + told.length as u64 + 1);
        let Self { header, flows, gone, events, start, file, .. } = self;
        let (start, synced, file) = (start.min(end), unsure.min(end), file.min(last));
        Replay { header, flows, gone, events, start, end, synced, last, file, damage }
    }

    /// Lets go of what stands behind zeros. It was appended together with what is missing there, and got onto the disk
    /// before it; nobody was told that it was saved, unless a line knows otherwise.
    fn cut_unwritten(&mut self) {
        let Some(at) = self.unwritten.filter(|at| self.unreadable == Some(*at)) else { return };
        let before = changes(&self.events).filter(|told| told.offset < at).map(|told| told.seq).max();
        let last = before.or(self.header.as_ref().map(|header| header.after)).unwrap_or(0);
        let was_synced = changes(&self.events).any(|told| told.offset > at && told.synced > last);
        if !was_synced {
            self.events.retain(|event| !matches!(event, Event::Changed(told) if told.offset > at));
            self.end = self.end.min(at);
        }
    }

    /// The first numbers of the calls of which not every change is there. They were never acknowledged, unless a later
    /// line knows that they were on the disk.
    fn half_calls(&self) -> HashSet<u64> {
        let mut present: HashMap<(u64, u64), u64> = HashMap::new();
        let mut synced = self.file;
        for told in changes(&self.events) {
            *present.entry(told.call).or_default() += 1;
            synced = synced.max(told.synced);
        }
        let is_half = |((first, last), count): &((u64, u64), u64)| *count <= last - first && *last > synced;
        present.into_iter().filter(is_half).map(|((first, _), _)| first).collect()
    }
}

fn changes(events: &[Event]) -> impl DoubleEndedIterator<Item = &Told> {
    events.iter().filter_map(|event| match event {
        Event::Changed(told) => Some(told),
        Event::Gone(..) => None,
    })
}
