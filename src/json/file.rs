//! The file: `{"version": 1, "flows": [...]}`, indented by two blanks. It holds nothing of ours but the flows.
//!
//! Whatever else stands at its top level stays there, byte for byte. Flows keep their places and new ones come last, so
//! a diff after one edit shows that edit. A byte order mark and other line ends are read, and gone when the file is
//! written next.
//!
//! A file that is no JSON, or no file of flows, or of a newer version is refused as a whole. A flow in it that cannot be
//! stored, or whose id another one has already, is *quarantined*: it is no flow of the store, but stays in the file to
//! the letter, at its place, until somebody corrects it.
//!
//! Reading and writing hold one flow at a time, so that a file needs no more memory than its flows do.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::sync::Arc;

use super::file_reader::{self, Part};
use super::state::{Entry, Hash, State};
use crate::flow::{Flow, FlowId, Node, Path, Refusal};

/// What stands at the top level, in its order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Member {
    /// The flows.
    Flows,
    /// The version and whatever we do not know: name and exact text of the value.
    Other(String, String),
}

/// A value among the flows that is none that can be stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Quarantined {
    /// Its exact text.
    pub(super) text: Box<str>,
    pub(super) place: u64,
    /// The flow that it seems to be.
    pub(super) id: Option<FlowId>,
    /// Where and why.
    pub(super) problem: String,
}

/// What a file holds.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) flows: Vec<Found>,
    pub(super) members: Arc<[Member]>,
    pub(super) quarantined: Arc<[Quarantined]>,
}

/// A flow at its place in the file.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) flow: Flow,
    pub(super) hash: Hash,
    pub(super) place: u64,
}

/// Why a file is refused.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) problem: String,
    pub(super) remedy: &'static str,
}

pub(super) const RESTORE: &str = "Restore the file from a backup, or move it away to begin without it.";
const CORRECT: &str = "Correct the file there, or restore it from a backup.";

impl Content {
    /// What a store without a file begins with.
    pub(super) fn empty() -> Self {
        let members = [Member::Other("version".into(), "1".into()), Member::Flows];
        Self { flows: Vec::new(), members: members.into(), quarantined: [].into() }
    }
}

/// Reads a file; `None` when there is nothing in it.
pub(super) fn read(mut file: impl Read + Seek) -> Result<Option<Content>, Fault> {
    let mut reading = Reading::default();
    // What this does not take is read once more by those who can say what is wrong.
    if file_reader::read_quickly(&mut file, |part| reading.take(part)).is_ok()
        && let Ok(content) = reading.finish()
    {
        return Ok(Some(content));
    }
    let rewound = file.rewind();
    rewound.map_err(|error| Fault { problem: format!("`$`: cannot be read: {error}"), remedy: RESTORE })?;
    read_closely(file)
}

fn read_closely(file: impl Read) -> Result<Option<Content>, Fault> {
    let mut file = BufReader::with_capacity(1 << 16, NotBlank { file, is_blank: true });
    // Some editors begin a file with a byte order mark.
    if file.fill_buf().is_ok_and(|bytes| bytes.starts_with("\u{feff}".as_bytes())) {
        file.consume("\u{feff}".len());
    }
    let mut reading = Reading::default();
    let parts = file_reader::read(&mut file, |part| reading.take(part));
    if file.get_ref().is_blank {
        return Ok(None);
    }
    if let Some(fault) = reading.fault {
        return Err(fault);
    }
    parts.map_err(|error| {
        // What is inside of flows is taken as it is; so it is flows that is of another type.
        if error.is_data() && reading.members.last() == Some(&Member::Flows) && reading.place == 0 {
            return fault("`$.flows`: expected an array", CORRECT);
        }
        let remedy = if error.is_data() { CORRECT } else { RESTORE };
        let what = if error.is_io() { "cannot be read" } else { "not a JSON file of flows" };
        Fault { problem: format!("`$`: {what}: {error}"), remedy }
    })?;
    reading.finish().map(Some)
}

#[derive(Default)]
struct Reading {
    flows: Vec<Found>,
    ids: HashMap<FlowId, u64>,
    members: Vec<Member>,
    quarantined: Vec<Quarantined>,
    place: u64,
    fault: Option<Fault>,
}

impl Reading {
    fn finish(self) -> Result<Content, Fault> {
        let version = self.members.iter().find_map(|member| match member {
            Member::Other(name, value) if name == "version" => Some(value),
            _ => None,
        });
        check_version(version)?;
        if !self.members.contains(&Member::Flows) {
            return Err(fault("`$.flows`: missing", CORRECT));
        }
        let Self { flows, members, quarantined, .. } = self;
        Ok(Content { flows, members: members.into(), quarantined: quarantined.into() })
    }

