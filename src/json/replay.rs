//! What a journal says: what there was before it, what was changed, and whether it can be believed.
//!
//! Changes are numbered without gaps, and a call that made several says which. So what is missing is known: a torn end is
//! what was never acknowledged and is cut off; anything else is damage. Lines that are whole are believed on either side
//! of the damage, since each has its document.

use std::collections::{BTreeMap, HashMap};
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
    /// The first line that cannot be read, and whether a change that can be read comes behind one.
    unreadable: Option<u64>,
    is_broken: bool,
}

impl Lines {
    fn take(&mut self, offset: u64, text: &[u8], is_whole: bool) {
        let end = offset + text.len() as u64 + 1;
        let Some(line) = line::parse(text).filter(|_| is_whole) else {
            self.unreadable.get_or_insert(offset);
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
                self.is_broken |= self.unreadable.is_some();
                self.events.push(Event::Changed(Told::new(change, offset, text.len())));
            }
            Line::Header(_) | Line::Base(..) => {
                self.unreadable.get_or_insert(offset);
                return;
            }
        }
        self.end = end;
    }

    fn judge(mut self) -> Replay {
        let after = self.header.as_ref().map_or(0, |header| header.after);
        let end = self.leave_out_half_calls();
        let told = |event: &Event| match event {
            Event::Changed(told) => Some(told.seq),
            Event::Gone(..) => None,
        };
        let numbers: Vec<u64> = self.events.iter().filter_map(told).collect();
        let last = numbers.last().copied().unwrap_or(after);
        let has_gaps = (after + 1..).zip(&numbers).any(|(expected, number)| expected != *number);
        let is_base_whole = self.header.as_ref().is_some_and(|header| header.lines == self.base_lines);
        let damage = if self.header.is_none() {
            Some("its first line cannot be read".to_owned())
        } else if !is_base_whole {
            Some("it does not tell all of the flows that it began with".to_owned())
        } else if has_gaps || self.is_broken {
            let at = self.unreadable.unwrap_or(end);
            Some(format!("it cannot be read at byte {at}, and goes on behind that"))
        } else {
            None
        };
        let told = |event: &Event| match event {
            Event::Changed(told) => Some((told.seq, told.synced, told.offset)),
            Event::Gone(..) => None,
        };
        let known = self.events.iter().filter_map(told).map(|(_, synced, _)| synced).max().unwrap_or(after);
        let unsure = self.events.iter().filter_map(told).find(|(seq, ..)| *seq > known);
        let Self { header, flows, gone, events, start, file, .. } = self;
        let start = start.min(end);
        let synced = unsure.map_or(end, |(.., offset)| offset).min(end);
        Replay { header, flows, gone, events, start, end, synced, last, file: file.min(last), damage }
    }

    /// Calls of which not every change is there were never acknowledged, unless a later line knows that they were on
    /// the disk. Tells where the lines that are believed end.
    fn leave_out_half_calls(&mut self) -> u64 {
        let mut present: BTreeMap<u64, u64> = BTreeMap::new();
        let mut synced = self.file;
        for event in &self.events {
            if let Event::Changed(told) = event {
                *present.entry(told.call.0).or_default() += 1;
                synced = synced.max(told.synced);
            }
        }
        let is_half = |told: &Told| present[&told.call.0] <= told.call.1 - told.call.0 && told.call.1 > synced;
        let mut end = self.unreadable.filter(|_| !self.is_broken).map_or(self.end, |at| at.min(self.end));
        let first_half = self.events.iter().position(|event| matches!(event, Event::Changed(told) if is_half(told)));
        if let Some(first) = first_half {
            if let Event::Changed(told) = &self.events[first] {
                let offset = told.offset;
                let goes_on =
                    self.events[first..].iter().any(|event| matches!(event, Event::Changed(told) if !is_half(told)));
                self.is_broken |= goes_on;
                if !goes_on {
                    end = end.min(offset);
                }
            }
            self.events.retain(|event| !matches!(event, Event::Changed(told) if is_half(told)));
        }
        // Only half calls behind the damage: it is the torn end.
        let is_behind = |event: &Event| match (event, self.unreadable) {
            (Event::Changed(told), Some(at)) => told.offset > at,
            _ => false,
        };
        if self.is_broken && self.unreadable.is_some() && !self.events.iter().any(is_behind) {
            self.is_broken = false;
            end = end.min(self.unreadable.unwrap_or(end));
        }
        end
    }
}