    /// Whether to go on.
    fn take(&mut self, part: Part<'_>) -> bool {
        match part {
            Part::Flow(text, read) => self.flow(text, read),
            Part::Flows => self.member("flows", Member::Flows),
            Part::Member(name, value) => {
                self.member(name, Member::Other(name.to_owned(), value.to_owned()));
                // What follows in a file of a newer version need not be read, and may look otherwise.
                if name == "version" && self.fault.is_none() {
                    self.fault = check_version(Some(value)).err();
                }
            }
        }
        self.fault.is_none()
    }

    fn member(&mut self, name: &str, member: Member) {
        let is_same = |other: &Member| match other {
            Member::Flows => name == "flows",
            Member::Other(other, _) => other == name,
        };
        if self.members.iter().any(is_same) {
            self.fault = Some(fault(&format!("`{}`: the member occurs twice", Path::member(name)), CORRECT));
        }
        self.members.push(member);
    }

    fn flow(&mut self, text: &str, read: Result<(Flow, Hash), Refusal>) {
        let place = self.place;
        self.place += 1;
        let problem = match read {
            Ok((flow, hash)) => match self.ids.insert(flow.id(), place) {
                None => {
                    self.flows.push(Found { flow, hash, place });
                    return;
                }
                Some(first) => {
                    self.ids.insert(flow.id(), first);
                    format!("`$.flows[{place}].id`: the flow {} is there already, as `$.flows[{first}]`", flow.id())
                }
            },
            Err(refusal) => inside(refusal, place).to_string(),
        };
        self.quarantined.push(Quarantined { text: text.into(), place, id: id_of(text), problem });
    }
}

/// The id of a value that is no good flow, if it has one.
fn id_of(text: &str) -> Option<FlowId> {
    #[derive(serde::Deserialize)]
    struct WithId {
        id: String,
    }
    serde_json::from_str::<WithId>(text).ok()?.id.parse().ok()
}

fn inside(refusal: Refusal, place: u64) -> Refusal {
    let index = usize::try_from(place).unwrap_or(usize::MAX);
    Refusal { path: refusal.path.inside_index(index).inside_member("flows"), ..refusal }
}

fn check_version(version: Option<impl AsRef<str>>) -> Result<(), Fault> {
    let number = version.map(|version| serde_json::from_str::<f64>(version.as_ref()).unwrap_or(f64::NAN));
    match number {
        Some(1.0) => Ok(()),
        Some(number) if number > 1.0 => Err(fault(
            "`$.version`: the file is of a newer version than 1",
            "Open it with the newer Strom that wrote it, or restore a file of version 1.",
        )),
        Some(_) => Err(fault("`$.version`: expected 1", CORRECT)),
        None => {
            Err(fault("`$.version`: missing", "If this is a file of flows, add `\"version\": 1` at its top level."))
        }
    }
}

fn fault(problem: &str, remedy: &'static str) -> Fault {
    Fault { problem: problem.to_owned(), remedy }
}

/// Notices whether anything but white space has been read.
struct NotBlank<R> {
    file: R,
    is_blank: bool,
}

impl<R: Read> Read for NotBlank<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        if self.is_blank {
            let bytes = &buffer[..count];
            let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
            self.is_blank = bytes.iter().all(u8::is_ascii_whitespace);
        }
        Ok(count)
    }
}

/// Prints a file.
pub(super) fn write(state: &State, out: &mut dyn Write) -> io::Result<()> {
    let mut separator = "{\n  ";
    for member in state.members() {
        out.write_all(separator.as_bytes())?;
        separator = ",\n  ";
        match member {
            Member::Other(name, value) => {
                let name = Node::String(name.into()).to_compact();
                write!(out, "{name}: {value}")?;
            }
            Member::Flows => {
                out.write_all(b"\"flows\": ")?;
                write_flows(state, out)?;
            }
        }
    }
    out.write_all(b"\n}\n")
}

enum Item<'a> {
    Flow(&'a Entry),
    Quarantined(&'a Quarantined),
}

fn write_flows(state: &State, out: &mut dyn Write) -> io::Result<()> {
    let flows = state.entries().map(|entry| (entry.place, Item::Flow(entry)));
    let quarantined = state.quarantined().iter().map(|bad| (bad.place, Item::Quarantined(bad)));
    let mut items: Vec<_> = flows.chain(quarantined).collect();
    items.sort_unstable_by_key(|(place, _)| *place);
    let mut text = String::new();
    for (index, (_, item)) in items.iter().enumerate() {
        text.clear();
        text.push_str(if index == 0 { "[\n    " } else { ",\n    " });
        match item {
            Item::Flow(entry) => entry.stored.item.node().map_err(io::Error::other)?.write_pretty(&mut text, 2),
            Item::Quarantined(bad) => text.push_str(&bad.text),
        }
        out.write_all(text.as_bytes())?;
    }
    out.write_all(if items.is_empty() { b"[]" } else { b"\n  ]" })
}
